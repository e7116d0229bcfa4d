"""The frames of a stack as open files, of which strips of rows are read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toros.common.errors import UnreadableFile
from toros.imaging.frames import Pixels, read_frame
from toros.imaging.headers import ExposureInfo
from toros.imaging.kernels.decoding import decode_counts, decode_floats
from toros.imaging.options import ReductionOptions
from toros.imaging.raw import RawImage, raw_image, read_bytes

# The kernels take what is masked as ∞.
MASKED = np.float32(np.inf)
# No integer pixel has this value.
NO_BLANK = -(2**62)


@dataclass(frozen=True)
class Source:
    """One frame: an open file, where its pixels are, and from where on they are saturated."""

    image: RawImage
    descriptor: int
    saturation_adu: float | None

    @property
    def saturation(self) -> int:
        """The first saturated count, for `stack_counts`."""
        return 65536 if self.saturation_adu is None else max(ceil(self.saturation_adu), 0)

    def read_counts(self, rows: slice, counts: NDArray[np.uint16]) -> None:
        """Read rows as they stand in the file."""
        image = self.image
        read_bytes(self.descriptor, counts, image.offset + rows.start * image.row_bytes, image.path)

    def read_floats(self, rows: slice, pixels: Pixels) -> None:
        """Read rows into flat `pixels`; what is no value or saturated becomes ∞."""
        image = self.image
        if image.is_counts:
            counts = np.empty(pixels.size, np.uint16)
            self.read_counts(rows, counts)
            decode_counts(counts, pixels, self.saturation, MASKED)
            return
        raw = np.empty(pixels.size, image.kind)
        read_bytes(self.descriptor, raw, image.offset + rows.start * image.row_bytes, image.path)
        if not raw.dtype.isnative:
            raw = raw.byteswap(inplace=True).view(raw.dtype.newbyteorder("="))
        decode_floats(
            raw,
            pixels,
            image.scale,
            image.zero,
            NO_BLANK if image.blank is None else image.blank,
            np.inf if self.saturation_adu is None else self.saturation_adu,
            MASKED,
        )

    def will_need(self, rows: slice) -> None:
        """Ask the system to read these rows from the disk while something else is done."""
        start, size = rows.start * self.image.row_bytes, rows.stop - rows.start
        os.posix_fadvise(
            self.descriptor,
            self.image.offset + start,
            size * self.image.row_bytes,
            os.POSIX_FADV_WILLNEED,
        )


@contextmanager
def open_sources(
    infos: Sequence[ExposureInfo], options: ReductionOptions
) -> Iterator[list[Source]]:
    """Open the frames of a stack.

    A frame that is not a plain image in its file (compressed, of several amplifiers, with an
    overscan) is read once by `read_frame` and kept decoded in a nameless temporary file.

    Raises
    ------
    UnreadableFile, UnusableFrame
        As `read_frame`.
    """
    with ExitStack() as opened:
        sources = []
        for info in infos:
            plain = None
            if info.layout is None:
                plain = raw_image(info.path)
            if plain is not None:
                descriptor = open_file(info.path)
                opened.callback(os.close, descriptor)
                sources.append(Source(plain, descriptor, info.saturation_adu))
            else:
                sources.append(_decoded(info, options, opened))
        yield sources


def open_file(path: Path) -> int:
    """Return a descriptor of the open file `path`.

    Raises
    ------
    UnreadableFile
        If it cannot be opened.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UnreadableFile(f"{path}: cannot be opened: {error}.") from error


def _decoded(info: ExposureInfo, options: ReductionOptions, opened: ExitStack) -> Source:
    frame = read_frame(info.path, info, None, options)
    pixels = np.where(frame.mask != 0, np.float32(np.nan), frame.pixels)
    file = tempfile.TemporaryFile(prefix="toros-stack-")  # noqa: SIM115 - closed with the others
    opened.enter_context(file)
    file.write(pixels.data.cast("B"))
    file.flush()
    height, width = pixels.shape
    return Source(RawImage(info.path, 0, pixels.dtype, (height, width)), file.fileno(), None)
