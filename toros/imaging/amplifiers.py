"""Raw files of one or more amplifiers as one frame: overscan subtracted, trimmed, in place.

Where amplifiers differ in gain, each is brought to the mean of their gains, so that the frame has
one gain (`ExposureInfo.gain_e_adu`) and its masters are in one unit.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from toros.common.errors import UnreadableFile
from toros.imaging.fits_io import read_pixels
from toros.imaging.headers import ExposureInfo
from toros.imaging.headers.layout import Amplifier, Layout
from toros.imaging.options import ReductionOptions
from toros.imaging.overscan import along_rows, median_level, overscan_level

A = TypeVar("A", bound=np.generic)

_DEFAULTS = ReductionOptions()


def assemble(
    hdus: fits.HDUList, path: Path, info: ExposureInfo, options: ReductionOptions = _DEFAULTS
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the pixels of a frame with a layout, which are saturated, and which are nowhere.

    Parameters
    ----------
    hdus : astropy.io.fits.HDUList
        The open file.
    info : ExposureInfo
        Its header; `ExposureInfo.layout` is there.

    Returns
    -------
    pixels, saturated, empty : numpy.ndarray
        Each [y, x] of `ExposureInfo.shape`. Saturation is judged on the raw level; `empty` pixels
        (gaps between detectors, values that are not finite) are 0.

    Raises
    ------
    UnreadableFile
        If an amplifier's image is missing or cut off.
    """
    layout = info.layout
    if layout is None:
        raise UnreadableFile(f"{path}: is no frame of amplifiers.")
    pixels = np.zeros(layout.shape, dtype=np.float32)
    saturated = np.zeros(layout.shape, dtype=np.bool_)
    empty = np.ones(layout.shape, dtype=np.bool_)
    raw_of: dict[int, NDArray[np.generic]] = {}
    for amplifier in layout.amplifiers:
        if amplifier.hdu not in raw_of:
            if amplifier.hdu >= len(hdus):
                raise UnreadableFile(f"{path}: the image of an amplifier is missing.")
            raw_of[amplifier.hdu] = read_pixels(hdus[amplifier.hdu], path)
        raw = raw_of[amplifier.hdu]
        data = raw[amplifier.data.slices].astype(np.float32)
        finite = np.isfinite(data)
        data[~finite] = 0
        full = np.zeros(data.shape, dtype=np.bool_)
        if info.saturation_adu is not None:
            full = data >= info.saturation_adu
        data -= _level(raw, amplifier, options)
        data *= _gain_factor(amplifier, layout)
        # Nor is there a value where the overscan has none.
        finite &= np.isfinite(data)
        data[~finite] = 0
        at = amplifier.place.slices
        pixels[at] = _turned(data, amplifier)
        saturated[at] = _turned(full, amplifier)
        empty[at] = _turned(~finite, amplifier)
    return pixels, saturated, empty


def _level(
    raw: NDArray[np.generic], amplifier: Amplifier, options: ReductionOptions
) -> NDArray[np.float32] | np.float32:
    """Return the overscan level, as it is subtracted from the amplifier's data [y, x]."""
    bias = amplifier.bias
    if bias is None or options.overscan == "off":
        return np.float32(0)
    by_rows = along_rows(amplifier)
    if by_rows is None:
        return median_level(raw[bias.slices].astype(np.float32))
    data = amplifier.data
    if by_rows:
        region = raw[data.y_start : data.y_stop, bias.x_start : bias.x_stop]
        level = overscan_level(region.astype(np.float32), options.overscan, options.overscan_degree)
        return level[:, np.newaxis]
    region = raw[bias.y_start : bias.y_stop, data.x_start : data.x_stop].T
    return overscan_level(region.astype(np.float32), options.overscan, options.overscan_degree)


def _gain_factor(amplifier: Amplifier, layout: Layout) -> np.float32:
    common = layout.gain_e_adu
    if common is None or amplifier.gain_e_adu is None:
        return np.float32(1)
    return np.float32(amplifier.gain_e_adu / common)


def _turned(image: NDArray[A], amplifier: Amplifier) -> NDArray[A]:
    """Return the pixels as they lie on the detector."""
    if amplifier.place.flip_x:
        image = image[:, ::-1]
    if amplifier.place.flip_y:
        image = image[::-1]
    return image


def read_noise_map(layout: Layout, frame_noise_e: float | None) -> NDArray[np.float32] | None:
    """Return the read noise of each pixel [e-], None where all amplifiers have the same.

    Parameters
    ----------
    layout : Layout
        The amplifiers.
    frame_noise_e : float, optional
        Taken where an amplifier does not tell.
    """
    known = [one.read_noise_e or frame_noise_e for one in layout.amplifiers]
    if len(set(known)) < 2 or any(noise is None for noise in known):
        return None
    noise_e = np.zeros(layout.shape, dtype=np.float32)
    for one, noise in zip(layout.amplifiers, known, strict=True):
        noise_e[one.place.slices] = noise
    return noise_e
