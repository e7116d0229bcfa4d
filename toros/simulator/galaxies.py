"""The galaxies of OpenNGC, drawn with Sérsic profiles."""

from __future__ import annotations

import contextlib
import math
import sqlite3
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pyongc import DBPATH
from scipy.ndimage import gaussian_filter
from scipy.special import gamma

from toros.simulator.projection import Projection

Image = NDArray[np.float32]

COLOUR = 0.7  # g - r of a typical catalogued galaxy
# Typical colours (Fukugita, Shimasaku & Ichikawa 1995) that bring B and V to r.
B_MINUS_R, V_MINUS_R = 1.15, 0.3
FWHM_PER_SIGMA = 2.3548


@dataclass(frozen=True)
class Galaxy:
    """A galaxy as it is drawn.

    Parameters
    ----------
    name : str
        Its name in OpenNGC.
    ra_deg, dec_deg : float
        ICRS.
    mag : float
        Total r magnitude.
    radius_arcsec : float
        Effective (half-light) radius along the major axis.
    axis_ratio : float
        Minor over major axis.
    pa_deg : float
        Position angle of the major axis, north through east.
    index : float
        Sérsic index: 4 for ellipticals and lenticulars, 1 for discs.
    """

    name: str
    ra_deg: float
    dec_deg: float
    mag: float
    radius_arcsec: float
    axis_ratio: float
    pa_deg: float
    index: float


@lru_cache(maxsize=1)
def all_galaxies() -> tuple[Galaxy, ...]:
    """Return every galaxy of OpenNGC that has a position and a magnitude, sorted by name."""
    # The package's own readers want pandas or build an object per row; the file is plain SQLite.
    with contextlib.closing(sqlite3.connect(f"file:{DBPATH}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "SELECT name, ra, dec, bmag, vmag, majax, minax, pa, hubble FROM objects"
            " WHERE type = 'G' AND ra IS NOT NULL AND dec IS NOT NULL"
            " AND (bmag IS NOT NULL OR vmag IS NOT NULL) ORDER BY name"
        ).fetchall()
    return tuple(_galaxy(*row) for row in rows)


def _galaxy(
    name: str,
    ra: float,
    dec: float,
    bmag: float | None,
    vmag: float | None,
    major: float | None,
    minor: float | None,
    pa: float | None,
    hubble: str | None,
) -> Galaxy:
    mag = vmag - V_MINUS_R if vmag is not None else (bmag or 0.0) - B_MINUS_R
    major_arcmin = major or 0.5
    early = (hubble or "").startswith(("E", "S0"))
    # The catalogued axis is the 25th-magnitude isophote: about 3.2 scale lengths of a disc
    # (1.9 effective radii), and about 2.5 effective radii of a bright elliptical.
    radius = 30.0 * major_arcmin / (2.5 if early else 1.9)
    ratio = min(max((minor or major_arcmin) / major_arcmin, 0.1), 1.0)
    return Galaxy(
        name,
        math.degrees(ra),
        math.degrees(dec),
        mag,
        radius,
        ratio,
        float(pa or 0.0),
        4.0 if early else 1.0,
    )


@lru_cache(maxsize=1)
def _directions() -> NDArray[np.float64]:
    ra = np.radians([galaxy.ra_deg for galaxy in all_galaxies()])
    dec = np.radians([galaxy.dec_deg for galaxy in all_galaxies()])
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)


def galaxies_near(ra_deg: float, dec_deg: float, radius_deg: float) -> list[Galaxy]:
    """Return the galaxies that reach into a circle."""
    ra, dec = math.radians(ra_deg), math.radians(dec_deg)
    towards = np.array([math.cos(dec) * math.cos(ra), math.cos(dec) * math.sin(ra), math.sin(dec)])
    separation = np.degrees(np.arccos(np.clip(_directions() @ towards, -1.0, 1.0)))
    near = np.flatnonzero(separation < radius_deg + 3.0)
    found = [(all_galaxies()[i], float(separation[i])) for i in near]
    return [
        galaxy
        for galaxy, away in found
        if away < radius_deg + reach(galaxy) * galaxy.radius_arcsec / 3600.0
    ]


