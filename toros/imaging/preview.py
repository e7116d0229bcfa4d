"""A picture of a FITS image, good to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from toros.common.atomic import atomic_path
from toros.imaging.fits_io import image_hdu, open_fits, read_pixels
from toros.imaging.headers import ExposureInfo, read_exposure
from toros.imaging.kernels.masters import block_means, decode_words
from toros.imaging.mask_bits import MaskBit
from toros.imaging.raw import RawImage, raw_image

if TYPE_CHECKING:
    from astropy.visualization import ImageNormalize

# Above the zscale range so many times its width is shown, so that stars do not all burn out.
_HEADROOM = 6.0
# ... but no further than where the image has light: a flat frame has no stars.
_BRIGHTEST_PERCENT = 99.9
# Noise is hardly smaller after more, but takes three times as long.
_COMPRESS_LEVEL = 1
# Rows of the picture that are averaged at a time.
_LINES = 16
_UNMARKED = np.empty(0, np.uint8)
# Kind, scale and zero of float32 as they stand in a file.
_REAL = (np.dtype(">f4"), 1.0, 0.0)
# That are written at the scale of greys.
_LEVELS = 7
# Pixels of the picture; larger images are averaged down.
_LARGEST_SIDE = 704
# The mask is not read for less than this part of an image.
_FEW = 0.005


def write_preview(fits_path: Path, png_path: Path, *, title: str | None = None) -> Path:
    """Write a PNG of the first image of `fits_path`: zscale limits, asinh stretch, north as it is.

    Parameters
    ----------
    fits_path, png_path : pathlib.Path
        The image, and the picture to write (atomically).
    title : str, optional
        Otherwise made of the object, filter, exposure time and date of the header.

    Returns
    -------
    pathlib.Path
        `png_path`.

    Raises
    ------
    UnreadableFile
        If the image cannot be read.
    """
    # Imported here: who makes no previews need not wait for it.
    from toros.imaging.picture_frame import framed

    info = read_exposure(fits_path)
    small, shape, unit = _read(fits_path)
    norm = _norm(small)
    levels = [_label(level) for level in _levels(norm)]
    page = framed(_grey(small, norm), shape, title or _title(info), levels, unit)
    with atomic_path(png_path) as temporary:
        page.save(temporary, format="PNG", compress_level=_COMPRESS_LEVEL)
    return png_path


def _grey(pixels: NDArray[np.float64], norm: ImageNormalize) -> NDArray[np.uint8]:
    """Return the picture, a small image larger than it is; white where there is no value."""
    times = max(1, _LARGEST_SIDE // max(pixels.shape))
    grey = np.full(pixels.shape, 255, np.uint8)
    good = np.isfinite(pixels)
    grey[good] = np.round(255 * np.asarray(norm(pixels[good])))
    return np.kron(grey, np.ones((times, times), np.uint8)) if times > 1 else grey


def _read(path: Path) -> tuple[NDArray[np.float64], tuple[int, int], str]:
    """Return an image averaged down, its own shape, and its unit."""
    plain = raw_image(path)
    with open_fits(path) as hdus:
        hdu = image_hdu(hdus, path)
        unit = str(hdu.header.get("BUNIT", "adu")).strip() or "relative"
        empty = _without_data(hdus, hdu, path)
        if plain is not None and (plain.kind, plain.scale, plain.zero) == _REAL:
            return _blank(_averaged_in_file(plain), empty), plain.shape, unit
        pixels = read_pixels(hdu, path).astype(np.float64)
    # A cube is shown by its first plane.
    while pixels.ndim > 2:
        pixels = pixels[0]
    height, width = pixels.shape
    return _blank(_averaged_down(pixels), empty), (height, width), unit


def _without_data(hdus: Any, hdu: Any, path: Path) -> NDArray[np.bool_] | None:
    """Return which pixels of the picture hold no data, where more than a few can be so.

    A broken part of a frame, or the gap between two detectors, would decide the limits.
    """
    mask = next((one for one in hdus if one.name == "MASK"), None)
    if mask is None or hdu.header.get("NMASKED", 0) < _FEW * hdu.shape[0] * hdu.shape[1]:
        return None
    (height, width), (down, across) = mask.shape, _steps(mask.shape)
    empty = np.empty((height // down, width // across), np.bool_)
    for line in range(0, len(empty), _LINES):
        part = empty[line : line + _LINES]
        rows = slice(line * down, (line + len(part)) * down)
        lacking = read_pixels(mask, path, rows)[:, : part.shape[1] * across] & MaskBit.NO_DATA.value
        part[:] = (lacking != 0).reshape(len(part), down, -1, across).all(axis=(1, 3))
    return empty


def _blank(picture: NDArray[np.float64], empty: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    return picture if empty is None else np.where(empty, np.nan, picture)


def _steps(shape: tuple[int, int]) -> tuple[int, int]:
    """Return how many rows and how many columns become one, of an image as thin as may be."""
    step = -(-max(shape) // _LARGEST_SIDE)
    return min(step, shape[0]), min(step, shape[1])


def _averaged_down(pixels: NDArray[np.floating]) -> NDArray[np.float64]:
    height, width = pixels.shape
    down, across = _steps((height, width))
    if down == across == 1:
        return np.asarray(pixels, np.float64)
    height, width = height // down * down, width // across * across
    blocks = pixels[:height, :width].reshape(height // down, down, width // across, across)
    return np.asarray(blocks.mean(axis=(1, 3)))


def _averaged_in_file(image: RawImage) -> NDArray[np.float64]:
    """Do the same with float32 in a file, some rows at a time: what lights are."""
    (height, width), (down, across) = image.shape, _steps(image.shape)
    means = np.empty((height // down, width // across))
    with image.path.open("rb", buffering=0) as file:
        for line in range(0, len(means), _LINES):
            part = means[line : line + _LINES]
            wanted = slice(line * down, (line + len(part)) * down)
            rows = image.rows(file.fileno(), wanted).view(np.uint32)
            decode_words(rows.reshape(-1), _UNMARKED, False)
            nothing = np.zeros(rows.shape, np.bool_)
            block_means(rows.view(np.float32), nothing, down, across, part)
    return means


def _norm(pixels: NDArray[np.float64]) -> ImageNormalize:
    from astropy.visualization import AsinhStretch, ImageNormalize, ZScaleInterval

    finite = pixels[np.isfinite(pixels)]
    low, high = ZScaleInterval().get_limits(finite) if finite.size else (0.0, 1.0)
    if not high > low:
        low, high = low - 0.5, low + 0.5
    bright = float(np.percentile(finite, _BRIGHTEST_PERCENT)) if finite.size else high
    high = max(high, min(bright, low + _HEADROOM * (high - low)))
    return ImageNormalize(vmin=low, vmax=high, stretch=AsinhStretch(0.15), clip=True)


def _levels(norm: ImageNormalize) -> NDArray[np.float64]:
    """Return levels at even steps of the picture's grey, not of the pixels' values."""
    return np.asarray(norm.inverse(np.linspace(0.0, 1.0, _LEVELS)), dtype=np.float64)


def _label(level: float) -> str:
    return f"{level:,.0f}" if abs(level) >= 1000 else f"{level:.4g}"


def _title(info: ExposureInfo) -> str:
    parts = [info.object or info.path.stem]
    if info.filter:
        parts.append(info.filter)
    if info.exptime_s:
        parts.append(f"{info.exptime_s:g} s")
    if info.date_obs:
        parts.append(f"{info.date_obs:%Y-%m-%d %H:%M:%S} UTC")
    return "  ·  ".join(parts)
