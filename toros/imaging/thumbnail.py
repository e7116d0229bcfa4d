"""A small picture of an image, to stand in a page: quick, and without its surroundings."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toros.imaging.headers import read_exposure
from toros.imaging.kernels.masters import block_means
from toros.imaging.master_file import MasterFile, open_master

# Rows that are averaged for one row of the picture: more would hardly be seen.
_ROWS = 2
# What is darker or brighter than this part of the pixels is black or white.
_PERCENT = (0.5, 99.5)
_JPEG_QUALITY = 82


def thumbnail(path: Path, side: int = 400) -> bytes:
    """Return a JPEG of the image in `path`, its longer side `side` pixels at most.

    Grey from the 0.5th to the 99.5th percentile; the first row of the image is at the bottom.
    Only some rows are read, so that it costs the same for large frames as for small ones.

    Raises
    ------
    UnreadableFile, UnusableFrame
        If there is no picture to be had.
    """
    # Imported here: who makes no pictures need not wait for it.
    from PIL import Image

    with open_master(path, read_exposure(path)) as file:
        small = _averaged_down(file, side)
    grey = Image.fromarray(np.flipud(_grey(small)))
    made = io.BytesIO()
    grey.save(made, format="JPEG", quality=_JPEG_QUALITY)
    return made.getvalue()


def _averaged_down(file: MasterFile, side: int) -> NDArray[np.float64]:
    """Return means of blocks; NaN where all of a block is masked."""
    height, width = file.shape[-2:]
    step = max(1, -(-max(height, width) // side))
    down, across = min(step, height), min(step, width)
    means = np.empty((height // down, width // across))
    for line, start in enumerate(range(0, height // down * down, down)):
        rows = min(down, _ROWS)
        part = file.rows(slice(start, start + rows), with_error=False)
        block_means(part.pixels, part.mask, rows, across, means[line : line + 1])
    return means


def _grey(pixels: NDArray[np.float64]) -> NDArray[np.uint8]:
    good = pixels[np.isfinite(pixels)]
    if not good.size:
        return np.zeros(pixels.shape, np.uint8)
    low, high = np.percentile(good, _PERCENT)
    if not high > low:
        # Nearly all are alike, as in a mask: what is not shall be seen.
        low, high = good.min(), max(good.max(), good.min() + 1)
    scaled = np.clip((pixels - low) / (high - low), 0, 1)
    return np.asarray(np.round(np.nan_to_num(scaled) * 255), dtype=np.uint8)
