"""Folders and files that a command is told to write to, looked at before the work begins."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from toros.common.errors import FolderNotReady, InvalidField


def require_writable(folder: Path, option: str) -> None:
    """Raise unless `folder` can be written to, or be made.

    Parameters
    ----------
    folder : pathlib.Path
        Made later, if it is missing.
    option : str
        Which option names it, for the message.

    Raises
    ------
    InvalidField
        If its name is not in UTF-8: the archive could not keep it.
    FolderNotReady
        If it is a file, or may not be written to.
    """
    try:
        str(folder).encode()
    except UnicodeEncodeError as error:
        shown = os.fsencode(folder).decode("utf-8", "backslashreplace")
        raise InvalidField(
            f"{option}: the name of {shown} is not in UTF-8: choose another."
        ) from error
    place = folder.absolute()
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        raise FolderNotReady(
            f"{folder} cannot be written into: {place} is not a folder; name another with {option}."
        )
    if not os.access(place, os.W_OK | os.X_OK):
        raise FolderNotReady(
            f"{folder} cannot be written into: {place} may not be written to by you; name another "
            f"with {option}."
        )


def require_picture(file: Path | None, option: str, kinds: Sequence[str] = (".png",)) -> None:
    """Raise unless a picture, if one is named, can be written there; as `require_writable` does.

    It may end in any of `kinds`, or in nothing, which is the first of them.
    """
    if file is None:
        return
    if file.suffix.lower() not in ("", *kinds):
        raise InvalidField(f"{option}: {file}: a picture ends in {' or '.join(kinds)} here.")
    if file.is_dir():
        raise InvalidField(f"{option}: {file} is a folder: name a file in it.")
    require_writable(file.parent, option)
