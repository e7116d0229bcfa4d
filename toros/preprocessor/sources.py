"""Where a file batch may come from, and which files of a folder are its frames."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from toros.common.errors import NoFilesFound, SourceNotAllowed
from toros.imaging.headers import find_fits


def local_folder(url: str, allowed: Iterable[str | Path]) -> Path:
    """Return the folder that `url` names.

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
        When it is not a folder of this machine, or is outside every allowed one.
    NoFilesFound
        When there is no such folder.
    """
    folder = _path(url)
    # Links are followed before judging, so that none leads out of the allowed folders.
    real = folder.resolve()
    roots = [Path(entry).resolve() for entry in map(_local, allowed) if entry]
    if not any(real.is_relative_to(root) for root in roots):
        places = ", ".join(map(str, roots)) or "none"
        raise SourceNotAllowed(
            f"{folder} is outside the allowed sources ({places}): add it to data.allowed_sources."
        )
    if not folder.is_dir():
        raise NoFilesFound(f"There is no folder {folder}.")
    return folder


def _path(url: str) -> Path:
    parts = urlsplit(url)
    if parts.scheme in {"http", "https"}:
        raise SourceNotAllowed(
            f"{url}: this version takes no file batch over {parts.scheme}; "
            "copy it to a folder of this machine."
        )
    if parts.scheme not in {"", "file"} or parts.netloc not in {"", "localhost"}:
        raise SourceNotAllowed(f"{url}: a file batch is an absolute path or a file: URL.")
    path = Path(unquote(parts.path)) if parts.scheme else Path(url)
    if not path.is_absolute() or "\0" in str(path):
        raise SourceNotAllowed(f"{url}: a file batch is an absolute path or a file: URL.")
    return path.resolve() if ".." in path.parts else path


def _local(entry: str | Path) -> str:
    text = str(entry)
    if text.startswith("file:"):
        return unquote(urlsplit(text).path)
    return "" if "://" in text else text


def frames_in(folder: Path, leave_out: Path | None = None) -> list[Path]:
    """Return the FITS files of `folder` and its subfolders, sorted by path.

    Parameters
    ----------
    folder : pathlib.Path
        Where to look.
    leave_out : pathlib.Path, optional
        A folder inside it that is not looked at: that of the products.

    Raises
    ------
    NoFilesFound
        When there is none.
    """
    found = find_fits(folder)
    # Where the folder is itself that of the products, headers tell the products from the frames.
    if leave_out is not None and leave_out.resolve() != folder.resolve():
        skipped = leave_out.resolve()
        found = [path for path in found if not path.resolve().is_relative_to(skipped)]
    if not found:
        raise NoFilesFound(f"There is no FITS file in {folder}.")
    return found


def stem(path: Path) -> str:
    """Return the name of a FITS file without its FITS suffix, whatever its case."""
    return re.sub(r"\.(fits|fit|fts)(\.gz|\.fz)?$", "", path.name, flags=re.IGNORECASE)
