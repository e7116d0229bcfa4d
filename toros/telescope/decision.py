"""What is best now: one decision among many targets, from a table that is made once a night."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np

from toros.common.config.telescope import TelescopeSettings
from toros.sky.earth import dots, unit_vectors
from toros.sky.site import Site
from toros.telescope.merits import Outlook, combined, value
from toros.telescope.plan import block_s, dark_times, grid_of
from toros.telescope.problem import Pointing, Windows
from toros.telescope.scheduler import Bools, Floats, PlanTarget, visibility


@dataclass(frozen=True)
class NightTable:
    """What does not change in a night: where N targets are at T times, and what they are worth.

    A whole plan looks ahead; this only says what is best now, within milliseconds, for instance
    whether an alert's target is worth more than the exposure that runs.
    """

    targets: Sequence[PlanTarget]
    settings: TelescopeSettings
    windows: Windows
    outlook: Outlook
    value: Floats
    vectors: Floats

    @classmethod
    def of(
        cls,
        site: Site,
        night: date,
        targets: Sequence[PlanTarget],
        settings: TelescopeSettings,
        after: datetime | None = None,
    ) -> NightTable | None:
        """Return the table of what is left of a night; None if nothing is left of it."""
        times = dark_times(site, night, settings.limits.max_sun_altitude_deg, after)
        if times is None or not targets:
            return None
        grid = grid_of(*times, len(targets))
        seen = visibility(site, grid, targets, settings.limits, settings.horizon)
        lengths = np.array([block_s(target, settings) for target in targets])
        windows = Windows.of(grid, seen.observable, lengths)
        half_life_s = settings.merits.alert_half_life_h * 3600.0
        return cls(
            targets,
            settings,
            windows,
            Outlook.of(site, seen, targets, windows.last_fit_unix, half_life_s),
            value(targets),
            unit_vectors([t.ra_deg for t in targets], [t.dec_deg for t in targets]),
        )

    def merits(self, moment: datetime, here: Pointing | None = None) -> Floats:
        """Return what a minute on each target is worth now, shape (N,); 0 where it does not fit.

        The block must hold from now to its end; a long slew takes from its worth.
        """
        unix = moment.timestamp()
        node = int(self.windows.node(np.array([unix]))[0])
        lengths = self.windows.duration_s
        fits: Bools = self.windows.until_unix[:, node] >= unix + lengths - 1e-6
        if unix < self.windows.unix[0] or not fits.any():
            return np.zeros(len(self.targets))
        view = self.outlook.at(node)
        worth = self.value * combined(view, self.settings.merits.importance())[:, 0]
        if here is not None and here.ra_deg is not None and here.dec_deg is not None:
            start = unit_vectors([here.ra_deg], [here.dec_deg])
            angle = np.degrees(np.arccos(np.clip(dots(self.vectors, start)[:, 0], -1.0, 1.0)))
            worth = worth * lengths / (lengths + angle / self.settings.slew_rate_deg_s)
        return np.where(fits, worth, 0.0)

    def decide(self, moment: datetime, here: Pointing | None = None) -> PlanTarget | None:
        """Return the target that is worth most now; None if none can be observed."""
        worth = self.merits(moment, here)
        best = int(np.argmax(worth))
        return self.targets[best] if worth[best] > 0 else None
