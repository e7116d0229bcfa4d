"""FITS files, known by their names, in a folder and all below it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

FITS_SUFFIX = re.compile(r"\.(fits|fit|fts)(\.gz|\.fz)?$", re.IGNORECASE)
# Where a disk is mounted: root's own, and no frame is in it.
_OF_THE_FILE_SYSTEM = "lost+found"


def is_fits_name(name: str) -> bool:
    """Return whether a file of this name is a FITS file.

    .fits, .fit and .fts in any case, also with .gz or .fz; a file that is being written has a
    hidden name.
    """
    return not name.startswith(".") and FITS_SUFFIX.search(name) is not None


def _anywhere(link: Path) -> bool:
    return True


@dataclass(frozen=True)
class FitsFiles:
    """The FITS files under a folder; to iterate over it looks for them, in no order.

    A link that leads to nothing is one of them: who opens it is told that a file is missing. Hidden
    folders are left out. Links to folders are followed after the folders that are there
    themselves, to none twice and to none that `folder` is in.

    Parameters
    ----------
    folder : pathlib.Path
        Where to look.
    follow : callable
        Says of a link to a folder whether it is followed.

    Attributes
    ----------
    closed : set of pathlib.Path
        Folders that could not be looked into, as far as they were met.
    not_followed : list of pathlib.Path
        Links that `follow` refused, as far as they were met.
    """

    folder: Path
    follow: Callable[[Path], bool] = _anywhere
    closed: set[Path] = field(default_factory=set, init=False)
    not_followed: list[Path] = field(default_factory=list, init=False)

    def __iter__(self) -> Iterator[Path]:
        """Yield the path of each."""
        pending = [self.folder]
        seen = {str(above) for above in self.folder.resolve().parents}
        while pending:
            for where, folders, names in os.walk(pending.pop(0), onerror=self._could_not):
                real = os.path.realpath(where)
                if real in seen:
                    folders.clear()
                    continue
                seen.add(real)
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                here = Path(where)
                for link in (here / name for name in folders if (here / name).is_symlink()):
                    (pending if self.follow(link) else self.not_followed).append(link)
                files = (here / name for name in names if is_fits_name(name))
                yield from (path for path in files if _is_file_or_leads_nowhere(path))

    def _could_not(self, error: OSError) -> None:
        path = Path(error.filename)
        if isinstance(error, PermissionError) and path.name != _OF_THE_FILE_SYSTEM:
            self.closed.add(path)


def _is_file_or_leads_nowhere(path: Path) -> bool:
    try:
        return path.is_file() or (path.is_symlink() and not path.exists())
    except PermissionError:  # behind a folder that is closed: who opens it is told
        return True


def is_folder(path: Path) -> bool:
    """Return whether a path leads to a folder; what may not be asked is none."""
    try:
        return path.is_dir()
    except PermissionError:
        return False


def find_fits(folder: Path) -> list[Path]:
    """Return every FITS file under `folder`, sorted; see `FitsFiles`."""
    return sorted(FitsFiles(folder))
