"""A queue on disk of small JSON documents, each on the disk before its putter goes on."""

from __future__ import annotations

import contextlib
import json
import logging
from pathlib import Path
from typing import Any

from toros.common.atomic import write_text
from toros.common.errors import ConfigurationError

log = logging.getLogger(__name__)

_SUFFIX = ".json"


class Spool:
    """What is still to be done, in order of the entries' names.

    Parameters
    ----------
    folder : pathlib.Path
        Made if it is missing.

    Raises
    ------
    ConfigurationError
        If it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"lvcgcn.folder: {folder} cannot be made ({error.strerror})."
            ) from error

    def put(self, name: str, document: dict[str, Any]) -> None:
        """Add an entry, or replace the one of that name; it is on disk when this returns."""
        write_text(self._folder / f"{name}{_SUFFIX}", json.dumps(document))

    def names(self) -> list[str]:
        """Return the names of what is to be done, the first first."""
        # What a putter has not finished begins with a dot.
        return sorted(path.stem for path in self._folder.glob(f"[!.]*{_SUFFIX}"))

    def read(self, name: str) -> dict[str, Any] | None:
        """Return an entry; ``None`` if it is gone or is no document."""
        path = self._folder / f"{name}{_SUFFIX}"
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            log.error("%s is damaged and is put aside: %s", path, error)  # noqa: TRY400
            with contextlib.suppress(FileNotFoundError):  # another thread has done so
                path.rename(path.with_suffix(".damaged"))
            return None
        return document if isinstance(document, dict) else None

    def done(self, name: str) -> None:
        """Take an entry out."""
        (self._folder / f"{name}{_SUFFIX}").unlink(missing_ok=True)

    def __len__(self) -> int:
        return len(self.names())
