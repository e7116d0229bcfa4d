"""The twilight flats of one evening or morning, one frame at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from toros.telescope.flats import SkyLevel, accepted, advise, measure
from toros.telescope.frames import Purpose, expose, keep
from toros.telescope.motion import arrive, check_dome, settle, slew
from toros.telescope.pointing import altaz_at, flat_field
from toros.telescope.state import Telescope

ARCSEC_PER_DEG = 3600.0
GOLDEN_ANGLE_RAD = 2.399963  # successive points of a sunflower's spiral never come near each other


@dataclass
class FlatRun:
    """Twilight flats, filter after filter.

    Attributes
    ----------
    bands : list of str or None
        Filters that are not finished; the first is being taken.
    rising : bool
        It is morning.
    skipped : dict
        Why a filter got no more flats.
    """

    bands: list[str | None]
    rising: bool = False
    skipped: dict[str, str] = field(default_factory=dict)
    taken: int = 0
    _sky: SkyLevel | None = None
    _field: tuple[float, float] | None = None
    _band: str | None = None
    _count: int = 0
    _shots: int = 0

    def step(self, telescope: Telescope) -> float | None:
        """Take one frame, or return how many seconds to wait until the sky's light suits.

        Raises
        ------
        NotSafe, DomeNotReady, DeviceError, PeerError, Interrupted
        """
        band = self.bands[0]
        settings = telescope.settings.flats
        telescope.instrument()
        max_adu = telescope.max_adu
        advice = advise(self._sky, telescope.clock.unix(), max_adu, settings, rising=self.rising)
        if advice.wait_s is not None:
            # A fresh measurement decides after the wait, not the extrapolation.
            self._sky = None
            return advice.wait_s
        if advice.exptime_s is None:
            self._next(band, "the sky is too bright" if self.rising else "the sky is too faint")
            return None
        self._point(telescope, band)
        telescope.doing = f"flat {self._count + 1} of {settings.count} in {band or 'no filter'}"
        purpose = Purpose(image_type="flat", exptime_s=advice.exptime_s, filter=band)
        taken = expose(telescope, purpose)
        start = taken.frame.start.timestamp()
        bias = telescope.bias_level_adu or 0.0
        self._sky = measure(taken.median_adu, bias, taken.frame.exptime_s, start, max_adu)
        if accepted(taken.median_adu, max_adu, settings):
            keep(telescope, taken)
            self.taken += 1
            self._count += 1
        if self._count >= settings.count:
            self._next(band, "")
        return None

    def _point(self, telescope: Telescope, band: str | None) -> None:
        """Point opposite the Sun once, then shift a little before each frame."""
        settings, mount = telescope.settings, telescope.devices.mount
        first = self._field is None
        if self._field is None:
            unix = telescope.clock.unix()
            self._field = flat_field(telescope.site, unix, settings.flats.altitude_deg)
        ra, dec = self._shifted(self._field, settings.flats.dither_arcsec)
        if first:
            slew(telescope, ra, dec)
            _, azimuth = altaz_at(telescope.site, telescope.clock.unix(), ra, dec)
            telescope.dome.turn_to(azimuth, telescope.interrupt.event)
        elif settings.flats.dither_arcsec > 0:
            slew(telescope, ra, dec)
        if first or band != self._band:
            telescope.devices.select_filter(band, settings.filter_timeout_s)
            self._band = band
        if first or settings.flats.dither_arcsec > 0:
            arrive(telescope, ra, dec)
            settle(telescope)
        if settings.flats.dither_arcsec == 0 and mount.state().tracking:
            mount.set_tracking(False)  # the stars drift, so that none stays
        check_dome(telescope, ra, dec)
        self._shots += 1

    def _shifted(self, centre: tuple[float, float], dither_arcsec: float) -> tuple[float, float]:
        """Return the field, shifted along a spiral: the same place is never exposed twice."""
        ra, dec = centre
        radius = dither_arcsec / ARCSEC_PER_DEG * np.sqrt(self._shots)
        angle = GOLDEN_ANGLE_RAD * self._shots
        shifted = float(np.clip(dec + radius * np.sin(angle), -89.9, 89.9))
        across = radius * np.cos(angle) / max(np.cos(np.radians(dec)), 0.05)
        return float((ra + across) % 360.0), shifted

    def _next(self, band: str | None, why: str) -> None:
        if why:
            self.skipped[band or "no filter"] = f"{why}: {self._count} taken"
        self.bands.pop(0)
        self._sky, self._count = None, 0

    def lost_place(self) -> None:
        """Point again before the next frame."""
        self._field = None
