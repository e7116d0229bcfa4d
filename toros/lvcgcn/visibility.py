"""Which hosts an observatory can see before its next night is over."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import numpy.typing as npt

from toros.lvcgcn.ranking import Ranking
from toros.sky.site import Site
from toros.sky.visibility import altitude, sun_altitude

_STEP_S = 600.0
#: Hosts are looked at in blocks of this many, the likeliest first, until there are enough.
_BLOCK = 512


def dark_times(
    site: Site, moment: datetime, max_sun_altitude_deg: float
) -> npt.NDArray[np.float64]:
    """Return the unix seconds, in steps, of what is left of this night, or of the next one.

    Parameters
    ----------
    site : Site
        The observatory.
    moment : datetime
        Now.
    max_sun_altitude_deg : float
        It is dark while the Sun is below this.

    Returns
    -------
    ndarray, shape (steps,)
        Empty where the Sun does not go down so far within a day.
    """
    times = moment.timestamp() + np.arange(0.0, 86400.0, _STEP_S)
    dark = sun_altitude(site, times) < max_sun_altitude_deg
    if not dark.any():
        return times[:0]
    begin = int(np.argmax(dark))
    light_again = np.flatnonzero(~dark[begin:])
    end = begin + int(light_again[0]) if light_again.size else dark.size
    return times[begin:end]


def observable(
    ranking: Ranking,
    site: Site,
    moment: datetime,
    *,
    count: int,
    min_altitude_deg: float,
    max_sun_altitude_deg: float,
) -> npt.NDArray[np.intp]:
    """Return the places in `ranking` of the first `count` hosts that rise high enough tonight."""
    times = dark_times(site, moment, max_sun_altitude_deg)
    seen: list[npt.NDArray[np.intp]] = []
    found = 0
    if times.size:
        for start in range(0, len(ranking), _BLOCK):
            places = np.arange(start, min(start + _BLOCK, len(ranking)))
            rows = ranking.order[places]
            ra, dec = ranking.catalogue.ra_deg[rows], ranking.catalogue.dec_deg[rows]
            highest = altitude(site, times, ra, dec).max(axis=1)
            seen.append(places[highest >= min_altitude_deg])
            found += seen[-1].size
            if found >= count:
                break
    return np.concatenate(seen)[:count] if seen else np.arange(0)
