"""Where a file batch may come from, and which files of a folder are its frames."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from toros.common.errors import NoFilesFound, SourceNotAllowed, UnusableFrame
from toros.common.fits_files import FITS_SUFFIX, FitsFiles

_WHAT = "a file batch is an absolute path, a file: URL, or an address of http or https."


def is_web(source: str | Path) -> bool:
    """Return whether a source is an address of the web."""
    return str(source).startswith(("http://", "https://"))


def local_path(url: str, allowed: Iterable[str | Path]) -> Path:
    """Return the path that `url` names, which may not exist.

    Parameters
    ----------
    url : str
        An absolute path or a ``file:`` URL of this machine.
    allowed : iterable of str or pathlib.Path
        The folders inside which a source may be; entries that are URLs of other schemes are
        passed over.

    Raises
    ------
    SourceNotAllowed
        When it is not of this machine, or is outside every allowed folder.
    """
    path = _path(url)
    # Links are followed before judging, so that none leads out of the allowed folders. Unlike
    # Path.resolve this does not raise where they go in a circle.
    real = Path(os.path.realpath(path))
    roots = [Path(entry).resolve() for entry in map(_local, allowed) if entry]
    if not any(real.is_relative_to(root) for root in roots):
        places = ", ".join(map(str, roots)) or "none"
        raise SourceNotAllowed(
            f"{path} is outside the allowed sources ({places}): add it to data.allowed_sources."
        )
    return path


def local_source(url: str, allowed: Iterable[str | Path]) -> Path:
    """Return the folder or the file that `url` names.

    Raises
    ------
    SourceNotAllowed
        As for `local_path`.
    NoFilesFound
        When there is no such folder or file.
    """
    path = local_path(url, allowed)
    if not path.exists():
        raise NoFilesFound(f"There is no folder {path}.")
    return path


def is_inside(path: Path, allowed: Iterable[str | Path]) -> bool:
    """Return whether a path is within the allowed folders, links followed."""
    try:
        local_path(str(path), allowed)
    except SourceNotAllowed:
        return False
    return True


def _path(url: str) -> Path:
    parts = urlsplit(url)
    if parts.scheme not in {"", "file"} or parts.netloc not in {"", "localhost"}:
        raise SourceNotAllowed(f"{url}: {_WHAT}")
    path = Path(unquote(parts.path)) if parts.scheme else Path(url)
    if not path.is_absolute() or "\0" in str(path):
        raise SourceNotAllowed(f"{url}: {_WHAT}")
    return path.resolve() if ".." in path.parts else path


def _local(entry: str | Path) -> str:
    text = str(entry)
    if text.startswith("file:"):
        return unquote(urlsplit(text).path)
    return "" if "://" in text else text


def frames_in(folder: Path | FitsFiles, leave_out: Path | None = None) -> list[Path]:
    """Return the FITS files of a folder and its subfolders, sorted by path.

    Parameters
    ----------
    folder : pathlib.Path or FitsFiles
        Where to look.
    leave_out : pathlib.Path, optional
        A folder inside it that is not looked at: that of the products.

    Raises
    ------
    NoFilesFound
        When there is none.
    """
    return sorted(_frames(folder, leave_out))


def require_frame(folder: Path | FitsFiles, leave_out: Path | None = None) -> None:
    """Raise what `frames_in` would, but look no further than to the first."""
    next(_frames(folder, leave_out))


def _frames(folder: Path | FitsFiles, leave_out: Path | None) -> Iterator[Path]:
    files = FitsFiles(folder) if isinstance(folder, Path) else folder
    skipped = None if leave_out is None else leave_out.resolve()
    # Where the folder is itself that of the products, headers tell the products from the frames.
    if skipped == files.folder.resolve():
        skipped = None
    found = False
    for path in files:
        if skipped is None or not Path(os.path.realpath(path)).is_relative_to(skipped):
            found = True
            yield path
    if not found and files.folder in files.closed:
        raise NoFilesFound(f"{files.folder} may not be read: what is in it is not known.")
    if not found:
        raise NoFilesFound(f"There is no FITS file in {files.folder}.")


_ARCHIVES = (
    ".tar",
    ".tar.gz",
    ".tgz",
    ".tar.bz2",
    ".tbz2",
    ".tbz",
    ".tar.xz",
    ".txz",
    ".zip",
)


def stem(path: Path) -> str:
    """Return the name of a FITS file without its FITS suffix, whatever its case."""
    return FITS_SUFFIX.sub("", path.name)


def is_archive(name: str) -> bool:
    """Return whether a file of this name is one."""
    return name.lower().endswith(_ARCHIVES)


def without_suffix(name: str) -> str:
    """Return the name of an archive without what says that it is one."""
    found = max((end for end in _ARCHIVES if name.lower().endswith(end)), key=len, default="")
    return name[: len(name) - len(found)] or name


def recordable(text: str) -> str:
    """Return a name as the archive can keep it: bytes that are no UTF-8 are written out."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def require_recordable(path: Path) -> None:
    """Raise `UnusableFrame` if the name of a file could not be found again in the archive."""
    text = str(path)
    if recordable(text) != text:
        raise UnusableFrame(f"The name of {recordable(text)} is not in UTF-8: rename it.")
