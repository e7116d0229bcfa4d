"""How long the simulated camera takes to serve a frame of 10560², beside a bare socket.

    python -m benchmarks.simulator_frames [--rounds 5] [--first-exposure 5]

From the end of an exposure to the pixels in the client's memory: once through the project's own
client and once by plain HTTP (`requests`, one GET of ImageBytes), with read-out time zero. Beside
them the same number of bytes through a bare loopback socket: the ratio says how far the
transfer is from the least it could be on this machine. Medians over rounds.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import requests

from toros.alpaca import open_camera
from toros.common.clock import Clock
from toros.common.config import Config, Device
from toros.common.config.simulator import SimulatorSettings, full_frame
from toros.simulator.server import Simulator

EVENING = datetime(2017, 8, 17, 23, 40, tzinfo=UTC)
RATE = 20.0
EXPTIME_S = 3.0
RA_DEG, DEC_DEG = 197.4488, -23.3839


class Bench:
    """The simulator and plain HTTP."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.session = requests.Session()

    def put(self, kind: str, member: str, **form: object) -> None:
        """Give an order."""
        url = f"{self.simulator.url}/api/v1/{kind}/0/{member}"
        reply = self.session.put(url, data=form, timeout=60).json()
        assert reply["ErrorNumber"] == 0, reply

    def get(self, kind: str, member: str) -> object:
        """Read a property."""
        url = f"{self.simulator.url}/api/v1/{kind}/0/{member}"
        return self.session.get(url, timeout=60).json()["Value"]

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds."""
        while not condition():
            self.simulator.observatory.clock.sleep(0.02)

    def point(self) -> None:
        """Point the telescope and the dome at the field of NGC 4993."""
        for kind in ("telescope", "dome", "camera", "filterwheel"):
            self.put(kind, "connected", Connected=True)
        self.put("telescope", "unpark")
        self.put("telescope", "tracking", Tracking=True)
        self.put(
            "telescope", "slewtocoordinatesasync", RightAscension=RA_DEG / 15, Declination=DEC_DEG
        )
        self.put("dome", "openshutter")
        self.until(lambda: not self.get("telescope", "slewing"))
        self.put("dome", "slewtoazimuth", Azimuth=self.get("telescope", "azimuth"))
        self.until(lambda: not self.get("dome", "slewing"))

    def plain(self, exptime_s: float, light: bool) -> tuple[float, float, float]:
        """Return the seconds until the image is ready, those to fetch it, and of the CPU."""
        start, cpu = time.perf_counter(), time.process_time()
        self.put("camera", "startexposure", Duration=exptime_s, Light=light)
        self.until(lambda: bool(self.get("camera", "imageready")))
        ready = time.perf_counter()
        reply = self.session.get(
            f"{self.simulator.url}/api/v1/camera/0/imagearray",
            headers={"Accept": "application/imagebytes"},
            timeout=60,
        )
        pixels = np.frombuffer(reply.content, "<u2", offset=44)
        fetched = time.perf_counter()
        assert pixels.size == self.simulator.observatory.settings.camera.width**2
        cpu = time.process_time() - cpu
        return ready - start - exptime_s, fetched - ready, cpu

    def ours(self, exptime_s: float, light: bool) -> float:
        """Return the seconds beyond the exposure with the project's client."""
        # The clock in force, as another process would have it: the simulator's was faster before.
        clock = self.simulator.observatory.clock.in_force
        camera = open_camera(Device(alpaca=self.simulator.url, number=0), clock)
        camera.describe()  # connects
        start = time.perf_counter()
        camera.expose(exptime_s, light=light)
        return time.perf_counter() - start - exptime_s


def bare(size: int) -> float:
    """Return the seconds that `size` bytes take through a loopback socket."""
    data = bytes(size)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def send() -> None:
            peer, _ = server.accept()
            with peer:
                peer.sendall(data)

        thread = threading.Thread(target=send)
        thread.start()
        view, filled, start = memoryview(bytearray(size)), 0, time.perf_counter()
        with socket.create_connection(server.getsockname()) as client:
            while filled < size:
                filled += client.recv_into(view[filled:])
        taken = time.perf_counter() - start
        thread.join()
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--first-exposure",
        type=float,
        default=0.01,
        metavar="S",
        help="of the first light: in hundredths of a second nothing can be made ready meanwhile",
    )
    arguments = parser.parse_args()
    rounds, exposed_s = arguments.rounds, arguments.first_exposure
    settings = full_frame(SimulatorSettings(discovery=False))
    camera = settings.camera.model_copy(update={"readout_s": 0.0})
    settings = settings.model_copy(update={"camera": camera})
    with Simulator(settings, Clock.simulated(EVENING, RATE), Config().site) as simulator:
        bench = Bench(simulator)
        bench.point()
        simulator.observatory.clock.set(rate=1.0)
        first = sum(bench.plain(exposed_s, True)[:2])
        print(f"first light frame at all, exposed for {exposed_s:g} s: plain HTTP {first:.2f} s")
        bench.put("filterwheel", "position", Position=2)
        bench.until(lambda: bench.get("filterwheel", "position") == 2)
        other = bench.ours(0.01, True)
        print(f"first light frame through another filter: our client {other:.2f} s")
        size = 2 * camera.width * camera.height + 44
        for name, exptime_s, light in (
            ("bias", 0.0, False),
            ("dark", EXPTIME_S, False),
            ("light", EXPTIME_S, True),
        ):
            plain = [bench.plain(exptime_s, light) for _ in range(rounds)]
            ours = [bench.ours(exptime_s, light) for _ in range(rounds)]
            socket_s = statistics.median(bare(size) for _ in range(rounds))
            ready, fetch, cpu = (statistics.median(part) for part in zip(*plain, strict=True))
            print(
                f"{name:5s}  plain HTTP {ready + fetch:.2f} s "
                f"(ready {ready:.2f}, fetch {fetch:.2f}, {fetch / socket_s:.1f} × a bare socket;"
                f" CPU {cpu:.2f} s)"
                f"   our client {statistics.median(ours):.2f} s"
            )


if __name__ == "__main__":
    main()
