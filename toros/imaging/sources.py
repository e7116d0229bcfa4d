"""The frames of a stack as open files, of which strips of rows are read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from toros.imaging.amplifier_rows import AmplifierRows, amplifier_rows
from toros.imaging.fits_io import image_hdu, open_fits, read_pixels
from toros.imaging.frames import Pixels, read_frame
from toros.imaging.headers import ExposureInfo
from toros.imaging.kernels.decoding import decode_counts, decode_floats
from toros.imaging.options import ReductionOptions
from toros.imaging.raw import RawImage, opened_file, raw_image, saturated_from

# The kernels take what is masked as ∞.
MASKED = np.float32(np.inf)
# No integer pixel has this value.
NO_BLANK = -(2**62)


class Source(Protocol):
    """One open frame, whose rows may be read from several threads."""

    @property
    def path(self) -> Path:
        """Its file."""

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""

    def read_floats(self, rows: slice, pixels: Pixels) -> None:
        """Read rows into flat `pixels`; what is no value or saturated becomes ∞."""

    def will_need(self, rows: slice) -> None:
        """Ask the system to read these rows from the disk while something else is done."""


@dataclass(frozen=True)
class PlainSource:
    """An image as it stands in its file, and from where on it is saturated."""

    image: RawImage
    descriptor: int
    saturation_adu: float | None

    @property
    def path(self) -> Path:
        """Its file."""
        return self.image.path

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.image.shape

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
            counts = np.empty(pixels.size, np.uint16)
            self.read_counts(rows, counts)
            decode_counts(counts, pixels, self.saturation, MASKED)
            return
        raw = np.empty(pixels.size, image.kind)
        image.read_rows(self.descriptor, rows, raw)
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
        self.image.will_need(self.descriptor, rows)


@dataclass(frozen=True)
class AmplifierSource:
    """A frame that is put together from what amplifiers read out."""

    amplifiers: AmplifierRows
    descriptor: int

    @property
    def path(self) -> Path:
        """Its file."""
        return self.amplifiers.path

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.amplifiers.shape

    def read_floats(self, rows: slice, pixels: Pixels) -> None:
        """Read rows into flat `pixels`; what is no value or saturated becomes ∞."""
        found = pixels.reshape(rows.stop - rows.start, self.shape[1])
        mask = np.empty(found.shape, np.uint8)
        self.amplifiers.fill(self.descriptor, rows, found, mask)
        found[mask != 0] = MASKED

    def will_need(self, rows: slice) -> None:
        """Ask the system to read these rows from the disk while something else is done."""
        self.amplifiers.will_need(self.descriptor, rows)


@contextmanager
def open_sources(
    infos: Sequence[ExposureInfo], options: ReductionOptions
) -> Iterator[list[Source]]:
    """Open the frames of a stack.

    A frame that is neither a plain image in its file nor of amplifiers that are (compressed, say)
    is read once by `read_frame` and kept decoded in a nameless temporary file.

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
    plain = raw_image(info.path) if info.layout is None else None
    if plain is not None:
        descriptor = opened.enter_context(opened_file(info.path))
        return PlainSource(plain, descriptor, info.saturation_adu)
    return _decoded(info, options, opened)


def _decoded(info: ExposureInfo, options: ReductionOptions, opened: ExitStack) -> PlainSource:
    counts = _counts(info.path) if info.layout is None else None
    if counts is None:
        frame = read_frame(info.path, info, None, options)
        pixels = np.where(frame.mask != 0, np.float32(np.nan), frame.pixels)
        image = RawImage(info.path, 0, pixels.dtype, _size(pixels))
        return PlainSource(image, _kept(pixels, opened), None)
    # As a camera writes them: half as many bytes, and combined as they are.
    words = (counts ^ np.uint16(0x8000)).astype(">u2")
    image = RawImage(info.path, 0, np.dtype(">i2"), _size(words), zero=32768.0)
    return PlainSource(image, _kept(words, opened), info.saturation_adu)


def _counts(path: Path) -> NDArray[np.uint16] | None:
    """Return the pixels of a plane of unsigned 16-bit integers, None of anything else."""
    with open_fits(path) as hdus:
        hdu = image_hdu(hdus, path)
        header = hdu.header
        cards = [header.get(key) for key in ("BITPIX", "BZERO", "BSCALE", "BLANK")]
        if len(hdu.shape) != 2 or cards not in ([16, 32768, 1, None], [16, 32768, None, None]):
            return None
        return read_pixels(hdu, path)


def _size(pixels: NDArray[Any]) -> tuple[int, int]:
    height, width = pixels.shape
    return height, width


def _kept(pixels: NDArray[Any], opened: ExitStack) -> int:
    """Return the descriptor of a nameless file of these pixels, closed with `opened`."""
    file = tempfile.TemporaryFile(prefix="toros-stack-")  # noqa: SIM115 - closed with the others
    opened.enter_context(file)
    file.write(pixels.data.cast("B"))
    file.flush()
    return file.fileno()
