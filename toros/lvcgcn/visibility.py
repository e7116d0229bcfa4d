"""What an observatory can see before its next night is over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt

from toros.common.config.lvcgcn import LvcgcnSettings
from toros.lvcgcn.catalogue import PEAK_ORDER
from toros.lvcgcn.skymap import Floats
from toros.sky.site import Site
from toros.sky.visibility import airmass, altitude, moon_altitude, moon_separation, sun_altitude

Bools = npt.NDArray[np.bool_]

_STEP_S = 600.0
#: Places are looked at so many at a time, against all times.
_BLOCK = 2048
#: Pixels of this order are 3.7° wide; no point of one is farther from its centre than this.
_COARSE_ORDER = 4
_COARSE_RADIUS_DEG = 3.6


def dark_times(site: Site, moment: datetime, max_sun_altitude_deg: float) -> Floats:
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


def nights(site: Site, moment: datetime, settings: LvcgcnSettings) -> tuple[Tonight, ...]:
    """Return the nights for which an alert's hosts are chosen.

    By day that is the next one. Of a night that has begun only the rest can be used, and what has
    set comes back in the evening: then also the one after it.
    """
    tonight = Tonight(site, moment, settings)
    return (tonight, tonight.next()) if tonight.has_begun else (tonight,)


@dataclass(frozen=True)
class Tonight:
    """The night of one observatory: what is left of it, or the next one.

    Parameters
    ----------
    site : Site
        The observatory.
    moment : datetime
        Now.
    settings : LvcgcnSettings
        Altitude, airmass, Sun and Moon.
    """

    site: Site
    moment: datetime
    settings: LvcgcnSettings

    @cached_property
    def times(self) -> Floats:
        """Unix seconds, in steps."""
        return dark_times(self.site, self.moment, self.settings.max_sun_altitude_deg)

    @property
    def has_begun(self) -> bool:
        """Whether it is dark already."""
        return bool(self.times.size) and float(self.times[0]) == self.moment.timestamp()

    def next(self) -> Tonight:
        """Return the night that comes after this one."""
        ended = float(self.times[-1]) + _STEP_S if self.times.size else self.moment.timestamp()
        return replace(self, moment=datetime.fromtimestamp(ended, UTC))

    def visible(self, ra_deg: Floats, dec_deg: Floats) -> Bools:
        """Return which of some places keep all limits at the same time at least once."""
        blocks = range(0, ra_deg.size, _BLOCK) if self.times.size else ()
        parts = [
            self._visible(ra_deg[at : at + _BLOCK], dec_deg[at : at + _BLOCK]) for at in blocks
        ]
        return np.concatenate(parts) if parts else np.zeros(ra_deg.size, dtype=np.bool_)

    def _visible(self, ra_deg: Floats, dec_deg: Floats) -> Bools:
        limits = self.settings
        height = altitude(self.site, self.times, ra_deg, dec_deg)
        good = np.asarray(height >= limits.min_altitude_deg)
        if limits.max_airmass is not None:
            good = good & np.asarray(airmass(height) <= limits.max_airmass)
        if limits.min_moon_separation_deg > 0:
            down = moon_altitude(self.site, self.times) < 0
            apart = moon_separation(self.site, self.times, ra_deg, dec_deg)
            far: Bools = np.asarray(apart >= limits.min_moon_separation_deg)
            good = good & (down | far)
        result: Bools = np.any(good, axis=1)
        return result

    def pixels(self) -> Bools:
        """Return which pixels of order `PEAK_ORDER` may hold something visible.

        Those that are left out hold nothing; of the others some may not either.
        """
        from cdshealpix import nested

        index = np.arange(12 * 4**_COARSE_ORDER, dtype=np.uint64)
        longitude, latitude = nested.healpix_to_lonlat(index, _COARSE_ORDER, num_threads=1)
        if not self.times.size:
            return np.zeros(12 * 4**PEAK_ORDER, dtype=np.bool_)
        highest = altitude(self.site, self.times, longitude.deg, latitude.deg).max(axis=1)
        rises = highest >= self.settings.min_altitude_deg - _COARSE_RADIUS_DEG
        result: Bools = np.repeat(rises, 4 ** (PEAK_ORDER - _COARSE_ORDER))
        return result
