"""A raw light as strips of rows: decoded, corrected, with uncertainty and mask."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from toros.imaging.fits_io import image_hdu, open_fits
from toros.imaging.frames import Frame, MaskBit, Pixels, read_frame, whole_header
from toros.imaging.headers import ExposureInfo
from toros.imaging.kernels.correcting import correct, decode_counts_with_mask, decode_with_mask
from toros.imaging.linearity import linearise_raw
from toros.imaging.options import ReductionOptions
from toros.imaging.products import Strip
from toros.imaging.raw import RawImage, raw_image, read_bytes
from toros.imaging.recipe import Recipe
from toros.imaging.sources import NO_BLANK, open_file

Bits = NDArray[np.uint8]

_NO_DATA = np.uint8(MaskBit.NO_DATA)
_SATURATED = np.uint8(MaskBit.SATURATED)


class RawLight:
    """An open raw frame, whose rows may be read from several threads.

    A plain image is read from its file as rows are wanted; any other is read whole at once.
    """

    def __init__(
        self, info: ExposureInfo, header: fits.Header, image: RawImage | Frame, descriptor: int
    ) -> None:
        self.info = info
        self.header = header
        self._image = image
        self._descriptor = descriptor
        self._saturation = np.inf if info.saturation_adu is None else info.saturation_adu

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        if isinstance(self._image, RawImage):
            return self._image.shape
        height, width = self._image.pixels.shape
        return height, width

    @property
    def without_pedestal(self) -> bool:
        """Whether the level of an overscan is subtracted already."""
        return isinstance(self._image, Frame) and self._image.without_pedestal

    @property
    def read_noise_e(self) -> Pixels | None:
        """Read noise by pixel [e-], where amplifiers differ in it."""
        return self._image.read_noise_e if isinstance(self._image, Frame) else None

    def rows(self, rows: slice) -> tuple[Pixels, Bits]:
        """Return rows as float32 [ADU], and their mask (`MaskBit`)."""
        if isinstance(self._image, Frame):
            return self._image.pixels[rows].copy(), self._image.mask[rows].copy()
        image, size = self._image, (rows.stop - rows.start, self._image.shape[1])
        raw = np.empty(size[0] * size[1], image.kind)
        read_bytes(self._descriptor, raw, image.offset + rows.start * image.row_bytes, image.path)
        pixels, mask = np.empty(raw.size, np.float32), np.empty(raw.size, np.uint8)
        if image.is_counts:
            saturation = 65536 if self._saturation > 65535 else int(np.ceil(self._saturation))
            decode_counts_with_mask(raw.view(np.uint16), pixels, mask, saturation, _SATURATED)
        else:
            native = raw.byteswap(inplace=True).view(raw.dtype.newbyteorder("="))
            blank = NO_BLANK if image.blank is None else image.blank
            decode_with_mask(
                native, pixels, mask, image.scale, image.zero, blank, self._saturation,
                _NO_DATA, _SATURATED,
            )  # fmt: skip
        return pixels.reshape(size), mask.reshape(size)


@contextmanager
def open_light(info: ExposureInfo, options: ReductionOptions) -> Iterator[RawLight]:
    """Open a raw frame.

    Raises
    ------
    UnreadableFile, UnusableFrame
        As `read_frame`.
    """
    plain = raw_image(info.path) if info.layout is None else None
    if plain is None:
        frame = read_frame(info.path, info, None, options)
        yield RawLight(info, frame.header, frame, -1)
        return
    with open_fits(info.path) as hdus:
        header = whole_header(hdus, image_hdu(hdus, info.path))
    descriptor = open_file(info.path)
    try:
        yield RawLight(info, header, plain, descriptor)
    finally:
        os.close(descriptor)


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
    linearity: Sequence[float] = ()

    def strip(self, rows: slice) -> Strip:
        """Read and correct some rows."""
        pixels, mask = self.light.rows(rows)
        base, response = self.recipe.base(rows), self.recipe.response(rows)
        if self.linearity:
            pixels[:] = linearise_raw(pixels, base.pedestal, self.linearity)
        uncertainty = np.empty_like(pixels)
        gain, variance, of_read_out = self.gain_e_adu, base.variance, self.variance_adu2
        if not isinstance(of_read_out, float):
            variance, of_read_out = variance + of_read_out[rows], 0.0
        correct(
            pixels.reshape(-1),
            mask.reshape(-1),
            uncertainty.reshape(-1),
            base.pedestal.reshape(-1),
            base.offset.reshape(-1),
            variance.reshape(-1),
            base.bad.reshape(-1),
            response.flat.reshape(-1),
            response.error.reshape(-1),
            response.bad.reshape(-1),
            np.float32(gain or 1.0),
            np.float32(1 / gain if gain else 0.0),
            np.float32(of_read_out),
            _NO_DATA,
        )
        return Strip(pixels, uncertainty, mask)
