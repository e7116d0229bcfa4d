"""A picture of a FITS image, good to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toros.common.atomic import atomic_path
from toros.imaging.fits_io import image_hdu, open_fits, read_pixels
from toros.imaging.headers import ExposureInfo, read_exposure

if TYPE_CHECKING:
    from astropy.visualization import ImageNormalize

# Larger images are averaged down: more pixels than a screen has are not seen.
_LARGEST_SIDE = 1600
# Above the zscale range so many times its width is shown, so that stars do not all burn out.
_HEADROOM = 6.0
# ... but no further than where the image has light: a flat frame has no stars.
_BRIGHTEST_PERCENT = 99.9
# Inches around and in the picture.
_LEFT, _RIGHT, _BOTTOM, _TOP, _WIDE = 0.65, 1.05, 0.5, 0.4, 6.4


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
    # The object-oriented interface: pyplot keeps figures for the whole process.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    info = read_exposure(fits_path)
    pixels, unit = _read(fits_path)
    height, width = pixels.shape
    small = _averaged_down(pixels)
    norm = _norm(small)
    tall = min(max(_WIDE * height / width, 1.0), 3 * _WIDE)
    size = (_WIDE + _LEFT + _RIGHT, tall + _BOTTOM + _TOP)
    figure = Figure(figsize=size, dpi=110)
    FigureCanvasAgg(figure)
    left, bottom = _LEFT / size[0], _BOTTOM / size[1]
    axes = figure.add_axes((left, bottom, _WIDE / size[0], tall / size[1]))
    image = axes.imshow(
        small,
        origin="lower",
        cmap="gray",
        norm=norm,
        interpolation="nearest",
        extent=(0.5, width + 0.5, 0.5, height + 0.5),
        aspect="auto",
    )
    axes.set_title(title or _title(info), fontsize=10)
    axes.set_xlabel("x [pixel]", fontsize=8)
    axes.set_ylabel("y [pixel]", fontsize=8)
    axes.tick_params(labelsize=7)
    bar_axes = figure.add_axes(((_LEFT + _WIDE + 0.12) / size[0], bottom, 0.02, tall / size[1]))
    bar = figure.colorbar(image, cax=bar_axes, ticks=_ticks(norm))
    bar.ax.set_yticklabels([_label(tick) for tick in bar.get_ticks()])
    bar.set_label(unit, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    with atomic_path(png_path) as temporary:
        # No metadata: the same image gives the same bytes.
        figure.savefig(temporary, format="png", metadata={"Software": None})
    return png_path


def _read(path: Path) -> tuple[NDArray[np.float64], str]:
    with open_fits(path) as hdus:
        hdu = image_hdu(hdus, path)
        pixels = read_pixels(hdu, path).astype(np.float64)
        unit = str(hdu.header.get("BUNIT", "adu")).strip() or "relative"
    # A cube is shown by its first plane.
    while pixels.ndim > 2:
        pixels = pixels[0]
    return pixels, unit


def _averaged_down(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    step = -(-max(pixels.shape) // _LARGEST_SIDE)
    if step == 1:
        return pixels
    height, width = (side // step * step for side in pixels.shape)
    blocks = pixels[:height, :width].reshape(height // step, step, width // step, step)
    return np.asarray(blocks.mean(axis=(1, 3)))


def _norm(pixels: NDArray[np.float64]) -> ImageNormalize:
    from astropy.visualization import AsinhStretch, ImageNormalize, ZScaleInterval

    finite = pixels[np.isfinite(pixels)]
    low, high = ZScaleInterval().get_limits(finite) if finite.size else (0.0, 1.0)
    if not high > low:
        low, high = low - 0.5, low + 0.5
    bright = float(np.percentile(finite, _BRIGHTEST_PERCENT)) if finite.size else high
    high = max(high, min(bright, low + _HEADROOM * (high - low)))
    return ImageNormalize(vmin=low, vmax=high, stretch=AsinhStretch(0.15), clip=True)


def _ticks(norm: ImageNormalize) -> NDArray[np.float64]:
    """Return levels at even steps of the picture's grey, not of the pixels' values."""
    return np.asarray(norm.inverse(np.linspace(0.0, 1.0, 7)), dtype=np.float64)


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
    # A dollar sign would start mathematics.
    return "  ·  ".join(parts).replace("$", r"\$")
