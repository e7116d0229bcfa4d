"""Rows of a frame that amplifiers read out, put together as they are wanted.

`toros.imaging.amplifiers` does the same with a whole frame in memory, whatever its file. Here only
the levels of the overscan are found ahead. That takes what most cameras write: unsigned 16-bit
counts, plain or each row compressed by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toros.common.errors import UnreadableFile
from toros.common.file_stamp import FileStamp, file_stamp
from toros.imaging.amplifiers import gain_factor, level_under
from toros.imaging.fits_io import open_fits
from toros.imaging.headers import ExposureInfo
from toros.imaging.headers.layout import Amplifier, Layout
from toros.imaging.kernels.placing import Place, place_counts
from toros.imaging.mask_bits import MaskBit
from toros.imaging.options import ReductionOptions
from toros.imaging.pool import strips
from toros.imaging.raw import RawImage, opened_file, saturated_from
from toros.imaging.tiled import image_in, is_plain_file

Pixels = NDArray[np.float32]
Counts = NDArray[np.uint16]

# Frames whose levels are remembered: a stack of more finds them anew as it goes through them again.
_REMEMBERED = 128


@dataclass(frozen=True)
class _Part:
    """One amplifier: the image that its counts are in, and what is under them.

    Parameters
    ----------
    by_row, by_column : numpy.ndarray
        The level of its overscan under the rows and the columns of its data; one of them is 0.
    factor : float
        To the gain of the frame.
    """

    amplifier: Amplifier
    image: RawImage
    by_row: Pixels
    by_column: Pixels
    factor: np.float32

    def rows(self, rows: slice) -> tuple[slice, slice] | None:
        """Return which rows of its image are among these of the frame, and where they go."""
        place, data = self.amplifier.place, self.amplifier.data
        start, stop = max(rows.start, place.y_start), min(rows.stop, place.y_stop)
        if start >= stop:
            return None
        before = place.y_stop - stop if place.flip_y else start - place.y_start
        first = data.y_start + before
        lines = slice(first, first + stop - start)
        return lines, slice(start - rows.start, stop - rows.start)

    def fill(
        self, raw: Counts, lines: slice, saturation: int, pixels: Pixels, mask: NDArray[np.uint8]
    ) -> None:
        """Put the rows `lines` of its image, `raw`, into some rows of the frame."""
        place, data = self.amplifier.place, self.amplifier.data
        place_counts(
            raw,
            self.by_row[lines.start - data.y_start : lines.stop - data.y_start],
            self.by_column,
            self.factor,
            saturation,
            Place(data.x_start, place.x_start, data.shape[1], place.flip_y, place.flip_x),
            pixels,
            mask,
            np.uint8(MaskBit.SATURATED),
        )


@dataclass(frozen=True)
class AmplifierRows:
    """A frame of amplifiers, whose rows may be read from several threads.

    Parameters
    ----------
    path : pathlib.Path
        Its file.
    shape : tuple of int
        (height, width), trimmed, all amplifiers in place.
    saturation : int
        The first count that is saturated; 65536: none.
    """

    path: Path
    shape: tuple[int, int]
    saturation: int
    parts: tuple[_Part, ...]

    @cached_property
    def has_gaps(self) -> bool:
        """Whether there are pixels that no amplifier has."""
        covered = sum(prod(part.amplifier.data.shape) for part in self.parts)
        return covered < prod(self.shape)

    def read(self, descriptor: int, rows: slice) -> tuple[Pixels, NDArray[np.uint8]]:
        """Return rows [ADU], the overscan subtracted, and their mask (`MaskBit`).

        Gaps between amplifiers are 0.

        Raises
        ------
        UnreadableFile
            If the open file `descriptor` ends too soon.
        """
        size = (rows.stop - rows.start, self.shape[1])
        pixels, mask = np.empty(size, np.float32), np.empty(size, np.uint8)
        self.fill(descriptor, rows, pixels, mask)
        return pixels, mask

    def fill(self, descriptor: int, rows: slice, pixels: Pixels, mask: NDArray[np.uint8]) -> None:
        """Do what `read` does, into arrays that are there."""
        if self.has_gaps:
            pixels[:], mask[:] = 0, MaskBit.NO_DATA
        read: dict[tuple[int, int], Counts] = {}
        for part in self.parts:
            found = part.rows(rows)
            if found is None:
                continue
            lines, to = found
            # Amplifiers side by side may be in one image.
            key = part.image.offset, lines.start
            if key not in read or len(read[key]) < lines.stop - lines.start:
                read[key] = part.image.rows(descriptor, lines).view(np.uint16)
            raw = read[key][: lines.stop - lines.start]
            part.fill(raw, lines, self.saturation, pixels[to], mask[to])

    def will_need(self, descriptor: int, rows: slice) -> None:
        """Ask the system to read what these rows take while something else is done."""
        for part in self.parts:
            found = part.rows(rows)
            if found is not None:
                part.image.will_need(descriptor, found[0])


def amplifier_rows(info: ExposureInfo, options: ReductionOptions) -> AmplifierRows | None:
    """Return what reads the rows of a frame with a layout; None where its file is another kind.

    Raises
    ------
    UnreadableFile
        If the file cannot be read, or an amplifier's image is missing or cut off.
    """
    if info.layout is None:
        return None
    try:
        stamp = file_stamp(info.path)
    except OSError as error:
        raise UnreadableFile(f"{info.path}: cannot be opened: {error}.") from error
    parts = _parts(info.path, stamp, info.layout, options)
    if parts is None:
        return None
    saturation = saturated_from(info.saturation_adu)
    return AmplifierRows(info.path, info.layout.shape, saturation, parts)


def forget_levels() -> None:
    """Find the levels of all frames anew."""
    _parts.cache_clear()


@lru_cache(maxsize=_REMEMBERED)
def _parts(
    path: Path, _stamp: FileStamp, layout: Layout, options: ReductionOptions
) -> tuple[_Part, ...] | None:
    images = _images(path, [one.hdu for one in layout.amplifiers])
    if images is None:
        return None
    with opened_file(path) as descriptor:
        return tuple(
            _part(descriptor, image, one, layout, options)
            for one, image in zip(layout.amplifiers, images, strict=True)
        )


def _part(
    descriptor: int,
    image: RawImage,
    amplifier: Amplifier,
    layout: Layout,
    options: ReductionOptions,
) -> _Part:
    level = np.asarray(level_under(_OnDisk(descriptor, image), amplifier, options), np.float32)
    height, width = amplifier.data.shape
    by_row, by_column = np.zeros(height, np.float32), np.zeros(width, np.float32)
    if level.ndim == 1:
        by_column[:] = level
    else:
        by_row[:] = level.reshape(-1)
    return _Part(amplifier, image, by_row, by_column, gain_factor(amplifier, layout))


def _images(path: Path, wanted: Sequence[int]) -> list[RawImage] | None:
    """Return where the images of some HDUs are; None unless all hold counts."""
    if not is_plain_file(path):
        return None
    with open_fits(path, tiles_as_tables=True) as hdus:
        if max(wanted) >= len(hdus):
            raise UnreadableFile(f"{path}: the image of an amplifier is missing.")
        images = [image_in(path, hdus[index]) for index in wanted]
    plain = [image for image in images if image is not None and image.is_counts]
    return plain if len(plain) == len(images) else None


class _OnDisk:
    """Sections of an image in a file, as an array gives them."""

    def __init__(self, descriptor: int, image: RawImage) -> None:
        self._descriptor, self._image = descriptor, image

    def __getitem__(self, at: tuple[slice, slice]) -> Counts:
        rows, columns = at
        found = np.empty((rows.stop - rows.start, columns.stop - columns.start), np.uint16)
        for part in strips(len(found), self._image.shape[1]):
            lines = slice(rows.start + part.start, rows.start + part.stop)
            raw = self._image.rows(self._descriptor, lines)[:, columns]
            found[part] = raw.view(">u2").astype(np.uint16) ^ np.uint16(0x8000)
        return found
