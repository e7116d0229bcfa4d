"""How long the dome's loops pause and believe, in seconds of the machine."""

from __future__ import annotations

from toros.common.clock import Clock

# On a fast clock a second of the observatory is shorter than one question over the network.
SHORTEST_S = 0.2
LONGEST_S = 10.0
LEAST_AGE_S = 10.0


def pause_s(clock: Clock, seconds: float) -> float:
    """Return the machine time between two rounds that are `seconds` of the observatory apart."""
    return min(max(clock.machine_seconds(seconds), SHORTEST_S), LONGEST_S)


def age_s(clock: Clock, seconds: float) -> float:
    """Return the machine time for which something `seconds` old is believed.

    Never less than 10 s: on an accelerated clock the network does not run faster.
    """
    return max(clock.machine_seconds(seconds), LEAST_AGE_S)
