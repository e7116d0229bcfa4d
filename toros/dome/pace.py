"""How long the dome's loops pause and believe, in seconds of the observatory."""

from __future__ import annotations

from toros.common.clock import Clock

# Seconds of the machine. On a fast clock a second of the observatory is shorter than one question
# over the network, which does not run faster.
SHORTEST_S = 0.2
LEAST_AGE_S = 10.0


def pause_s(clock: Clock, seconds: float, shortest_s: float = SHORTEST_S) -> float:
    """Return `seconds`, or more on a fast clock: at least `shortest_s` of the machine."""
    least = shortest_s if clock.rate > 1.0 else min(shortest_s, seconds)
    return max(seconds, least * clock.rate)


def age_s(clock: Clock, seconds: float) -> float:
    """Return for how long something `seconds` old is believed, or waited for.

    On a fast clock it is more: at least 10 s of the machine, or `seconds` of it if they are fewer.
    """
    return max(seconds, min(seconds, LEAST_AGE_S) * clock.rate)