def reach(galaxy: Galaxy) -> float:
    """Return out to how many effective radii a galaxy is drawn."""
    return 4.0 if galaxy.index == 1.0 else 8.0


def sersic_b(index: float) -> float:
    """Return b of the Sérsic profile (Ciotti & Bertin 1999), so that r_e holds half the light."""
    return 2.0 * index - 1.0 / 3.0 + 4.0 / (405.0 * index)


def add_galaxy(
    image: Image, view: Projection, galaxy: Galaxy, electrons: float, fwhm_px: float
) -> None:
    """Add one galaxy to `image` in place, blurred by a Gaussian of the seeing.

    Parameters
    ----------
    image : array, shape (height, width)
        Electrons, float32.
    view : Projection
        Where the camera points.
    galaxy : Galaxy
        What to draw.
    electrons : float
        Total electrons, of which those beyond `reach` are left out.
    fwhm_px : float
        Seeing, pixels.
    """
    x, y, ahead = view.to_pixels(galaxy.ra_deg, galaxy.dec_deg)
    if not bool(ahead):
        return
    radius_px = galaxy.radius_arcsec / view.scale_arcsec
    half = math.ceil(reach(galaxy) * radius_px + 2 * fwhm_px)
    height, width = image.shape
    left, right = max(int(x) - half, 0), min(int(x) + half + 1, width)
    bottom, top = max(int(y) - half, 0), min(int(y) + half + 1, height)
    if left >= right or bottom >= top:
        return
    # The blur needs pixels beyond the edge of the frame too.
    pad = math.ceil(2 * fwhm_px)
    rows = np.arange(bottom - pad, top + pad, dtype=np.float32) - np.float32(y)
    columns = np.arange(left - pad, right + pad, dtype=np.float32) - np.float32(x)
    angle = galaxy.pa_deg - view.rotation_deg
    stamp = _profile(galaxy, columns, rows, radius_px, angle)
    stamp *= np.float32(electrons)
    blurred = gaussian_filter(stamp, fwhm_px / FWHM_PER_SIGMA, mode="nearest", truncate=3.0)
    image[bottom:top, left:right] += blurred[pad:-pad, pad:-pad]


def _profile(
    galaxy: Galaxy,
    columns: NDArray[np.float32],
    rows: NDArray[np.float32],
    radius_px: float,
    angle_deg: float,
) -> Image:
    """Return the fraction of the light per pixel; near the centre averaged over subpixels."""
    b, n = sersic_b(galaxy.index), galaxy.index
    # Total light of a Sérsic profile of central intensity one (Graham & Driver 2005, eq. 2).
    total = 2 * math.pi * n * radius_px**2 * galaxy.axis_ratio * b ** (-2 * n) * gamma(2 * n)
    # +x is west when +y is north: the major axis at position angle p lies along (-sin p, cos p).
    sin, cos = math.sin(math.radians(angle_deg)), math.cos(math.radians(angle_deg))

    def intensity(dx: NDArray[np.float32], dy: NDArray[np.float32]) -> Image:
        along = -dx * np.float32(sin) + dy * np.float32(cos)
        across = (dx * np.float32(cos) + dy * np.float32(sin)) / np.float32(galaxy.axis_ratio)
        radius = np.sqrt(along**2 + across**2) / np.float32(radius_px)
        scaled = np.float32(-b) * radius ** np.float32(1.0 / n)
        return (np.exp(scaled) / np.float32(total)).astype(np.float32)

    steps = np.linspace(-5 / 11, 5 / 11, 11, dtype=np.float32)
    image = intensity(columns[None, :], rows[:, None])
    core_x, core_y = np.flatnonzero(abs(columns) < 4), np.flatnonzero(abs(rows) < 4)
    if core_x.size and core_y.size:
        fine = intensity(
            columns[core_x][None, :, None, None] + steps[None, None, None, :],
            rows[core_y][:, None, None, None] + steps[None, None, :, None],
        )
        image[np.ix_(core_y, core_x)] = fine.mean(axis=(2, 3), dtype=np.float32)
    return image
