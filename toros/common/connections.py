"""The connections of a front desk: how many, from whom, and for how long each may take.

A time-out on each read does not stop a client that sends one byte a second. Here every phase of a
connection has a deadline that is enforced from outside: `sweep` shuts the socket down, and the
thread that reads from it sees its end.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Phase(StrEnum):
    """What a connection is doing."""

    HANDSHAKE = "handshake"
    HEADERS = "headers"
    BODY = "body"
    WORK = "work"
    ANSWER = "answer"
    IDLE = "idle"
    LINGER = "linger"


# Machine seconds. The work of an order has its own bound: its `wait`.
SECONDS: dict[Phase, float | None] = {
    Phase.HANDSHAKE: 5.0,
    Phase.HEADERS: 5.0,
    Phase.BODY: 10.0,
    Phase.WORK: None,
    Phase.ANSWER: 30.0,
    Phase.IDLE: 30.0,
    Phase.LINGER: 1.0,
}


# Who makes room for a newcomer when the server is full.
STALLED = (Phase.IDLE, Phase.LINGER, Phase.HANDSHAKE, Phase.HEADERS, Phase.BODY)
# After so long without progress a connection makes room for another of its own address, too: a
# burst gets its share, and a program that hangs does not keep its neighbours out.
STALLED_S = 1.0


@dataclass(eq=False)
class Connection:
    """One client's socket and how long it still has.

    Parameters
    ----------
    socket : socket.socket
        The socket.
    peer : str
        The client's address.
    phase : Phase
        What it is doing.
    deadline : float or None
        When it is cut, if it does not get on (monotonic).
    since : float
        When the phase began (monotonic).
    proven : bool
        Whether a call has come that could be read, from somebody who may call.
    is_cut : bool
        Whether we have ended it.
    """

    socket: socket.socket
    peer: str
    phase: Phase = Phase.HEADERS
    deadline: float | None = None
    since: float = field(default_factory=time.monotonic)
    proven: bool = False
    is_cut: bool = False

    def enter(self, phase: Phase) -> None:
        """Begin a phase, with its own deadline."""
        seconds = SECONDS[phase]
        self.phase = phase
        self.since = time.monotonic()
        self.deadline = None if seconds is None else self.since + seconds

    def cut(self) -> None:
        """Shut the socket down; whoever reads from it sees its end."""
        self.is_cut = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


class Connections:
    """All connections of a server.

    Parameters
    ----------
    most : int
        How many there may be at a time.
    most_of_one : int
        How many of them may come from one address.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._open: dict[socket.socket, Connection] = {}
        self._peers: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._draining = False

    def __len__(self) -> int:
        with self._lock:
            return len(self._open)

    def admit(self, sock: socket.socket, peer: str, phase: Phase) -> Connection | None:
        """Return the record of a new connection, or None where there are too many.

        When the server is full, whoever has kept it waiting longest makes room: first those that
        never sent a call that could be read, of them and of the others those that are idle, then
        those that are slow to say what they want. Orders under way are safe.
        """
        with self._lock:
            if self._draining:
                return None
            if self._peers[peer] >= self._most_of_one and not self._make_room(peer):
                return None
            if len(self._open) >= self._most and not self._make_room():
                return None
            connection = Connection(sock, peer)
            connection.enter(phase)
            self._open[sock] = connection
            self._peers[peer] += 1
            return connection

    def release(self, sock: socket.socket) -> None:
        """Forget a connection that is closed."""
        with self._lock:
            self._forget(sock)

    def sweep(self) -> None:
        """Cut every connection whose time is over."""
        now = time.monotonic()
        with self._lock:
            late = [c for c in self._open.values() if c.deadline is not None and c.deadline < now]
        for connection in late:
            connection.cut()

    def drain(self, seconds: float) -> None:
        """Admit nobody, cut who asks nothing, and wait at most `seconds` for what is in flight."""
        with self._lock:
            self._draining = True
        deadline = time.monotonic() + seconds
        pause = threading.Event()
        while time.monotonic() < deadline:
            with self._lock:
                left = list(self._open.values())
            if not left:
                return
            for connection in left:
                if connection.phase in (Phase.IDLE, Phase.HANDSHAKE, Phase.HEADERS):
                    connection.cut()
            pause.wait(0.02)
        for connection in left:
            connection.cut()

    @property
    def draining(self) -> bool:
        """Whether the server is stopping."""
        return self._draining

    def _make_room(self, peer: str | None = None) -> bool:
        """Cut a connection that stalls, of one peer or of all; return whether there was one."""
        stalled = [c for c in self._open.values() if c.phase in STALLED]
        if peer is not None:
            before = time.monotonic() - STALLED_S
            stalled = [c for c in stalled if c.peer == peer and c.since < before]
        if not stalled:
            return False
        victim = min(stalled, key=lambda c: (c.proven, STALLED.index(c.phase), c.since))
        victim.cut()
        self._forget(victim.socket)
        return True

    def _forget(self, sock: socket.socket) -> None:
        connection = self._open.pop(sock, None)
        if connection is not None:
            self._peers[connection.peer] -= 1
            if not self._peers[connection.peer]:
                del self._peers[connection.peer]
