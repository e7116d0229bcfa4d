"""FITS files in a folder."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

_FITS_NAME = re.compile(r"\.(fits|fit|fts)(\.gz|\.fz)?$", re.IGNORECASE)
# Each piece is waited for, where another thread has the interpreter's lock.
_PIECE_BYTES = 4 * 1024**2


def find_fits(folder: Path) -> list[Path]:
    """Return every FITS file under `folder`, sorted.

    .fits, .fit and .fts in any case, also with .gz or .fz; hidden files and folders are left out
    (a file that is being written has a hidden name).
    """
    return sorted(
        path
        for path in folder.rglob("*")
        if _FITS_NAME.search(path.name)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of the file's bytes, in hexadecimal."""
    digest, buffer = hashlib.sha256(), bytearray(_PIECE_BYTES)
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(buffer):
            digest.update(memoryview(buffer)[:size])
    return digest.hexdigest()
