"""A corrected light into its file, strip by strip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from toros.common.errors import UnusableFrame
from toros.imaging.bleeding import mark_bleed_trails
from toros.imaging.fits_planes import PlanesFile, planes_file
from toros.imaging.frames import Pixels
from toros.imaging.fringes import FringeFit, fit_fringes
from toros.imaging.kernels.correcting import count_bits
from toros.imaging.light_pixels import Bits, Correction
from toros.imaging.linearity import NOT_LINEAR
from toros.imaging.mask_bits import MaskBit
from toros.imaging.master_words import WholeMaster
from toros.imaging.options import ReductionOptions
from toros.imaging.pool import in_threads, mapped, strips
from toros.imaging.products import Strip, good_pixels, image_planes
from toros.imaging.sampling import clipped_median, sample_rows
from toros.imaging.star_width import StarWidth, star_width

if TYPE_CHECKING:
    from toros.imaging.fits_tiles import Compression

Words = NDArray[np.uint32]
# The error of the amplitude of fringes is that of one pixel divided by the root of this, 1/1400:
# to read all of a large light for it would gain nothing.
_FRINGE_PIXELS = 2_000_000

Encode = Callable[[slice, Words, Words, Bits], tuple[int, int]]


@dataclass(frozen=True)
class Sampled:
    """What is measured on a sample of a light.

    Parameters
    ----------
    sky_level, sky_noise : float
        Median of the sky and its scatter per pixel, stars clipped.
    stars : StarWidth, optional
        How wide they are.
    """

    sky_level: float
    sky_noise: float
    stars: StarWidth | None


@dataclass(frozen=True)
class Measured:
    """What is known of a light once it is written.

    Parameters
    ----------
    sky_level, sky_noise : float
        Median of the sky and its scatter per pixel.
    fwhm : float, optional
        Of its stars [pixel]; None where too few of them stand alone.
    fwhm_stars : int
        Of how many that is the median.
    saturated, bled, cosmic_rays, masked : int
        Pixels: saturated, in bleed trails, hit by cosmic rays, and masked for any reason.
    data_sums : tuple of int
        DATASUM of the image, of UNCERT and of MASK.
    """

    sky_level: float
    sky_noise: float
    fwhm: float | None
    fwhm_stars: int
    saturated: int
    bled: int
    cosmic_rays: int
    masked: int
    data_sums: tuple[int, ...] = ()

    @classmethod
    def of(cls, sampled: Sampled, counts: NDArray[np.int64]) -> Measured:
        """Take a sample, and the counts of each bit and of any, as `count_bits` finds them."""
        bits = (MaskBit.SATURATED, MaskBit.BLEED, MaskBit.COSMIC_RAY)
        saturated, bled, rays = (int(counts[bit.value.bit_length() - 1]) for bit in bits)
        stars = sampled.stars
        return cls(
            sky_level=sampled.sky_level,
            sky_noise=sampled.sky_noise,
            fwhm=None if stars is None else stars.fwhm,
            fwhm_stars=0 if stars is None else stars.stars,
            saturated=saturated,
            bled=bled,
            cosmic_rays=rays,
            masked=int(counts[8]),
        )


def sampled(strip: Callable[[slice], Strip], shape: tuple[int, int], path: Path) -> Sampled:
    """Measure sky and stars on rows from all over a light.

    Raises
    ------
    UnusableFrame
        If every pixel is masked.
    """
    good = good_pixels(strip, shape)
    if not good.size:
        raise UnusableFrame(f"{path}: no pixel of this frame is usable.")
    level, noise = clipped_median(good, sigma=3.0, iterations=10)
    return Sampled(level, noise, star_width(strip, shape))


def without_fringes(
    strip: Callable[[slice], Strip], shape: tuple[int, int], pattern: WholeMaster
) -> tuple[FringeFit, Callable[[slice], Strip]]:
    """Fit the fringe frame to rows from all over the light; return what gives rows without it."""
    width = shape[1]

    def fringe(rows: slice) -> tuple[Pixels, NDArray[np.bool_]]:
        words = pattern.rows(rows, width)
        values = words.pixels.byteswap().view(np.float32).reshape(-1, width)
        bad = (words.bad.reshape(-1, width) != 0) | ~np.isfinite(values)
        return np.where(bad, np.float32(0), values), bad

    sample = sample_rows(shape, _FRINGE_PIXELS)
    lights, fringes = mapped(strip, sample), [fringe(rows) for rows in sample]
    fit = fit_fringes(
        np.concatenate([light.pixels for light in lights]),
        np.concatenate([values for values, _ in fringes]),
        np.concatenate(
            [(light.mask != 0) | bad for light, (_, bad) in zip(lights, fringes, strict=True)]
        ),
    )

    def without(rows: slice) -> Strip:
        part = strip(rows)
        part.pixels[:] -= np.float32(fit.amplitude) * fringe(rows)[0]
        return part

    return fit, without


def compression_of(options: ReductionOptions) -> Compression | None:
    """Return how lights are to be compressed, None if they are not."""
    if options.compression == "none":
        return None
    from toros.imaging.fits_tiles import Compression

    return Compression(options.compression, options.quantise_level)


@dataclass(frozen=True)
class Band:
    """Rows of a light that are ready to be written.

    Parameters
    ----------
    rows : slice
        Which.
    strip : callable
        Returns some of them, corrected; called from several threads.
    encode : callable, optional
        Makes the same rows as they stand in a file; `Correction.encode`.
    """

    rows: slice
    strip: Callable[[slice], Strip]
    encode: Encode | None = None


@dataclass(frozen=True)
class Corrected:
    """What a light has become, as its file wants it.

    Parameters
    ----------
    shape : tuple of int
        (height, width).
    bands : iterable of Band
        All its rows, in their order; each band is written before the next is asked for.
    sample : callable
        Returns what `sampled` does.
    finish_mask : callable
        Called with the whole mask, once all rows are there: sets the bits that take more than
        some rows to see.
    finish_header : callable
        Called with the header once all is measured: changes cards of it, and adds none.
    """

    shape: tuple[int, int]
    bands: Iterable[Band]
    sample: Callable[[], Sampled]
    finish_mask: Callable[[Bits], None]
    finish_header: Callable[[fits.Header, Measured], None]


def write_light(
    target: Path,
    header: fits.Header,
    light: Corrected,
    options: ReductionOptions,
    *,
    alone: bool = False,
) -> Measured:
    """Write a light and measure it; what is found goes into the header too.

    Parameters
    ----------
    header : astropy.io.fits.Header
        With a place for each card that `Corrected.finish_header` sets.
    options : ReductionOptions
        Whether it is compressed, and how.
    alone : bool
        See `toros.imaging.calibrate.calibrate_light`.

    Raises
    ------
    UnusableFrame
        If every pixel is masked.
    """
    shape = light.shape
    planes = image_planes(header, shape)
    mask = np.empty(shape, np.uint8)
    counts: list[NDArray[np.int64]] = []
    with planes_file(target, planes, compression_of(options), direct=alone) as file:

        def write(band: Band, rows: slice) -> None:
            if band.encode is not None and isinstance(file, PlanesFile):
                rooms = [file.room(index, rows.start, rows.stop - rows.start) for index in (0, 1)]
                pixels, errors = (room.content.view(np.uint32) for room in rooms)
                sums = band.encode(rows, pixels, errors, mask[rows].reshape(-1))
                for index, room, total in zip((0, 1), rooms, sums, strict=True):
                    file.put(index, room, total)
            else:
                part = band.strip(rows)
                file.write(0, rows.start, part.pixels, part.uncertainty)
                file.write(1, rows.start, part.uncertainty)
                mask[rows] = part.mask

        def write_mask(rows: slice) -> None:
            file.write(2, rows.start, mask[rows])
            counts.append(_counts(mask[rows]))

        for band in light.bands:
            parts = strips(band.rows.stop, shape[1], start=band.rows.start)
            in_threads(partial(write, band), parts, alone=alone)
        light.finish_mask(mask)
        in_threads(write_mask, strips(*shape), alone=alone)
        measured = Measured.of(light.sample(), np.sum(counts, axis=0))
        # Known only now; the cards are there, so that the header keeps its length.
        light.finish_header(planes[0].header, measured)
    return replace(measured, data_sums=tuple(plane.data_sum for plane in planes))


def _counts(mask: Bits) -> NDArray[np.int64]:
    counts = np.zeros(9, np.int64)
    count_bits(mask.reshape(-1), counts)
    return counts


def mark_bleeding(correction: Correction, options: ReductionOptions, mask: Bits) -> None:
    """Set the bits of bleed trails, followed on the raw frame."""
    if not options.mask_bleeding:
        return

    def read(rows: slice, columns: slice) -> Pixels:
        return correction.light.rows(rows)[0][:, columns]

    mark_bleed_trails(mask, read, 0 if options.read_out_axis == "y" else 1)


def linearity_for(
    correction_possible: bool, options: ReductionOptions, notes: list[str]
) -> Sequence[float]:
    """Return the coefficients to apply; none, with a note, where no pedestal is known."""
    if options.linearity and not correction_possible:
        notes.append(NOT_LINEAR)
        return ()
    return options.linearity
