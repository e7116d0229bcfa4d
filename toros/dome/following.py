"""Where to turn the slit so that it need not turn again for as long as possible."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toros.sky.dome_geometry import Clearance, azimuth_difference
from toros.sky.earth import Floats


@dataclass(frozen=True)
class Allowed:
    """The azimuths at which the slit may stand, as one interval per moment, degrees.

    Azimuths are unwrapped: they go on beyond 0 and 360 as the target does.
    """

    low_deg: Floats
    high_deg: Floats

    @classmethod
    def of(cls, clear: Clearance, tolerance_deg: float | None, spare_deg: float = 0.0) -> Allowed:
        """Return the azimuths that are clear of the beam.

        Parameters
        ----------
        clear : Clearance
            ``[T]``, in the order of time.
        tolerance_deg : float or None
            Farthest from the best azimuth, whatever is clear.
        spare_deg : float
            Kept free at both ends, for a dome that arrives only nearly.
        """
        half = np.clip(clear.half_deg - spare_deg, 0.0, 180.0)
        if tolerance_deg is not None:
            half = np.minimum(half, tolerance_deg)
        best = np.unwrap(clear.azim_deg, period=360.0)
        return cls(best - half, best + half)

    def holds(self, azim_deg: float) -> bool:
        """Return whether an azimuth is allowed at every moment."""
        best = (self.low_deg + self.high_deg) / 2
        off = azimuth_difference(azim_deg, float(best[0])) + best[0]
        # The interval may be wider than a circle only where every azimuth is clear.
        wide = self.high_deg - self.low_deg >= 360.0
        inside = (self.low_deg - 1e-9 <= off) & (off <= self.high_deg + 1e-9)
        return bool(np.all(inside | wide))

    def lasting(self) -> tuple[float, int]:
        """Return the azimuth that is allowed for longest from the first moment on, and how long.

        Always to go on for as long as one azimuth can serve gives the fewest moves in all (the
        stabbing of intervals).

        Returns
        -------
        azim_deg : float
            The middle of the azimuths that last so long, 0 ≤ azim < 360.
        moments : int
            For how many moments it is allowed.
        """
        low = np.maximum.accumulate(self.low_deg)
        high = np.minimum.accumulate(self.high_deg)
        moments = int(np.argmin(low <= high)) if np.any(low > high) else low.size
        last = max(moments, 1) - 1
        return float((low[last] + high[last]) / 2 % 360.0 % 360.0), last + 1
