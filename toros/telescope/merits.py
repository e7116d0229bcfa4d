"""What a good moment for a target is: named merit functions of arrays.

Each takes the `Outlook` of N targets at T times and returns an array that broadcasts to (N, T),
between 0 (of no use) and 1 (as good as it gets). How much each counts is configured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from toros.sky.site import Site
from toros.sky.visibility import airmass, moon_altitude, moon_illumination
from toros.telescope.scheduler import Floats, PlanTarget, Visibility

# So many times a target counts more than one whose priority is lower by one. Weights within a
# priority span at most as much, so that a whole step of priority always outweighs them.
PRIORITY_STEP = 16.0
USUAL_PRIORITY = 5.0
TIME_TO_SET_S = 2 * 3600.0


@dataclass(frozen=True)
class Outlook:
    """N targets at T times, as the merit functions see them.

    Attributes
    ----------
    unix : ndarray, shape (T,)
    altitude_deg, moon_separation_deg : ndarray, shape (N, T)
    moonlight : ndarray, shape (T,)
        The Moon's illuminated fraction; 0 while it is down.
    last_fit_unix : ndarray, shape (N,)
        When the block of each target can begin for the last time; -inf if never.
    alerted_unix, last_visit_unix : ndarray, shape (N,)
        When its alert came; inf for none. When it was last observed; -inf if never.
    interval_s : ndarray, shape (N,)
        How long after its last visit it is wanted again; 0 if that does not matter.
    alert_half_life_s : float
        The worth of an alert's target halves in this time.
    """

    unix: Floats
    altitude_deg: Floats
    moon_separation_deg: Floats
    moonlight: Floats
    last_fit_unix: Floats
    alerted_unix: Floats
    last_visit_unix: Floats
    interval_s: Floats
    alert_half_life_s: float

    @classmethod
    def of(
        cls,
        site: Site,
        seen: Visibility,
        targets: Sequence[PlanTarget],
        last_fit_unix: Floats,
        alert_half_life_s: float,
    ) -> Outlook:
        """Return the outlook on the whole grid of `seen`."""
        moonlight = moon_illumination(seen.unix) * (moon_altitude(site, seen.unix) > 0)
        return cls(
            seen.unix,
            seen.altitude_deg,
            seen.moon_separation_deg,
            moonlight,
            last_fit_unix,
            _moments([target.alerted for target in targets], np.inf),
            _moments([target.last_visit for target in targets], -np.inf),
            np.array([target.interval_s or 0.0 for target in targets], dtype=np.float64),
            alert_half_life_s,
        )

    def at(self, node: int) -> Outlook:
        """Return the outlook at one time of the grid."""
        now = slice(node, node + 1)
        return replace(
            self,
            unix=self.unix[now],
            altitude_deg=self.altitude_deg[:, now],
            moon_separation_deg=self.moon_separation_deg[:, now],
            moonlight=self.moonlight[now],
        )


def _moments(moments: Sequence[datetime | None], without: float) -> Floats:
    return np.array(
        [without if moment is None else moment.timestamp() for moment in moments], dtype=np.float64
    )


Merit = Callable[[Outlook], Floats]


def value(targets: Sequence[PlanTarget]) -> Floats:
    """Return what a minute on each target is worth at the best of moments, shape (N,).

    The weight, relative to the heaviest of the same priority, times a constant factor for each
    step of priority. Weights below a sixteenth of the heaviest count as a sixteenth.
    """
    priorities = np.array([target.priority for target in targets], dtype=np.float64)
    weights = np.array([max(target.weight, 0.0) for target in targets], dtype=np.float64)
    classes, member = np.unique(priorities, return_inverse=True)
    heaviest = np.zeros(classes.size)
    np.maximum.at(heaviest, member, weights)
    relative = weights / np.where(heaviest > 0, heaviest, 1.0)[member]
    floor = np.where(heaviest > 0, 1.0 / PRIORITY_STEP, 1.0)[member]
    steps: Floats = PRIORITY_STEP ** (priorities - USUAL_PRIORITY)
    return np.asarray(steps * np.maximum(relative, floor), dtype=np.float64)


def low_airmass(view: Outlook) -> Floats:
    """One over the airmass: the light that is left of a faint source over a bright sky."""
    return np.asarray(1.0 / airmass(view.altitude_deg), dtype=np.float64)


def time_to_set(view: Outlook) -> Floats:
    """One when the last moment has come, falling to zero with two hours left."""
    left = (view.last_fit_unix[:, None] - view.unix) / TIME_TO_SET_S
    return np.asarray(1.0 - np.clip(left, 0.0, 1.0), dtype=np.float64)


def alert_age(view: Outlook) -> Floats:
    """Halves with each half-life since the alert; one for what belongs to no alert."""
    if np.isinf(view.alerted_unix).all():
        return np.ones((1, 1))
    age = np.maximum(view.unix - view.alerted_unix[:, None], 0.0)
    return np.asarray(0.5 ** (age / view.alert_half_life_s), dtype=np.float64)


def interval(view: Outlook) -> Floats:
    """Grows from zero to one over the wanted interval since the last visit; one without any."""
    asked = (view.interval_s > 0) & np.isfinite(view.last_visit_unix)
    wanted = np.where(asked, view.interval_s, 1.0)[:, None]
    since = view.unix - np.where(asked, view.last_visit_unix, -np.inf)[:, None]
    return np.asarray(np.clip(since / wanted, 0.0, 1.0), dtype=np.float64)


def dark_sky(view: Outlook) -> Floats:
    """One with the Moon down or new; less the nearer and the fuller it is."""
    if not view.moonlight.any():
        return np.ones((1, 1))
    near = np.cos(np.radians(view.moon_separation_deg) / 2.0) ** 2
    return np.asarray(1.0 - view.moonlight * near, dtype=np.float64)


MERITS: dict[str, Merit] = {
    "airmass": low_airmass,
    "time_to_set": time_to_set,
    "alert_age": alert_age,
    "interval": interval,
    "moon": dark_sky,
}


def combined(view: Outlook, importance: Mapping[str, float]) -> Floats:
    """Return the product of all merits, shape (N, T).

    Parameters
    ----------
    view : Outlook
    importance : mapping of str to float
        For each merit 0 (does not count) to 1 (a moment without merit is worth nothing): a merit
        m of importance c multiplies by ``1 - c * (1 - m)``.
    """
    product = np.ones(view.altitude_deg.shape)
    for name, merit in MERITS.items():
        weight = importance.get(name, 0.0)
        if weight > 0:
            product *= 1.0 - weight * (1.0 - merit(view))
    return product
