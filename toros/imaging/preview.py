"""A picture of a FITS image, good to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toros.common.atomic import atomic_path
from toros.imaging.fits_io import image_hdu, open_fits, read_pixels
from toros.imaging.headers import ExposureInfo, read_exposure
from toros.imaging.kernels.masters import block_means, decode_words
from toros.imaging.raw import RawImage, raw_image, read_bytes

if TYPE_CHECKING:
    from astropy.visualization import ImageNormalize

# Above the zscale range so many times its width is shown, so that stars do not all burn out.
_HEADROOM = 6.0
# ... but no further than where the image has light: a flat frame has no stars.
_BRIGHTEST_PERCENT = 99.9
# Noise is hardly smaller after more, but takes three times as long.
_COMPRESS_LEVEL = 1
_UNMARKED = np.empty(0, np.uint8)
# Kind, scale and zero of float32 as they stand in a file.
_REAL = (np.dtype(">f4"), 1.0, 0.0)
# Inches around and in the picture.
_LEFT, _RIGHT, _BOTTOM, _TOP, _WIDE = 0.65, 1.05, 0.5, 0.4, 6.4
_DPI = 110
# Larger images are averaged down to the pixels that the picture has for them.
_LARGEST_SIDE = round(_WIDE * _DPI)


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
    small, (height, width), unit = _read(fits_path)
    norm = _norm(small)
    tall = min(max(_WIDE * height / width, 1.0), 3 * _WIDE)
    size = (_WIDE + _LEFT + _RIGHT, tall + _BOTTOM + _TOP)
    figure = Figure(figsize=size, dpi=_DPI)
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
        figure.savefig(
            temporary,
            format="png",
            metadata={"Software": None},
            pil_kwargs={"compress_level": _COMPRESS_LEVEL},
        )
    return png_path


def _read(path: Path) -> tuple[NDArray[np.float64], tuple[int, int], str]:
    """Return an image averaged down, its own shape, and its unit."""
    plain = raw_image(path)
    with open_fits(path) as hdus:
        hdu = image_hdu(hdus, path)
        unit = str(hdu.header.get("BUNIT", "adu")).strip() or "relative"
        if plain is not None and (plain.kind, plain.scale, plain.zero) == _REAL:
            return _averaged_in_file(plain), plain.shape, unit
        pixels = read_pixels(hdu, path).astype(np.float64)
    # A cube is shown by its first plane.
    while pixels.ndim > 2:
        pixels = pixels[0]
    height, width = pixels.shape
    return _averaged_down(pixels), (height, width), unit


def _step(shape: tuple[int, int]) -> int:
    return -(-max(shape) // _LARGEST_SIDE)


def _averaged_down(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    height, width = pixels.shape
    step = _step((height, width))
    if step == 1:
        return pixels
    height, width = height // step * step, width // step * step
    blocks = pixels[:height, :width].reshape(height // step, step, width // step, step)
    return np.asarray(blocks.mean(axis=(1, 3)))


def _averaged_in_file(image: RawImage) -> NDArray[np.float64]:
    """Do the same with float32 in a file, some rows at a time: what lights are."""
    (height, width), step = image.shape, _step(image.shape)
    means = np.empty((height // step, width // step))
    rows = np.empty((step, width), np.uint32)
    nothing = np.zeros(rows.shape, np.bool_)
    with image.path.open("rb", buffering=0) as file:
        for line, mean in enumerate(means):
            at = image.offset + line * step * image.row_bytes
            read_bytes(file.fileno(), rows, at, image.path)
            decode_words(rows.reshape(-1), _UNMARKED, False)
            block_means(rows.view(np.float32), nothing, step, mean)
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
