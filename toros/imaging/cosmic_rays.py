"""Cosmic rays: found by L.A.Cosmic (van Dokkum 2001, PASP 113, 1420), and replaced.

The same pixels and values as ``astroscrappy.detect_cosmics`` with its separable medians, but for
a border of 16 pixels, where astroscrappy leaves its filters out and this repeats the edge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.cosmics import (
    REACH,
    STAR_REACH,
    find_cosmics,
    ignore_saturated,
    replace_cosmics,
)
from toros.imaging.pool import cores, in_threads

Pixels = NDArray[np.float32]
Flags = NDArray[np.bool_]
Tiles = NDArray[np.int64]

# A tile and what is computed on the way stay in the second-level cache.
_TILE = (64, 512)
# Later rounds look only where something has changed: smaller tiles waste less. A new cosmic ray
# changes the values of others 2 pixels away, and these the verdict on those REACH away.
_SMALL_TILE = (32, 64)


@dataclass(frozen=True, kw_only=True)
class CosmicRayOptions:
    """How cosmic rays are told from stars; the defaults are those of astroscrappy.

    Parameters
    ----------
    sigma : float
        The Laplacian of a cosmic ray is at least so many times the noise.
    neighbour_fraction : float
        Pixels beside a cosmic ray are of it from this fraction of `sigma` on.
    contrast : float
        And it is so many times the fine structure: larger where cores of stars are taken.
    iterations : int
        At most so many rounds of finding and replacing.
    """

    sigma: float = 4.5
    neighbour_fraction: float = 0.3
    contrast: float = 5.0
    iterations: int = 4

    @property
    def reach(self) -> int:
        """How far away pixels may be that a verdict, or a value, depends on."""
        # Stars are told and grown before the rounds; in each a verdict looks REACH pixels away,
        # and a value 2 pixels from verdicts.
        return STAR_REACH + self.iterations * (REACH + 2)


_DEFAULTS = CosmicRayOptions()


def remove_cosmic_rays(
    pixels: Pixels,
    bad: Flags | None = None,
    *,
    read_noise_e: float,
    saturation_e: float = 65536.0,
    saturated: Flags | None = None,
    gain_e_adu: float = 1.0,
    level: Callable[[], float] | None = None,
    options: CosmicRayOptions = _DEFAULTS,
) -> tuple[Flags, Pixels]:
    """Find the cosmic rays of an image and replace them.

    Parameters
    ----------
    pixels : numpy.ndarray
        [y, x], finite, with its sky: the noise is reckoned from it.
    bad : numpy.ndarray, optional
        Pixels to be ignored; they and those beside them are not found and not used.
    read_noise_e : float
        [e-]
    saturation_e : float
        Stars that reach it are ignored [e-].
    saturated : numpy.ndarray, optional
        Which pixels do so, where their values no longer tell.
    gain_e_adu : float
        Electrons per unit of `pixels`.
    level : callable, optional
        Returns what a cosmic ray with no good pixel near it is replaced by, in the unit of
        `pixels`; by default the median of those that are not ignored.

    Returns
    -------
    found : numpy.ndarray
        Which pixels are cosmic rays.
    clean : numpy.ndarray
        The image without them, in the unit of `pixels`.
    """
    gain = np.float32(gain_e_adu)
    image: Pixels = np.asarray(pixels * gain, dtype=np.float32)
    variance: Pixels = image + np.float32(read_noise_e * read_noise_e)
    ignored = np.zeros(image.shape, np.bool_)
    none = np.zeros(image.shape, np.bool_) if bad is None else bad.astype(np.bool_, copy=False)
    limit = np.float32(saturation_e)
    full = image >= limit if saturated is None else saturated
    ignore_saturated(image, full, none, ignored, limit)

    def levels() -> tuple[np.float32, np.float32]:
        # Of the image as it came, which is changed below.
        found = np.float32(level()) * gain if level is not None else _level(pixels * gain, ignored)
        return found, found + np.float32(read_noise_e * read_noise_e)

    shape = (image.shape[0], image.shape[1])
    search = _Search(image, variance, ignored, levels, options)
    changed = search.round(_tiles(shape, _TILE))
    for _ in range(options.iterations - 1):
        if not changed.any():
            break
        changed = search.round(_near(changed, shape))
    if gain != 1:
        image /= gain
    return search.found, image


def _level(image: Pixels, ignored: Flags) -> np.float32:
    good = image[~ignored]
    middle = (good.size - 1) // 2
    return np.float32(np.partition(good, middle)[middle] if good.size else 0)


class _Search:
    """The rounds of finding and replacing on one image, which is changed in place."""

    def __init__(
        self,
        image: Pixels,
        variance: Pixels,
        ignored: Flags,
        levels: Callable[[], tuple[np.float32, np.float32]],
        options: CosmicRayOptions,
    ) -> None:
        self.found = np.zeros(image.shape, np.bool_)
        self._arrays = image, variance, ignored, self.found
        self._levels = lru_cache(maxsize=1)(levels)
        self._shape = (image.shape[0], image.shape[1])
        self._options = options

    def round(self, tiles: Tiles) -> Flags:
        """Look at `tiles`; return which small tiles have changed."""
        shape = self._shape
        changed = np.zeros(
            (-(-shape[0] // _SMALL_TILE[0]), -(-shape[1] // _SMALL_TILE[1])), np.bool_
        )
        sigma = np.float32(self._options.sigma)
        neighbour_sigma = np.float32(self._options.neighbour_fraction) * sigma
        contrast = np.float32(self._options.contrast)

        def find(part: Tiles) -> None:
            find_cosmics(
                *self._arrays, part, sigma, neighbour_sigma, contrast, changed, _SMALL_TILE
            )

        in_threads(find, _shares(tiles))
        # Those beside a new one have fewer good pixels around them.
        in_threads(self._replace, _shares(_near(changed, shape)))
        return changed

    def _replace(self, tiles: Tiles) -> None:
        unknown = np.float32(np.nan)
        if replace_cosmics(*self._arrays, tiles, unknown, unknown):
            # A pixel with no good one near it: the level of the whole image is wanted after all.
            replace_cosmics(*self._arrays, tiles, *self._levels())


def _shares(tiles: Tiles) -> list[Tiles]:
    """Return `tiles` in parts, some for each core."""
    return [part for part in np.array_split(tiles, 16 * cores()) if len(part)]


def _tiles(shape: tuple[int, int], size: tuple[int, int]) -> Tiles:
    """Return tiles (top, left, height, width) that cover an image."""
    top, left = np.meshgrid(
        np.arange(0, shape[0], size[0]), np.arange(0, shape[1], size[1]), indexing="ij"
    )
    return _cut(top.ravel(), left.ravel(), shape, size)


def _near(blocks: Flags, shape: tuple[int, int]) -> Tiles:
    """Return the small tiles with a flag and those beside them, which are all within reach."""
    grown = np.zeros((blocks.shape[0] + 2, blocks.shape[1] + 2), np.bool_)
    for y in range(3):
        for x in range(3):
            grown[y : y + blocks.shape[0], x : x + blocks.shape[1]] |= blocks
    top, left = np.nonzero(grown[1:-1, 1:-1])
    return _cut(top * _SMALL_TILE[0], left * _SMALL_TILE[1], shape, _SMALL_TILE)


def _cut(
    top: NDArray[np.intp], left: NDArray[np.intp], shape: tuple[int, int], size: tuple[int, int]
) -> Tiles:
    height, width = np.minimum(size[0], shape[0] - top), np.minimum(size[1], shape[1] - left)
    return np.stack([top, left, height, width], axis=1).astype(np.int64)
