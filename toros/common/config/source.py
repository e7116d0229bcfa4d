"""YAML read with the line of every key, so that an error can say where it is."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from toros.common.errors import ConfigurationError

KeyPath = tuple[str | int, ...]

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# Values that may be kept in a file of their own, as `<name>_file`.
SECRETS = frozenset({"password", "token", "secret", "client_secret", "webhook"})
# To the last @: SQLAlchemy takes a slash in a password, and people forget to escape the rest.
PASSWORD_IN_URL = re.compile(r"""(?<=://)([^@/:\s"']*):[^\s"']*@""")
# Where PostgreSQL takes one, too.
PASSWORD_IN_QUERY = re.compile(r"""(?<=[?&]password=)[^&\s"']+""")
SERVICE_ADDRESS = re.compile(r"^(\w+)_service_address$")


def without_password(url: str, shown: str = "**********") -> str:
    """Return an address, or a text with some, as it may be shown; other text as it is."""
    return PASSWORD_IN_QUERY.sub(shown, PASSWORD_IN_URL.sub(rf"\1:{shown}@", url))


class Source:
    """A configuration file: its values as plain data, and the line of each key.

    Parameters
    ----------
    name : str
        What errors call the file.
    text : str
        Its content.
    are_names : callable
        Says of the place of a mapping whether its keys are names of the user's own (of filters,
        say), which are kept as they are written.
    """

    def __init__(self, name: str, text: str, are_names: Callable[[KeyPath], bool]) -> None:
        self.name = name
        self._are_names = are_names
        self.lines: dict[KeyPath, int] = {}
        try:
            self._loader = yaml.SafeLoader(text)
            try:
                self.data: dict[str, Any] = self._root(self._loader.get_single_node())
            finally:
                self._loader.dispose()
        except yaml.YAMLError as error:
            raise ConfigurationError(self._yaml_problem(error)) from error
        except RecursionError as error:
            raise ConfigurationError(f"{name}:1: an alias contains itself.") from error

    def where(self, path: KeyPath) -> str:
        """Return ``file:line`` of the nearest key at or above `path`."""
        while path and path not in self.lines:
            path = path[:-1]
        line = self.lines.get(path, 1)
        return f"{self.name}:{line}"

    def _root(self, node: yaml.Node | None) -> dict[str, Any]:
        if node is None:
            return {}
        if not isinstance(node, yaml.MappingNode):
            raise ConfigurationError(
                f"{self.name}:{node.start_mark.line + 1}: the configuration is a mapping of keys."
            )
        data: dict[str, Any] = self._value(node, ())
        for key in list(data):
            match = SERVICE_ADDRESS.match(key)
            if match:
                self._move(data, key, match.group(1))
        return data

    def _move(self, data: dict[str, Any], key: str, module: str) -> None:
        """Take ``Preprocessor Service Address`` for ``services.preprocessor``."""
        services = data.setdefault("services", {})
        if module in services:
            raise ConfigurationError(
                f"{self.where((key,))}: services.{module} is given twice: "
                "there and as a service address."
            )
        services[module] = data.pop(key)
        moved = {path: line for path, line in self.lines.items() if path[:1] == (key,)}
        for path, line in moved.items():
            self.lines[("services", module, *path[1:])] = line

    def _value(self, node: yaml.Node, path: KeyPath) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            values = []
            for index, item in enumerate(node.value):
                self.lines[(*path, index)] = item.start_mark.line + 1
                values.append(self._value(item, (*path, index)))
            return values
        if node.tag == "tag:yaml.org,2002:str" or VARIABLE.search(node.value):
            return self._expanded(node, path)
        try:
            return self._loader.construct_object(node)
        except ValueError as error:  # a date like 2017-13-45
            line = node.start_mark.line + 1
            raise ConfigurationError(f"{self.name}:{line}: {node.value}: {error}.") from error

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        self._loader.flatten_mapping(node)
        values: dict[str, Any] = {}
        are_names = self._are_names(path)
        for key_node, value_node in node.value:
            written = str(self._loader.construct_object(key_node))
            key = written if are_names else normal_key(written)
            line = key_node.start_mark.line + 1
            is_secret = key.endswith("_file") and key.removesuffix("_file") in SECRETS
            is_file = is_secret and not are_names
            name = key.removesuffix("_file") if is_file else key
            if name in values:
                dotted = ".".join(map(str, (*path, name)))
                raise ConfigurationError(f"{self.name}:{line}: {dotted} is given twice.")
            self.lines[(*path, name)] = line
            value = self._value(value_node, (*path, name))
            values[name] = self._secret(value, (*path, key), line) if is_file else value
        return values

    def _secret(self, value: Any, path: KeyPath, line: int) -> str:
        try:
            return Path(str(value)).read_text(encoding="utf-8").strip()
        except OSError as error:
            dotted = ".".join(map(str, path))
            raise ConfigurationError(
                f"{self.name}:{line}: {dotted}: {value} cannot be read ({error.strerror})."
            ) from error

    def _expanded(self, node: yaml.Node, path: KeyPath) -> Any:
        def variable(match: re.Match[str]) -> str:
            name = match.group(1)
            if name not in os.environ:
                dotted = ".".join(map(str, path))
                raise ConfigurationError(
                    f"{self.name}:{node.start_mark.line + 1}: {dotted}: "
                    f"the environment has no variable {name}; set it, or write the value here."
                )
            return os.environ[name]

        return VARIABLE.sub(variable, str(node.value))

    def _yaml_problem(self, error: yaml.YAMLError) -> str:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        return f"{self.name}:{line}: this is not YAML: {problem}."


def normal_key(key: str) -> str:
    """Return `key` as the models spell it: case, spaces, hyphens and underscores are alike."""
    return re.sub(r"[\s_-]+", "_", key.strip()).lower()
