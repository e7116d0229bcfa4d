"""The cosmic rays of a light, looked for in bands of rows: it need not be in memory as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from toros.imaging.cosmic_rays import CosmicRayOptions, remove_cosmic_rays
from toros.imaging.light_noise import Noise
from toros.imaging.light_steps import Band
from toros.imaging.mask_bits import MaskBit
from toros.imaging.options import ReductionOptions
from toros.imaging.pool import in_threads, strips
from toros.imaging.products import Strip

# Image, uncertainty and mask; what the search makes of them; and what is made on the way.
_BYTES_PER_PIXEL = 24


def read_noise_for_rays(noise: Noise, options: ReductionOptions, notes: list[str]) -> float | None:
    """Return the read noise [electron] to tell cosmic rays from; None where they are not wanted.

    Nor can they be told, which is noted, where it or the gain is not known.
    """
    if not options.cosmic_rays:
        return None
    if noise.gain_e_adu is None or noise.read_noise_e is None:
        notes.append("The gain or the read noise is unknown: cosmic rays are not looked for.")
        return None
    return noise.read_noise_e


def without_cosmic_rays(
    strip: Callable[[slice], Strip],
    shape: tuple[int, int],
    read_noise_e: float,
    saturation_e: float,
    level: Callable[[], float],
    options: ReductionOptions,
) -> Iterator[Band]:
    """Yield a light band by band, with its cosmic rays replaced and their bits set.

    Each is searched with as many rows around it as a pixel's verdict may depend on: no pixel tells
    where the bands were. The memory of one is that of the next.

    Parameters
    ----------
    strip : callable
        Returns some rows of the light [electron].
    shape : tuple of int
        (height, width).
    saturation_e : float
        About where stars are saturated; which pixels are, the mask tells.
    level : callable
        Returns the level of the sky [electron].
    """
    height, width = shape
    wanted = CosmicRayOptions(sigma=options.cosmic_ray_sigma, contrast=options.cosmic_ray_contrast)
    step = _band_rows(width, wanted.reach, options.memory_limit_bytes)
    room = _room(min(step + 2 * wanted.reach, height), width)
    for start in range(0, height, step):
        rows = slice(start, min(start + step, height))
        around = slice(max(start - wanted.reach, 0), min(rows.stop + wanted.reach, height))
        part = _filled(room, strip, around)
        found, clean = remove_cosmic_rays(
            part.pixels,
            (part.mask & ~np.uint8(MaskBit.SATURATED)) != 0,
            read_noise_e=read_noise_e,
            saturation_e=saturation_e,
            # Not by their values: of a hot pixel the dark leaves nothing.
            saturated=(part.mask & MaskBit.SATURATED.value) != 0,
            level=level,
            options=wanted,
        )
        part.pixels[:] = clean
        part.mask[found] |= MaskBit.COSMIC_RAY.value
        del found, clean
        yield Band(rows, _rows_of(part, around.start))


def _band_rows(width: int, reach: int, limit_bytes: int) -> int:
    """Return how many rows are looked at together, of which `reach` on both sides come again."""
    # A quarter: there is more than a band in memory, and several lights may be worked on.
    affordable = limit_bytes // 4 // (_BYTES_PER_PIXEL * width)
    return max(affordable - 2 * reach, 2 * reach)


def _room(height: int, width: int) -> Strip:
    size = (height, width)
    return Strip(np.empty(size, np.float32), np.empty(size, np.float32), np.empty(size, np.uint8))


def _filled(room: Strip, strip: Callable[[slice], Strip], rows: slice) -> Strip:
    """Return rows of the light in `room`."""
    part = _rows_of(room, 0)(slice(0, rows.stop - rows.start))

    def fill(wanted: slice) -> None:
        found, at = strip(wanted), slice(wanted.start - rows.start, wanted.stop - rows.start)
        part.pixels[at], part.uncertainty[at] = found.pixels, found.uncertainty
        part.mask[at] = found.mask

    in_threads(fill, strips(rows.stop, part.pixels.shape[1], start=rows.start))
    return part


def _rows_of(part: Strip, first: int) -> Callable[[slice], Strip]:
    """Return a function that gives rows of the light, of which `part` begins with row `first`."""

    def rows(wanted: slice) -> Strip:
        at = slice(wanted.start - first, wanted.stop - first)
        return Strip(part.pixels[at], part.uncertainty[at], part.mask[at])

    return rows
