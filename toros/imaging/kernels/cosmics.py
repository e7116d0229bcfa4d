"""L.A.Cosmic on a tile: Laplacian, noise, fine structure and neighbours in one go.

The arithmetic is that of astroscrappy [2]_ with ``sepmed=True``, ``fsmode="median"`` and
``cleantype="meanmask"``, in float32 and in the same order, so that the same pixels are found.

References
----------
.. [1] P. G. van Dokkum (2001), PASP 113, 1420
.. [2] C. McCully et al., Astro-SCRAPPY, doi:10.5281/zenodo.1482018
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.compiled import inlined, kernel
from toros.imaging.kernels.medians import median_5, median_7, median_7_at, median_9

Pixels = NDArray[np.float32]
Flags = NDArray[np.bool_]

# A pixel's verdict depends on pixels so far away.
REACH = 8
# And whether it is of a saturated star, on pixels so far away: those of a median, and by how much
# stars are grown.
STAR_REACH = 7
_LEAST_VARIANCE = np.float32(0.00001)
_LEAST_STRUCTURE = np.float32(0.01)


@inlined
def _padded(image: Pixels, top: int, left: int, height: int, width: int) -> Pixels:
    """Return a tile with REACH pixels around it; outside the image its edge is repeated."""
    tile = np.empty((height + 2 * REACH, width + 2 * REACH), np.float32)
    rows, columns = image.shape
    first, last = max(left - REACH, 0), min(left + width + REACH, columns)
    for y in range(tile.shape[0]):
        source = min(max(top + y - REACH, 0), rows - 1)
        start = first - (left - REACH)
        stop = start + last - first
        tile[y, start:stop] = image[source, first:last]
        tile[y, :start] = image[source, first]
        tile[y, stop:] = image[source, last - 1]
    return tile


@inlined
def _positive(value: np.float32) -> np.float32:
    return value if value > np.float32(0) else np.float32(0)


@inlined
def _laplacian_row(above: Pixels, row: Pixels, below: Pixels, found: Pixels) -> None:
    """Find the Laplacian of one row sampled twice, clipped at 0, averaged back."""
    for p in range(found.size):
        c, left, right = row[p + 1], row[p], row[p + 2]
        up, down = below[p + 1], above[p + 1]
        four = np.float32(4) * c
        # Each of the four samples of a pixel has two neighbours in the pixel itself.
        a = _positive((((four - c) - left) - c) - down)
        b = _positive((((four - c) - left) - up) - c)
        d = _positive((((four - right) - c) - up) - c)
        e = _positive((((four - right) - c) - c) - down)
        found[p] = (((a + b) + d) + e) / np.float32(4)


@inlined
def _noise(variance: Pixels) -> Pixels:
    noise = median_7(variance)
    flat = noise.reshape(-1)
    for p in range(flat.size):
        least = flat[p] if flat[p] > _LEAST_VARIANCE else _LEAST_VARIANCE
        flat[p] = np.float32(math.sqrt(least))
    return noise


@inlined
def _divide(signal: Pixels, noise: Pixels) -> None:
    for p in range(signal.size):
        signal[p] = signal[p] / (np.float32(2) * noise[p])


@inlined
def _significance(tile: Pixels, noise: Pixels) -> Pixels:
    """Return the Laplacian over the noise, less its own median, 2 pixels around the tile."""
    height, width = tile.shape
    around = REACH - 5
    signal = np.empty((height - 2 * around, width - 2 * around), np.float32)
    for y in range(signal.shape[0]):
        at = y + around
        _laplacian_row(
            tile[at - 1, around - 1 : width - around + 1],
            tile[at, around - 1 : width - around + 1],
            tile[at + 1, around - 1 : width - around + 1],
            signal[y],
        )
    _divide(signal.reshape(-1), noise.reshape(-1))
    smooth = median_7(signal)
    for y in range(smooth.shape[0]):
        ours, row = smooth[y], signal[y + 3, 3:-3]
        for p in range(ours.size):
            ours[p] = row[p] - ours[p]
    return smooth


@inlined
def _grown(flags: Flags, significance: Pixels, limit: np.float32, good: Flags) -> Flags:
    """Return what is good and above `limit`, in `flags` or beside one of them."""
    height, width = flags.shape
    found = np.zeros((height, width), np.bool_)
    for y in range(height):
        for x in range(width):
            if not flags[y, x]:
                continue
            for j in range(max(y - 1, 0), min(y + 2, height)):
                for i in range(max(x - 1, 0), min(x + 2, width)):
                    if good[j, i] and significance[j, i] > limit:
                        found[j, i] = True
    return found


@inlined
def _any_above(values: Pixels, limit: np.float32) -> bool:
    highest = np.float32(-np.inf)
    for p in range(values.size):
        highest = values[p] if values[p] > highest else highest
    return bool(highest > limit)


@inlined
def _find_in_tile(
    image: Pixels,
    variance: Pixels,
    ignored: Flags,
    found: Flags,
    top: int,
    left: int,
    height: int,
    width: int,
    sigma: np.float32,
    neighbour_sigma: np.float32,
    contrast: np.float32,
    changed: Flags,
    block: tuple[int, int],
) -> None:
    tile = _padded(image, top, left, height, width)
    noise = _noise(_padded(variance, top, left, height, width))
    significance = _significance(tile, noise)
    if not _any_above(significance.reshape(-1), sigma):
        return
    structure = median_5(tile)
    smooth = median_9(structure)
    rows, columns = significance.shape
    good, flags = np.zeros((rows, columns), np.bool_), np.zeros((rows, columns), np.bool_)
    for y in range(rows):
        source = top + y - 2
        if source < 0 or source >= image.shape[0]:
            continue
        for x in range(max(2 - left, 0), min(columns, image.shape[1] - left + 2)):
            good[y, x] = not ignored[source, left + x - 2]
            if good[y, x] and significance[y, x] > sigma:
                fine = (structure[y + 4, x + 4] - smooth[y, x]) / noise[y + 3, x + 3]
                fine = fine if fine > _LEAST_STRUCTURE else _LEAST_STRUCTURE
                flags[y, x] = significance[y, x] / fine > contrast
    flags = _grown(flags, significance, sigma, good)
    flags = _grown(flags, significance, neighbour_sigma, good)
    for y in range(height):
        for x in range(width):
            if flags[y + 2, x + 2] and not found[top + y, left + x]:
                found[top + y, left + x] = True
                changed[(top + y) // block[0], (left + x) // block[1]] = True


@kernel
def find_cosmics(
    image: Pixels,
    variance: Pixels,
    ignored: Flags,
    found: Flags,
    tiles: NDArray[np.int64],
    sigma: np.float32,
    neighbour_sigma: np.float32,
    contrast: np.float32,
    changed: Flags,
    block: tuple[int, int],
) -> None:
    """Mark the cosmic rays of some tiles in `found`.

    Parameters
    ----------
    image, variance : numpy.ndarray
        The whole frame [electron], [electron²].
    ignored : numpy.ndarray
        Pixels that are no cosmic rays whatever they look like.
    tiles : numpy.ndarray
        [tile, (top, left, height, width)]
    sigma, neighbour_sigma : float
        Limits on the Laplacian over the noise, of a first pixel and of its neighbours.
    contrast : float
        Limit on that over the fine structure: stars are smoother than cosmic rays.
    changed : numpy.ndarray
        Set where a block of `block` pixels (height, width) has a new cosmic ray.
    """
    for k in range(tiles.shape[0]):
        top, left, height, width = tiles[k, 0], tiles[k, 1], tiles[k, 2], tiles[k, 3]
        _find_in_tile(
            image, variance, ignored, found, top, left, height, width, sigma, neighbour_sigma,
            contrast, changed, block,
        )  # fmt: skip


@kernel
def replace_cosmics(
    image: Pixels,
    variance: Pixels,
    ignored: Flags,
    found: Flags,
    tiles: NDArray[np.int64],
    level: np.float32,
    level_variance: np.float32,
) -> int:
    """Put the mean of the good pixels of 5×5 in place of the cosmic rays of some tiles.

    Returns
    -------
    int
        How many pixels had no good one around them and got `level` instead.
    """
    rows, columns = image.shape
    lonely = 0
    for k in range(tiles.shape[0]):
        top, left, height, width = tiles[k, 0], tiles[k, 1], tiles[k, 2], tiles[k, 3]
        for pixel in range(height * width):
            y, x = top + pixel // width, left + pixel % width
            if not found[y, x]:
                continue
            count, total, total_variance = 0, np.float32(0), np.float32(0)
            for j in range(max(y - 2, 0), min(y + 3, rows)):
                for i in range(max(x - 2, 0), min(x + 3, columns)):
                    if not (found[j, i] or ignored[j, i]):
                        total += image[j, i]
                        total_variance += variance[j, i]
                        count += 1
            if count == 0:
                lonely += 1
                image[y, x], variance[y, x] = level, level_variance
            else:
                image[y, x] = total / np.float32(count)
                variance[y, x] = total_variance / np.float32(count)
    return lonely


@inlined
def _any(flags: Flags) -> bool:
    found = False
    for p in range(flags.size):
        found = found | flags[p]
    return found


@kernel
def ignore_saturated(
    image: Pixels, saturated: Flags, bad: Flags, ignored: Flags, level: np.float32
) -> None:
    """Mark the cores of saturated stars, bad pixels and those beside them in `ignored`.

    A saturated pixel is of a star where the median around it is above a tenth of the level that
    pixels are saturated at. Stars grow by 5×5 pixels without corners, twice.
    """
    rows, columns = image.shape
    for y in range(rows):
        if _any(bad[y]):
            for x in range(columns):
                if bad[y, x]:
                    ignored[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = True
        if not _any(saturated[y]):
            continue
        for x in range(columns):
            if not saturated[y, x]:
                continue
            inside = 3 <= y < rows - 3 and 3 <= x < columns - 3
            around = median_7_at(image, y, x) if inside else level
            if around > level / np.float32(10):
                _grow_star(ignored, y, x)


@inlined
def _grow_star(ignored: Flags, y: int, x: int) -> None:
    rows, columns = ignored.shape
    for j in range(max(y - 4, 0), min(y + 5, rows)):
        for i in range(max(x - 4, 0), min(x + 5, columns)):
            # Twice a 5×5 square without its corners.
            if abs(j - y) + abs(i - x) <= 6:
                ignored[j, i] = True
