"""A clock that can be set while the simulator runs."""

from __future__ import annotations

from datetime import datetime

from toros.common.clock import Clock


class AdjustableClock(Clock):
    """The observatory's time; a test may move it forwards or change its pace.

    Parameters
    ----------
    clock : Clock
        The time until it is changed.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock.start, clock.anchor, clock.rate)
        # The fields of a Clock are frozen; the one in force is replaced whole, so that a reader in
        # another thread never mixes two.
        object.__setattr__(self, "in_force", clock)

    in_force: Clock

    def unix(self) -> float:
        """Return the time in unix seconds."""
        return self.in_force.unix()

    def machine_seconds(self, seconds: float) -> float:
        """Return how long `seconds` of observatory time last on the machine at the present pace."""
        return self.in_force.machine_seconds(seconds)

    def set(self, time: datetime | None = None, rate: float | None = None) -> None:
        """Let it be `time`, and go on at `rate`; what is left out stays as it is."""
        moment = self.now() if time is None else time
        pace = self.in_force.rate if rate is None else rate
        object.__setattr__(self, "in_force", Clock.simulated(moment, pace))
