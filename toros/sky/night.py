"""The night of a moment, and when it grows dark."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np

from toros.sky.earth import Floats
from toros.sky.site import Site
from toros.sky.visibility import sun_altitude

# Altitudes of the Sun's centre, airless degrees. Sunset counts 34′ of refraction and 16′ of radius.
SUNSET_DEG = -50.0 / 60.0
CIVIL_DEG = -6.0
NAUTICAL_DEG = -12.0
ASTRONOMICAL_DEG = -18.0

_STEP_S = 300.0
_REFINEMENTS = 4


def local_mean_noon(site: Site, night: date) -> datetime:
    """Return the UTC moment of mean noon at `site` with which the night `night` begins."""
    noon = datetime.combine(night, time(12), UTC)
    return noon - timedelta(seconds=site.longitude_deg * 240.0)


def night_of(site: Site, moment: datetime) -> date:
    """Return the night to which `moment` belongs: the civil date at the local mean noon before."""
    local_mean = moment.astimezone(UTC) + timedelta(seconds=site.longitude_deg * 240.0)
    return (local_mean - timedelta(hours=12)).date()


@dataclass(frozen=True)
class Twilights:
    """The Sun's crossings of one night, UTC; None where the Sun does not cross that altitude."""

    sunset: datetime | None
    dusk_civil: datetime | None
    dusk_nautical: datetime | None
    dusk_astronomical: datetime | None
    dawn_astronomical: datetime | None
    dawn_nautical: datetime | None
    dawn_civil: datetime | None
    sunrise: datetime | None


def twilights(site: Site, night: date) -> Twilights:
    """Return when the Sun sets, passes −6°, −12° and −18°, and rises again.

    Parameters
    ----------
    site : Site
        The observatory.
    night : datetime.date
        The night that begins at this date's local mean noon.
    """
    start = local_mean_noon(site, night).timestamp()
    grid = start + np.arange(0.0, 86400.0 + _STEP_S, _STEP_S)
    altitude = sun_altitude(site, grid)
    return Twilights(
        sunset=_crossing(site, grid, altitude, SUNSET_DEG, setting=True),
        dusk_civil=_crossing(site, grid, altitude, CIVIL_DEG, setting=True),
        dusk_nautical=_crossing(site, grid, altitude, NAUTICAL_DEG, setting=True),
        dusk_astronomical=_crossing(site, grid, altitude, ASTRONOMICAL_DEG, setting=True),
        dawn_astronomical=_crossing(site, grid, altitude, ASTRONOMICAL_DEG, setting=False),
        dawn_nautical=_crossing(site, grid, altitude, NAUTICAL_DEG, setting=False),
        dawn_civil=_crossing(site, grid, altitude, CIVIL_DEG, setting=False),
        sunrise=_crossing(site, grid, altitude, SUNSET_DEG, setting=False),
    )


def _crossing(
    site: Site, grid: Floats, altitude: Floats, threshold_deg: float, *, setting: bool
) -> datetime | None:
    """Return the first setting, or the last rising, of the Sun through `threshold_deg`."""
    above = altitude > threshold_deg
    steps = np.flatnonzero(above[:-1] & ~above[1:] if setting else ~above[:-1] & above[1:])
    if steps.size == 0:
        return None
    step = int(steps[0] if setting else steps[-1])
    low, high = float(grid[step]), float(grid[step + 1])
    # The Sun is smooth: cut the step in 60 a few times instead of stepping through it.
    for _ in range(_REFINEMENTS):
        fine = np.linspace(low, high, 61)
        sign = sun_altitude(site, fine) > threshold_deg
        inner = int(np.flatnonzero(sign[:-1] != sign[1:])[0])
        low, high = float(fine[inner]), float(fine[inner + 1])
        if high - low < 0.01:
            break
    return datetime.fromtimestamp((low + high) / 2, UTC)
