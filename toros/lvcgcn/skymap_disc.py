"""A position with an error circle as a sky map, so that all rules apply to it too."""

from __future__ import annotations

import numpy as np

from toros.lvcgcn.notice import Position
from toros.lvcgcn.skymap import FINEST_ORDER, Floats, SkyMap, cell_area_sr

#: The missions' radii hold 68 % or 90 %; taken as 68 %, which errs to the wide side:
#: of a Gaussian on a plane that is √(−2 ln 0.32) σ.
_SIGMAS = float(np.sqrt(-2.0 * np.log(0.32)))
#: A circle of no size is one arcsecond.
_LEAST_RADIUS_DEG = 1.0 / 3600.0
_EXTENT_SIGMAS = 4.0
#: Cells are no wider than this part of σ. A cell of order 0 is 58.6° wide.
_RESOLUTION = 0.25
_BASE_WIDTH_DEG = 58.6


def around(position: Position) -> SkyMap:
    """Return a Gaussian around a position, out to four standard deviations, without distances."""
    from astropy import units
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix import nested

    sigma_deg = max(position.radius_deg or 0.0, _LEAST_RADIUS_DEG) / _SIGMAS
    order = int(np.ceil(np.log2(_BASE_WIDTH_DEG / (_RESOLUTION * sigma_deg))))
    order = min(max(order, 4), FINEST_ORDER)
    longitude = Longitude(position.ra_deg, units.deg)
    latitude = Latitude(position.dec_deg, units.deg)
    radius = min(_EXTENT_SIGMAS * sigma_deg, 179.0) * units.deg
    index, _, _ = nested.cone_search(longitude, latitude, radius, order, flat=True)
    index = np.sort(index)
    ra, dec = nested.healpix_to_lonlat(index, order, num_threads=1)
    off_deg = np.degrees(_separation(longitude.rad, latitude.rad, ra.rad, dec.rad))
    density = np.exp(-0.5 * (off_deg / sigma_deg) ** 2)
    orders = np.full(index.size, order, dtype=np.int64)
    return SkyMap(
        first=index.astype(np.int64) << (2 * (FINEST_ORDER - order)),
        order=orders,
        density=density / np.sum(density * cell_area_sr(orders)),
    )


def _separation(ra0: float, dec0: float, ra: Floats, dec: Floats) -> Floats:
    """Return angles in radians, exact for the small ones too (haversine)."""
    half = np.sin((dec - dec0) / 2) ** 2 + np.cos(dec0) * np.cos(dec) * np.sin((ra - ra0) / 2) ** 2
    angle: Floats = 2 * np.arcsin(np.sqrt(np.clip(half, 0, 1)))
    return angle
