"""Frames that are gzipped as a whole, of which no rows can be read before all that comes before."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from toros.common.errors import UnreadableFile
from toros.imaging.gzipped import gzip_content, is_gzipped
from toros.imaging.raw import RawImage, opened_file
from toros.imaging.tiled import stored_image


@contextmanager
def opened_image(path: Path) -> Iterator[tuple[RawImage | None, int]]:
    """Open the first image of a file; yield what reads its rows, and from which descriptor.

    A gzipped file of counts is decompressed into a nameless temporary one: in memory it would take
    what all its pixels take. Where the image must be left to astropy, None is yielded.

    Raises
    ------
    UnreadableFile
        If the file cannot be opened or decompressed, or is cut off.
    """
    with opened_file(path) as descriptor:
        if not is_gzipped(path):
            yield stored_image(path), descriptor
            return
    with tempfile.TemporaryFile(prefix="toros-frame-") as file:
        for piece in gzip_content(path):
            file.write(piece)
        file.flush()
        image = _counts_in(file)
        if image is not None:
            yield replace(image, path=path), file.fileno()
            return
    yield None, -1


def _counts_in(file: BinaryIO) -> RawImage | None:
    try:
        image = stored_image(Path(f"/proc/self/fd/{file.fileno()}"))
    except UnreadableFile:
        # astropy says what is wrong, and of which file.
        return None
    return image if image is not None and image.is_counts else None
