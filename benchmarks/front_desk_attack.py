"""How soon an honest client is answered while others attack the front desk.

    python -m benchmarks.front_desk_attack

The same attacks as in the tests, which only assert that the client is answered; here its waiting is
measured. The server runs in a process of its own and so does each attacker.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import random
import signal
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable

from tests.support.hostile import HonestClient, Target
from tests.support.served import Served
from toros.archive.schema import upgrade
from toros.common.database import make_engine
from toros.common.errors import PeerError

SECONDS = 12.0
CLIENTS = 200

Attack = Callable[[Target, int], None]


def slowloris(target: Target, number: int) -> None:
    """Send a header now and then."""
    _slowly(target, number, b"POST /RPC2 HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"X-a: b\r\n")


def drip(target: Target, number: int) -> None:
    """Send a byte of the body now and then."""
    _slowly(target, number, target.request(b"", "Content-Length: 100000"), b"<")


def noise(target: Target, number: int) -> None:
    """Send requests of random bytes, as fast as they are answered."""
    chance = random.Random(number)  # noqa: S311
    with target.connect(_source(number)) as sock:
        for _ in range(500):
            sock.sendall(target.request(chance.randbytes(200)))
            if not sock.recv(1 << 16):
                return


def large(target: Target, number: int) -> None:
    """Send bodies of a mebibyte that are no XML."""
    body = b"<a>" * 349_000
    with target.connect(_source(number)) as sock:
        for _ in range(20):
            sock.sendall(target.request(body))
            if not sock.recv(1 << 16):
                return


def _slowly(target: Target, number: int, head: bytes, more: bytes) -> None:
    pause = threading.Event()
    with target.connect(_source(number)) as sock:
        sock.sendall(head)
        while True:
            sock.sendall(more)
            pause.wait(0.5)


def _source(number: int) -> str:
    return f"127.0.{1 + number // 200}.{2 + number % 200}"


def _crowd(attack: Attack, target: Target) -> None:
    """Attack from many addresses until this process is ended."""

    def again(number: int) -> None:
        pause = threading.Event()
        while True:
            try:
                attack(target, number)
            except OSError:
                pause.wait(0.2)  # cut off: once more

    for number in range(CLIENTS):
        threading.Thread(target=again, args=(number,), daemon=True).start()
    threading.Event().wait(SECONDS * 5)


def measure(name: str, attack: Attack | None, target: Target) -> None:
    """Print how long the honest client waited under one attack."""
    crowd = mp.get_context("spawn").Process(target=_crowd, args=(attack, target))
    if attack is not None:
        crowd.start()
    honest = HonestClient(target)
    failed = 0
    ended = threading.Event()
    timer = threading.Timer(SECONDS, ended.set)
    timer.start()
    while not ended.wait(0.02):
        try:
            honest.ask()
        except PeerError:
            failed += 1
    if attack is not None:
        crowd.kill()
        crowd.join()
    p99 = statistics.quantiles([*honest.latencies, 0.0, 0.0], n=100)[98]
    print(
        f"| {name} | {len(honest.latencies)} | {failed} | {p99 * 1000:.0f} "
        f"| {honest.worst * 1000:.0f} | {target.resident_mb():.0f} |",
        flush=True,
    )


def main() -> None:
    """Measure all attacks on one server."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/toy.db"
        engine = make_engine(url)
        upgrade(engine)
        engine.dispose()
        served = Served(url)
        target = Target("127.0.0.1", served.port, served.process.pid)
        print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, {CLIENTS} attackers\n")
        print("| attack | answers | failed | p99 (ms) | worst (ms) | server (MB) |")
        print("|---|---|---|---|---|---|")
        measure("none", None, target)
        for attack in (slowloris, drip, noise, large):
            measure(attack.__name__, attack, target)
        measure("none, afterwards", None, target)
        served.end(signal.SIGTERM)
        served.close()


if __name__ == "__main__":
    main()
