"""Addresses that keep sending what cannot be read: turned away at the door for a while.

A refusal costs a thread, a reading and an answer. One mistake must cost its sender nothing more,
and ten thousand a second must cost us next to nothing.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

# So many at once, and one a second for ever, are forgiven (machine seconds).
FORGIVEN = 20
FORGIVEN_PER_S = 1.0
# How often at most the log hears of one address that is turned away again and again.
TOLD_EVERY_S = 600.0
# Addresses that are remembered; when there are more, those that were heard of longest ago are not.
ROOM = 4096


@dataclass
class _Record:
    """What is remembered of one address."""

    strikes: float = 0.0
    at: float = 0.0
    out_until: float = 0.0
    told_at: float | None = None


@dataclass(frozen=True)
class Verdict:
    """What a strike comes to.

    Parameters
    ----------
    out : bool
        Whether the address is turned away from now on.
    news : bool
        Whether the log should hear of it: the first strike after a silence, and that an address
        is turned away, once in `TOLD_EVERY_S`. An attack must not fill the disk.
    """

    out: bool
    news: bool


class Penalties:
    """Who is turned away, and until when.

    Parameters
    ----------
    seconds : float
        How long an address is turned away; 0 for never (machine seconds).
    room : int
        How many addresses are remembered.
    """

    def __init__(self, seconds: float, room: int = ROOM) -> None:
        self.seconds = seconds
        self._room = room
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        with self._lock:
            return len(self._records)

    def strike(self, peer: str) -> Verdict:
        """Count something from `peer` that could not be read."""
        now = time.monotonic()
        with self._lock:
            record = self._records.setdefault(peer, _Record(at=now))
            self._records.move_to_end(peer)
            if len(self._records) > self._room:
                self._records.popitem(last=False)
            left = max(record.strikes - (now - record.at) * FORGIVEN_PER_S, 0.0)
            record.strikes, record.at = left + 1.0, now
            news = record.told_at is None or now - record.told_at > TOLD_EVERY_S
            if record.strikes <= FORGIVEN or not self.seconds:
                return Verdict(out=False, news=news and left == 0.0)
            if news:
                record.told_at = now
            record.out_until = now + self.seconds
            # Afterwards it begins anew: nobody is ever out for longer than `seconds` at a time.
            record.strikes = 0.0
            return Verdict(out=True, news=news)

    def forgive(self, peer: str) -> None:
        """Forget what came from `peer`: it has sent a call that could be read."""
        if peer in self._records:
            with self._lock:
                self._records.pop(peer, None)

    def is_out(self, peer: str) -> bool:
        """Return whether `peer` is turned away now."""
        record = self._records.get(peer)
        return record is not None and time.monotonic() < record.out_until
