"""A raw light as strips of rows: decoded, corrected, with uncertainty and mask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from toros.common.errors import UnusableFrame
from toros.imaging.amplifier_rows import AmplifierRows, amplifier_rows
from toros.imaging.amplifiers import read_noise_map
from toros.imaging.fits_io import image_hdu, open_fits
from toros.imaging.frames import Frame, Pixels, read_frame, whole_header, without_pedestal
from toros.imaging.headers import ExposureInfo, require_counts
from toros.imaging.kernels.correcting import (
    MaskBits,
    Terms,
    Words,
    correct,
    correct_counts,
    decode_counts_with_mask,
    decode_with_mask,
)
from toros.imaging.linearity import linearise_raw
from toros.imaging.mask_bits import MaskBit
from toros.imaging.master_words import flat
from toros.imaging.options import ReductionOptions
from toros.imaging.pool import strips
from toros.imaging.products import Strip
from toros.imaging.raw import RawImage, opened_file, saturated_from
from toros.imaging.recipe import Recipe
from toros.imaging.sampling import only_value, sample_rows
from toros.imaging.sources import NO_BLANK
from toros.imaging.unpacked import opened_image

Bits = NDArray[np.uint8]

_MARKS = MaskBits(
    no_data=np.uint8(MaskBit.NO_DATA),
    saturated=np.uint8(MaskBit.SATURATED),
    bad_master=np.uint8(MaskBit.BAD_MASTER),
    bad_flat=np.uint8(MaskBit.BAD_FLAT),
    bad_pixel=np.uint8(MaskBit.BAD_PIXEL),
)


class RawLight:
    """An open raw frame, whose rows may be read from several threads.

    A plain image, one whose rows are compressed each by itself, or one of amplifiers that are so,
    is read from its file as rows are wanted, and counts that are gzipped as a whole from a
    temporary one; any other is read whole at once.
    """

    def __init__(
        self,
        info: ExposureInfo,
        options: ReductionOptions,
        image: RawImage | AmplifierRows | Frame,
        descriptor: int,
    ) -> None:
        self.info = info
        self._options = options
        self._image = image
        self._descriptor = descriptor
        self._saturation = np.inf if info.saturation_adu is None else info.saturation_adu

    @cached_property
    def header(self) -> fits.Header:
        """The header of the image with what it inherits."""
        if isinstance(self._image, Frame):
            return self._image.header
        with open_fits(self.info.path) as hdus:
            return whole_header(hdus, image_hdu(hdus, self.info.path))

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        if isinstance(self._image, Frame):
            height, width = self._image.pixels.shape
            return height, width
        return self._image.shape

    @property
    def without_pedestal(self) -> bool:
        """Whether the level of an overscan is subtracted already."""
        return without_pedestal(self.info, self._options)

    @cached_property
    def read_noise_e(self) -> Pixels | None:
        """Read noise by pixel [e-], where amplifiers differ in it."""
        layout = self.info.layout
        return None if layout is None else read_noise_map(layout, self.info.read_noise_e)

    def rows(self, rows: slice) -> tuple[Pixels, Bits]:
        """Return rows as float32 [ADU], and their mask (`MaskBit`)."""
        if isinstance(self._image, Frame):
            return self._image.pixels[rows].copy(), self._image.mask[rows].copy()
        if isinstance(self._image, AmplifierRows):
            return self._image.read(self._descriptor, rows)
        image, size = self._image, (rows.stop - rows.start, self._image.shape[1])
        raw = self.raw(rows)
        pixels, mask = np.empty(raw.size, np.float32), np.empty(raw.size, np.uint8)
        if image.is_counts:
            counts = raw.view(np.uint16)
            decode_counts_with_mask(counts, pixels, mask, self.saturation, _MARKS.saturated)
        else:
            native = raw.byteswap(inplace=True).view(raw.dtype.newbyteorder("="))
            blank = NO_BLANK if image.blank is None else image.blank
            decode_with_mask(
                native, pixels, mask, image.scale, image.zero, blank, self._saturation,
                _MARKS.no_data, _MARKS.saturated,
            )  # fmt: skip
        return pixels.reshape(size), mask.reshape(size)

    @property
    def is_counts(self) -> bool:
        """Whether the file holds unsigned 16-bit integers, with nothing to be done to them."""
        return isinstance(self._image, RawImage) and self._image.is_counts

    @property
    def saturation(self) -> int:
        """The smallest count that is saturated; 65536: none."""
        return saturated_from(self.info.saturation_adu)

    def raw(self, rows: slice) -> NDArray[Any]:
        """Return rows of a plain image as they stand in its file."""
        image = self._image
        if not isinstance(image, RawImage):
            raise TypeError(f"{self.info.path}: is no plain image.")
        return image.rows(self._descriptor, rows).reshape(-1)


@contextmanager
def open_light(info: ExposureInfo, options: ReductionOptions) -> Iterator[RawLight]:
    """Open a raw frame.

    Raises
    ------
    UnreadableFile, UnusableFrame
        As `read_frame`.
    """
    if info.layout is None:
        with opened_image(info.path) as (image, descriptor):
            found = read_frame(info.path, info, None, options) if image is None else image
            yield RawLight(info, options, found, descriptor)
        return
    amplifiers = amplifier_rows(info, options)
    if amplifiers is None:
        yield RawLight(info, options, read_frame(info.path, info, None, options), -1)
        return
    with opened_file(info.path) as descriptor:
        yield RawLight(info, options, amplifiers, descriptor)


def require_picture(light: RawLight) -> None:
    """Raise where all pixels that have a value, and are not saturated, have the same.

    And where they are no counts of a camera. Of any other frame a few rows are read.

    Raises
    ------
    UnusableFrame
        If so: the shutter, the cable or the read-out has failed.
    """
    require_counts(light.info)

    def good(rows: slice) -> Pixels:
        pixels, mask = light.rows(rows)
        usable: Pixels = pixels[mask == 0]
        return usable

    found = only_value(map(good, chain(sample_rows(light.shape), strips(*light.shape))))
    if found is None:
        return
    value = "the same value" if light.without_pedestal else f"the value {found:g}"
    raise UnusableFrame(
        f"{light.info.path}: all its pixels have {value}: it holds no picture. Look at the "
        "shutter, the cable and the read-out of the camera."
    )


@dataclass(frozen=True)
class Correction:
    """How the rows of a light are corrected.

    Parameters
    ----------
    gain_e_adu : float, optional
        Electrons per ADU; without one the light stays in ADU.
    variance_adu2 : float or numpy.ndarray
        Of the read-out [ADU²], of all pixels or by pixel; where the gain is unknown, of
        everything.
    """

    light: RawLight
    recipe: Recipe
    gain_e_adu: float | None
    variance_adu2: float | Pixels
    flat_floor: float
    linearity: Sequence[float] = ()

    def strip(self, rows: slice) -> Strip:
        """Read and correct some rows."""
        pixels, mask = self.light.rows(rows)
        if self.linearity:
            pixels[:] = linearise_raw(pixels, self.recipe.pedestal(rows), self.linearity)
        uncertainty = np.empty_like(pixels)
        correct(
            pixels.reshape(-1),
            mask.reshape(-1),
            uncertainty.reshape(-1),
            self.recipe.rows(rows),
            self._read_variance(rows),
            self._terms,
            _MARKS,
        )
        return Strip(pixels, uncertainty, mask)

    @property
    def is_of_counts(self) -> bool:
        """Whether `encode` can be used."""
        return self.light.is_counts and not self.linearity

    def encode(self, rows: slice, pixels: Words, uncertainty: Words, mask: Bits) -> tuple[int, int]:
        """Do what `strip` does, into words as they stand in a FITS file; return their sums."""
        return correct_counts(
            self.light.raw(rows).view(np.uint16),
            self.light.saturation,
            self.recipe.rows(rows),
            self._read_variance(rows),
            self._terms,
            _MARKS,
            pixels,
            uncertainty,
            mask,
        )

    @property
    def _terms(self) -> Terms:
        gain = self.gain_e_adu
        return Terms(
            dark_scale=np.float32(self.recipe.dark_scale),
            dark_is_pedestal=self.recipe.dark_is_pedestal,
            bias_share=np.float32(self.recipe.bias_share),
            flat_floor=np.float32(self.flat_floor),
            gain=np.float32(gain or 1.0),
            per_photon=np.float32(1 / gain if gain else 0.0),
        )

    def _read_variance(self, rows: slice) -> Pixels:
        if isinstance(self.variance_adu2, float):
            return _same(self.variance_adu2, (rows.stop - rows.start) * self.light.shape[1])
        return flat(self.variance_adu2, rows)


@lru_cache(maxsize=4)
def _same(value: float, size: int) -> Pixels:
    return flat(np.full(size, value, np.float32), slice(None))
