"""The states of the night, and what its phases remember."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

from toros.telescope.flat_run import FlatRun


class NightState(StrEnum):
    """Where the night stands."""

    CLOSED = "closed"
    PREPARING = "preparing"
    TWILIGHT_FLATS = "twilight_flats"
    OBSERVING = "observing"
    HOLDING = "holding"
    MORNING_FLATS = "morning_flats"
    CLOSING = "closing"
    HALTED = "halted"


# In these the dome may be open, so that the weather stops what is being done.
EXPOSED = (NightState.TWILIGHT_FLATS, NightState.OBSERVING, NightState.MORNING_FLATS)
AT_REST = (NightState.CLOSED, NightState.HALTED)


@dataclass(frozen=True)
class Transition:
    """The next state, and why."""

    state: NightState
    cause: str


@dataclass
class Memory:
    """What the phases of one night remember; nothing that a restart must know.

    Moments are seconds by the clock that is never turned back.
    """

    checked: bool = False
    cooling_since: float | None = None
    told_of_warmth: bool = False
    flats: FlatRun | None = None
    morning: FlatRun | None = None
    idle_since: float | None = None
    waits_told: set[int] = field(default_factory=set)  # entries waited for since one was observed
    well_since: float | None = None  # safe, and the devices answer
    parked: bool = False
    closing_done: list[str] = field(default_factory=list)
    closing_failures: int = 0
    ended_by_order: bool = False
    warming_since: float | None = None
    failing: set[int] = field(default_factory=set)  # entries that failed since one succeeded
    device_holds: int = 0
    # Entries that broke a limit which the plan does not know, and until when they are left.
    aside: dict[int, float] = field(default_factory=dict)
    retry_at: float = -math.inf  # after a failure: when it is tried again
