"""How soon an honest client is answered while others attack the front desk.

    python -m benchmarks.front_desk_attack [--markdown FILE] [--nice N]      about two minutes

The same attacks as in the tests, which only assert that the client is answered; here its waiting is
measured. The server runs in a process of its own, and all attackers in another, whose processor
time is shown beside the server's: both share the machine. An attacker that is cut off comes back
after 0.2 s, but for *many addresses*, which comes back at once.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.pages import machine_load, printed_to, processor_s
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


def many_addresses(target: Target, number: int) -> None:
    """Send random bytes from ever new addresses: what is learnt of one says nothing of the next."""
    chance = random.Random()  # noqa: S311
    while True:
        address = (
            f"127.{chance.randrange(1, 255)}.{chance.randrange(256)}.{chance.randrange(2, 255)}"
        )
        try:
            with target.connect(address) as sock:
                for _ in range(15):
                    sock.sendall(target.request(chance.randbytes(200)))
                    if not sock.recv(1 << 16):
                        break
        except OSError:
            continue


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


def measure(
    name: str, attack: Attack | None, target: Target, rest_mb: float, nice: int = 0
) -> None:
    """Print how long the honest client waited under one attack."""
    crowd = mp.get_context("spawn").Process(target=_crowd, args=(attack, target))
    if attack is not None:
        crowd.start()
        os.setpriority(os.PRIO_PROCESS, crowd.pid or 0, nice)
    honest = HonestClient(target)
    failed = 0
    began, ours = time.monotonic(), processor_s(target.pid)
    pause = threading.Event()
    while time.monotonic() < began + SECONDS:
        try:
            honest.ask()
        except PeerError:
            failed += 1
        pause.wait(0.02)
    seconds = time.monotonic() - began
    server = (processor_s(target.pid) - ours) / seconds
    attackers = processor_s(crowd.pid or 0) / seconds if attack is not None else 0.0
    grown = target.resident_mb() - rest_mb
    if attack is not None:
        crowd.kill()
        crowd.join()
    found = sorted(honest.latencies) or [float("nan")]
    p99 = found[max(-(-99 * len(found) // 100) - 1, 0)]
    print(
        f"| {name} | {len(honest.latencies)} | {failed} | {found[len(found) // 2] * 1000:.0f} "
        f"| {p99 * 1000:.0f} | {found[-1] * 1000:.0f} | {grown:+.0f} | {server:.2f} "
        f"| {attackers:.2f} |",
        flush=True,
    )


def _measure_all(target: Target, nice: int) -> None:
    rest_mb = target.resident_mb()
    print(
        f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, {CLIENTS} attackers"
        f"{f', niced by {nice}' if nice else ''}, {machine_load()}; "
        f"the server at rest: {rest_mb:.0f} MB.\n\n"
        "Targets: worst answer below 1000 ms, none failed, growth below 50 MB. Processors are\n"
        "those that server and attackers kept busy.\n\n"
        "| attack | answers | failed | p50 (ms) | p99 (ms) | worst (ms) | growth (MB) "
        "| server (processors) | attackers (processors) |\n|---|---|---|---|---|---|---|---|---|"
    )
    measure("none", None, target, rest_mb)
    for attack in (slowloris, drip, noise, large, many_addresses):
        measure(attack.__name__.replace("_", " "), attack, target, rest_mb, nice)
    measure("none, afterwards", None, target, rest_mb)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all attacks on one server."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--markdown", type=Path, help="write the page to this file, too")
    parser.add_argument("--nice", type=int, default=0, help="priority that attackers give away")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, printed_to(options.markdown):
        url = f"sqlite:///{folder}/toy.db"
        engine = make_engine(url)
        upgrade(engine)
        engine.dispose()
        served = Served(url)
        _measure_all(Target("127.0.0.1", served.port, served.process.pid), options.nice)
        served.end(signal.SIGTERM)
        served.close()


if __name__ == "__main__":
    main()
