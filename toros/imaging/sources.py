"""The frames of a stack as open files, of which strips of rows are read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toros.imaging.amplifier_rows import AmplifierRows, amplifier_rows
from toros.imaging.fits_io import image_hdu, open_fits, plane_shape, read_pixels
from toros.imaging.frames import Pixels, read_frame
from toros.imaging.headers import ExposureInfo
from toros.imaging.kernels.decoding import decode_counts, decode_floats
from toros.imaging.options import ReductionOptions
from toros.imaging.raw import RawImage, described, opened_file, saturated_from
from toros.imaging.unpacked import opened_image

# The kernels take what is masked as ∞.
MASKED = np.float32(np.inf)
# No integer pixel has this value.
NO_BLANK = -(2**62)


@dataclass(frozen=True)
class PlainSource:
    """An image as it stands in its file, and from where on it is saturated."""

    image: RawImage
    descriptor: int
    saturation_adu: float | None

    @property
    def saturation(self) -> int:
        """The first saturated count, for `stack_counts`."""
        return saturated_from(self.saturation_adu)

    def read_counts(self, rows: slice, counts: NDArray[np.uint16]) -> None:
        """Read rows as they stand in the file."""
        self.image.read_rows(self.descriptor, rows, counts)

    def read_floats(self, rows: slice, pixels: Pixels) -> None:
        """Read rows into flat `pixels`; what is no value or saturated becomes ∞."""
        image = self.image
        if image.is_counts:
            counts = image.rows(self.descriptor, rows).view(np.uint16).reshape(-1)
            decode_counts(counts, pixels, self.saturation, MASKED)
            return
        raw = image.rows(self.descriptor, rows).reshape(-1)
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


@dataclass(frozen=True)
class AmplifierSource:
    """A frame that is put together from what amplifiers read out."""

    image: AmplifierRows
    descriptor: int

    def read_floats(self, rows: slice, pixels: Pixels) -> None:
        """Read rows into flat `pixels`; what is no value or saturated becomes ∞."""
        found = pixels.reshape(rows.stop - rows.start, self.image.shape[1])
        mask = np.empty(found.shape, np.uint8)
        self.image.fill(self.descriptor, rows, found, mask)
        found[mask != 0] = MASKED


# One open frame; several threads may call its `read_floats`.
Source = PlainSource | AmplifierSource


@contextmanager
def open_sources(
    infos: Sequence[ExposureInfo], options: ReductionOptions
) -> Iterator[list[Source]]:
    """Open the frames of a stack.

    A frame of which no rows can be read (compressed as a whole, say, or of amplifiers that hold no
    counts) is kept decoded in a nameless temporary file.

    Raises
    ------
    UnreadableFile, UnusableFrame
        As `read_frame`.
    """
    with ExitStack() as opened:
        yield [_opened(info, options, opened) for info in infos]


def _opened(info: ExposureInfo, options: ReductionOptions, opened: ExitStack) -> Source:
    amplifiers = amplifier_rows(info, options)
    if amplifiers is not None:
        return AmplifierSource(amplifiers, opened.enter_context(opened_file(info.path)))
    if info.layout is None:
        image, descriptor = opened.enter_context(opened_image(info.path))
        if image is not None:
            return PlainSource(image, descriptor, info.saturation_adu)
    return _decoded(info, options, opened)


def _decoded(info: ExposureInfo, options: ReductionOptions, opened: ExitStack) -> PlainSource:
    if info.layout is None:
        with open_fits(info.path) as hdus:
            hdu = image_hdu(hdus, info.path)
            plane = plane_shape(hdu.shape)
            image = None if plane is None else described(info.path, hdu.header, plane)
            if image is not None and image.is_counts:
                # As a camera writes them: half as many bytes, and combined as they are.
                words = (read_pixels(hdu, info.path) ^ np.uint16(0x8000)).astype(">u2")
                return PlainSource(image, _kept(words, opened), info.saturation_adu)
    frame = read_frame(info.path, info, None, options)
    pixels = np.where(frame.mask != 0, np.float32(np.nan), frame.pixels)
    height, width = pixels.shape
    image = RawImage(info.path, 0, pixels.dtype, (height, width))
    return PlainSource(image, _kept(pixels, opened), None)


def _kept(pixels: NDArray[Any], opened: ExitStack) -> int:
    """Return the descriptor of a nameless file of these pixels, closed with `opened`."""
    file = tempfile.TemporaryFile(prefix="toros-stack-")  # noqa: SIM115 - closed with the others
    opened.enter_context(file)
    file.write(pixels.data.cast("B"))
    file.flush()
    return file.fileno()
