"""Orders per second through the front desk, beside the bare servers of the standard library.

    python -m benchmarks.front_desk [--markdown FILE] [--postgres URL]
                                               all of it, about six minutes
    python -m benchmarks.front_desk --quick    a first impression, two minutes

Every server runs in a process of its own, on loopback, with the same clients: a process of raw
sockets that send the same bytes and wait for the whole answer. Servers take turns within each
round, and the figures are medians over rounds, so that a machine that slows down slows all.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import os
import socket
import ssl
import statistics
import sys
import tempfile
import threading
import time
import xmlrpc.client
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

from benchmarks.pages import machine_load, printed_to, processor_s

HOST = "127.0.0.1"
STATUS = {"request": "status"}
PADDING = "x" * 600  # an order of about 1.2 kB, as in the front door's measured facts


@dataclass(frozen=True)
class Server:
    """A server to measure."""

    name: str
    start: Callable[[Connection, str], None]
    keep_alive: bool
    argument: str = ""
    authority: Path | None = None


@dataclass(frozen=True)
class Load:
    """What the clients do."""

    clients: int
    keep_alive: bool
    seconds: float
    journaled: bool = False


@dataclass(frozen=True)
class Figures:
    """What came of it."""

    per_second: float
    p99_ms: float
    failed: int
    processor_us: float  # of the server, for each order


class _Threaded(ThreadingMixIn, SimpleXMLRPCServer):
    daemon_threads = True
    request_queue_size = 128


class _KeepAlive(SimpleXMLRPCRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1


def _simple(pipe: Connection, _argument: str) -> None:
    _serve_bare(pipe, SimpleXMLRPCServer, SimpleXMLRPCRequestHandler)


def _threaded(pipe: Connection, _argument: str) -> None:
    _serve_bare(pipe, _Threaded, SimpleXMLRPCRequestHandler)


def _threaded_keep_alive(pipe: Connection, _argument: str) -> None:
    _serve_bare(pipe, _Threaded, _KeepAlive)


def _serve_bare(
    pipe: Connection,
    kind: type[SimpleXMLRPCServer],
    handler: type[SimpleXMLRPCRequestHandler],
) -> None:
    server = kind((HOST, 0), requestHandler=handler, logRequests=False, allow_none=True)
    server.register_function(_bare_status, "front_desk")  # type: ignore[arg-type]
    pipe.send(server.server_address[1])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pipe.recv()


def _bare_status(order: dict[str, Any]) -> dict[str, Any]:
    """Answer with as many keys as ours."""
    result = {"module": "bare", "status": "running", "version": "0", "since": "", "queue": 0}
    return {
        "id": order.get("id"),
        "module": "bare",
        "request": "status",
        "status": "completed",
        "code": 0,
        "message": "",
        "result": result,
        "datetime": "2026-01-01T00:00:00.000Z",
    }


def _toros(pipe: Connection, argument: str) -> None:
    """Serve the toy module with all defences on; `argument` is configuration and database."""
    from sqlalchemy import delete

    from tests.support.toy import build
    from toros.archive.schema import upgrade
    from toros.common.config import parse_config
    from toros.common.daemon import Daemon
    from toros.common.database import make_engine, make_sessions
    from toros.common.module import Context
    from toros.common.order_row import WorkOrderRow

    text, _, url = argument.rpartition("|")
    config = parse_config(text)
    engine = make_engine(url)
    upgrade(engine)
    with engine.begin() as connection:
        # What an earlier server left to do would be done while this one is measured.
        connection.execute(delete(WorkOrderRow))
    context = Context(config, config.make_clock(), make_sessions(engine))
    daemon = Daemon(build(context), context, (HOST, 0))
    daemon.start()
    pipe.send(int(daemon.url.rsplit(":", 1)[1]))
    pipe.recv()
    daemon.stop()


@contextmanager
def running(server: Server) -> Iterator[tuple[int, int]]:
    """Run a server in a process of its own and yield its port and process id.

    It ends by itself when it is told to: one that is killed would leave orders behind, for the next
    on the same database to do while it is measured.
    """
    ours, theirs = mp.Pipe()
    process = mp.get_context("spawn").Process(target=server.start, args=(theirs, server.argument))
    process.start()
    try:
        yield ours.recv(), process.pid or 0
    finally:
        ours.send("end")
        process.join(30)
        if process.is_alive():
            process.kill()
            process.join()


def measure(server: Server, port: int, pid: int, load: Load) -> Figures:
    """Load one server with clients in a process of their own."""
    context = mp.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_clients, args=(theirs, server.authority, port, load))
    before = processor_s(pid)
    process.start()
    latencies, failed, seconds = ours.recv()
    process.join()
    used = processor_s(pid) - before
    if not latencies:
        return Figures(0.0, float("nan"), failed, float("nan"))
    p99 = statistics.quantiles(latencies, n=100)[98] if len(latencies) > 100 else max(latencies)
    return Figures(len(latencies) / seconds, p99 * 1000, failed, used / len(latencies) * 1e6)


def _clients(pipe: Connection, authority: Path | None, port: int, load: Load) -> None:
    tls = ssl.create_default_context(cafile=authority) if authority else None
    latencies: list[float] = []
    failed = [0]
    stop = threading.Event()
    barrier = threading.Barrier(load.clients + 1)

    def client(number: int) -> None:
        own: list[float] = []
        barrier.wait()
        with ExitStack() as stack:
            sock: socket.socket | None = None
            count = 0
            while not stop.is_set():
                count += 1
                body = _order(f"{os.getpid()}-{number}-{count}" if load.journaled else None)
                began = time.perf_counter()
                try:
                    if sock is None:
                        sock = stack.enter_context(_connect(port, tls))
                    _exchange(sock, port, body, load.keep_alive)
                except OSError:
                    failed[0] += 1
                    sock = None
                    continue
                own.append(time.perf_counter() - began)
                if not load.keep_alive:
                    sock.close()
                    sock = None
        latencies.extend(own)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(load.clients)]
    for thread in threads:
        thread.start()
    barrier.wait()
    began = time.perf_counter()
    stop.wait(load.seconds)
    stop.set()
    for thread in threads:
        thread.join()
    pipe.send((latencies, failed[0], time.perf_counter() - began))


def _order(key: str | None) -> bytes:
    order: dict[str, Any] = STATUS if key is None else {"id": key, "request": "add_later", "a": 1}
    if key is not None:
        order = order | {"wait": 0, "user": PADDING[:150]}
    return xmlrpc.client.dumps((order,), "front_desk").encode()


def _connect(port: int, tls: ssl.SSLContext | None) -> socket.socket:
    sock = socket.create_connection((HOST, port), 30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return tls.wrap_socket(sock, server_hostname=HOST) if tls else sock


def _exchange(sock: socket.socket, port: int, body: bytes, keep_alive: bool) -> None:
    sock.sendall(
        b"POST /RPC2 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: text/xml\r\n"
        b"Content-Length: %d\r\n%s\r\n%s"
        % (port, len(body), b"" if keep_alive else b"Connection: close\r\n", body)
    )
    answer = b""
    while b"</methodResponse>" not in answer:
        chunk = sock.recv(1 << 16)
        if not chunk:
            raise ConnectionError("the server hung up")
        answer += chunk
    if b"<fault>" in answer:
        raise ConnectionError("refused")


LIMITS = "front_desk: {connections: 128, connections_per_peer: 128}"


def servers(folder: Path, postgres: str | None) -> dict[str, Server]:
    """Return the servers to compare, by name."""
    from toros.common.certificates import issue
    from toros.common.clock import Clock

    issued = issue(folder, [HOST], Clock().now())
    sqlite = f"sqlite:///{folder / 'front_desk.db'}"
    tls = f"tls: {{certificate: {issued.certificate}, key: {issued.key}}}"
    plain = Server("TOROS", _toros, True, f"{LIMITS}|{sqlite}")
    found = [
        Server("stdlib simple", _simple, False),
        Server("stdlib threaded", _threaded, False),
        Server("stdlib threaded, keep-alive", _threaded_keep_alive, True),
        plain,
        replace(
            plain,
            name="TOROS, TLS 1.3",
            argument=f"{LIMITS}\n{tls}|{sqlite}",
            authority=issued.authority,
        ),
    ]
    if postgres:
        found.append(replace(plain, name="TOROS, PostgreSQL", argument=f"{LIMITS}|{postgres}"))
    return {server.name: server for server in found}


def compare(chosen: Sequence[Server], load: Load, rounds: int) -> dict[str, Figures]:
    """Measure servers in turns and return the median of each."""
    results: dict[str, list[Figures]] = {server.name: [] for server in chosen}
    with ExitStack() as stack:
        found = {server.name: stack.enter_context(running(server)) for server in chosen}
        for _ in range(rounds):
            for server in chosen:
                results[server.name].append(measure(server, *found[server.name], load))
    return {name: _median(figures) for name, figures in results.items()}


def _median(figures: list[Figures]) -> Figures:
    return Figures(
        statistics.median(f.per_second for f in figures),
        statistics.median(f.p99_ms for f in figures),
        sum(f.failed for f in figures),
        statistics.median(f.processor_us for f in figures),
    )


def report(title: str, results: dict[str, Figures], reference: str) -> None:
    """Print one table in Markdown."""
    base = results[reference].per_second
    print(
        f"\n### {title}\n\n| server | orders/s | p99 (ms) | failed "
        f"| processor (µs/order) | of {reference} |"
    )
    print("|---|---|---|---|---|---|")
    for name, found in results.items():
        ratio = found.per_second / base if base else float("nan")
        print(
            f"| {name} | {found.per_second:.0f} | {found.p99_ms:.1f} | {found.failed} "
            f"| {found.processor_us:.0f} | {ratio:.2f} |",
            flush=True,
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--postgres", help="URL of a scratch PostgreSQL database")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file, too")
    options = parser.parse_args(arguments)
    with printed_to(options.markdown):
        _measure_all(options)


def _clients_in_words(count: int) -> str:
    return "1 client" if count == 1 else f"{count} clients"


def _measure_all(options: argparse.Namespace) -> None:
    seconds, rounds = (1.0, 1) if options.quick else (3.0, 3)
    python = f"Python {sys.version.split()[0]}, {os.cpu_count()} cores"
    print(f"{python}, {rounds} × {seconds:g} s, {machine_load()}.\n")
    print("Target for status orders without TLS: at least 0.60 of the bare threaded server.")
    with tempfile.TemporaryDirectory() as folder:
        known = servers(Path(folder), options.postgres)
        bare, ours = known["stdlib threaded, keep-alive"], known["TOROS"]
        for clients in (1, 16, 64):
            load = Load(clients, True, seconds)
            results = compare([bare, ours, known["TOROS, TLS 1.3"]], load, rounds)
            report(f"Status orders, keep-alive, {_clients_in_words(clients)}", results, bare.name)
        once = [known["stdlib simple"], known["stdlib threaded"], ours, known["TOROS, TLS 1.3"]]
        for clients in (1, 16, 64):
            load = Load(clients, False, seconds)
            results = compare(once, load, rounds)
            report(
                f"Status orders, a connection each, {_clients_in_words(clients)}",
                results,
                once[1].name,
            )
        journals = [bare, ours, *([known["TOROS, PostgreSQL"]] if options.postgres else [])]
        for clients in (1, 16, 64):
            load = Load(clients, True, seconds, journaled=True)
            results = compare(journals, load, rounds)
            report(
                f"Journaled orders, keep-alive, {_clients_in_words(clients)}", results, bare.name
            )


if __name__ == "__main__":
    main()
