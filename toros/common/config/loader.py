"""Finding, reading and checking the configuration."""

from __future__ import annotations

import os
import types
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from toros.common.config.models import Config
from toros.common.config.source import SECRETS, KeyPath, Source, without_password
from toros.common.errors import ConfigurationError
from toros.common.nearest import nearest

DEFAULT_PATH = Path("/etc/toros/toros.conf.yaml")
VARIABLE = "TOROS_CONFIG"
# The ends of key paths whose values are not shown, even where they are wrong.
_SECRET = frozenset((name,) for name in SECRETS)


def config_path(given: Path | None) -> Path:
    """Return which file is meant: the one given, else that of the environment, else the default."""
    if given is not None:
        return given
    return Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else DEFAULT_PATH


def load_config(path: Path | None = None) -> Config:
    """Return the configuration.

    Parameters
    ----------
    path : pathlib.Path, optional
        The file; by default ``$TOROS_CONFIG``, else ``/etc/toros/toros.conf.yaml``.

    Raises
    ------
    ConfigurationError
        One line for the first thing that is wrong: file, line, key path, and the mend.
    """
    found = config_path(path)
    try:
        text = found.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{found}: there is no such configuration; name one with --config or ${VARIABLE}."
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"{found}: the configuration cannot be read ({error.strerror})."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{found}: the configuration is not text in UTF-8 (byte {error.start + 1})."
        ) from error
    return parse_config(text, str(found))


def parse_config(text: str, name: str = "configuration") -> Config:
    """Return the configuration that `text` holds; `name` is what errors call it."""
    source = Source(name, text, _are_names)
    try:
        return Config.model_validate(source.data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigurationError(_explain(source, first)) from error


def _explain(source: Source, problem: ErrorDetails) -> str:
    path: KeyPath = tuple(part for part in problem["loc"] if part != "[key]")
    dotted = ".".join(str(part) for part in path)
    where = source.where(path)
    if problem["type"] == "extra_forbidden":
        hint = nearest(str(path[-1]), _keys_beside(path))
        return f"{where}: {dotted}: unknown key{hint}."
    if problem["type"] == "missing":
        either = f" (or {path[-1]}_file)" if path[-1:] in _SECRET else ""
        return f"{where}: {dotted}: this key is needed{either}."
    text = problem["msg"].removeprefix("Value error, ")
    shown = problem["input"]
    if isinstance(shown, str):
        shown = without_password(shown)
    plain = isinstance(shown, str | int | float | bool) and path[-1:] not in _SECRET
    given = f" (given: {shown!r})" if plain else ""
    return f"{where}: {dotted}: {text[:1].lower()}{text[1:]}{given}."


def _keys_beside(path: KeyPath) -> list[str]:
    """Return the keys that are known where `path` ends."""
    model: Any = Config
    for part in path[:-1]:
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return []
        if isinstance(part, str) and part in model.model_fields:
            model = _inner_model(model.model_fields[part].annotation)
    if isinstance(model, type) and issubclass(model, BaseModel):
        return list(model.model_fields)
    return []


def _are_names(path: KeyPath) -> bool:
    """Return whether the keys of the mapping at `path` are names, and not those of settings."""
    annotation: Any = Config
    for part in path:
        if typing.get_origin(annotation) in (list, dict):
            annotation = typing.get_args(annotation)[-1]
            continue
        model = _inner_model(annotation)
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return False
        if part not in model.model_fields:
            return False
        annotation = model.model_fields[str(part)].annotation
    is_mapping = typing.get_origin(annotation) is dict
    return is_mapping and _inner_model(annotation) is None


def _inner_model(annotation: Any) -> Any:
    """Return the model within ``X | None``, ``list[X]`` or ``dict[str, X]``."""
    if typing.get_origin(annotation) in (list, dict, types.UnionType, typing.Union):
        inner = [_inner_model(item) for item in typing.get_args(annotation)]
        models = [item for item in inner if isinstance(item, type) and issubclass(item, BaseModel)]
        return models[0] if models else None
    return annotation
