"""Files that are gzipped as a whole, read to their very end: there it is told whether they are so.

astropy stops at the last pixel, before the check sum, and takes what a damaged file holds for
pixels.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

from toros.common.errors import UnreadableFile

_MAGIC = b"\x1f\x8b"
_GZIP = 31  # zlib's word for: with gzip's header and check sum
# Of a frame that is all the same it is a thousand times as much.
_PIECE_BYTES = 16 * 1024


def is_gzipped(path: Path) -> bool:
    """Return whether a file is gzipped, whatever its name."""
    with path.open("rb", buffering=0) as file:
        return file.read(len(_MAGIC)) == _MAGIC


def gzip_content(path: Path) -> Iterator[bytes]:
    """Yield what a gzipped file holds, piece by piece.

    Raises
    ------
    UnreadableFile
        If it is damaged or cut off.
    """
    member = zlib.decompressobj(_GZIP)
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            try:
                yield member.decompress(piece)
                while member.eof and member.unused_data.startswith(_MAGIC):
                    rest, member = member.unused_data, zlib.decompressobj(_GZIP)
                    yield member.decompress(rest)
            except zlib.error as error:
                raise UnreadableFile(f"{path}: is damaged: {error}.") from error
            if len(member.unused_data) >= len(_MAGIC):
                return  # whatever it is: to gunzip, too, it is none of the file
    if not member.eof:
        raise UnreadableFile(f"{path}: is truncated: its compressed data end too soon.")


def check_gzipped(path: Path) -> None:
    """Raise where a file is gzipped and not whole; any other is not looked at.

    Raises
    ------
    UnreadableFile
        If so.
    """
    if is_gzipped(path):
        for _ in gzip_content(path):
            pass
