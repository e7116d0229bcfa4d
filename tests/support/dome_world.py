"""A dome module on the simulator's hardware, over HTTP, in time that is stepped by hand.

The module's loops are played by the clock; everything else is as it is in a night: its devices
are asked over real connections, and its archive is a real database. `Promises` watches the metal
itself and fails as soon as one of the three promises is broken.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from tests.support.peer import Peer
from tests.support.stepped import Regular, SetClock, SteppedClock
from toros.alpaca import Mount, open_mount
from toros.alpaca import link as alpaca_link
from toros.common.config import Config, Device, Service
from toros.common.config.dome import DomeSettings
from toros.common.config.models import Devices
from toros.common.config.simulator import SimulatorSettings
from toros.common.errors import TorosError, UnknownOrder
from toros.common.journal import Journal
from toros.common.module import Context
from toros.common.requests import Task
from toros.common.work_order import WorkOrder
from toros.dome.requests import TABLE
from toros.dome.state import DomeModule
from toros.simulator.faults import FaultOrder
from toros.simulator.server import Simulator
from toros.simulator.weather import Step

CALM = {"rain_rate": 0.0, "humidity": 25.0, "wind_gust": 6.0, "wind_speed": 4.0}
# Night at Cordón Macón all year round.
MIDNIGHT = datetime(1990, 1, 1, 4, 30, tzinfo=UTC)
SETTINGS = DomeSettings.model_validate(
    {
        "shutter_needs_parked_mount": True,
        "mount_park_wait_s": 60.0,
        "shutter_timeout_s": 60.0,
        "close_retry_s": 10.0,
        "find_out_s": 15.0,
        "telescope_silence_s": 60.0,
        "safety_max_age_s": 30.0,
        "weather": {
            "poll_s": 15.0,
            "hold_s": 30.0,
            "limits": {
                **dict.fromkeys(("humidity_percent", "dew_point_margin_c", "wind_speed_m_s")),
                **dict.fromkeys(("wind_gust_m_s", "cloud_cover_percent")),
            },
        },
    }
)


class Link:
    """What a link sleeps by: it moves the time on."""

    def __init__(self, clock: SteppedClock) -> None:
        self._clock = clock

    def sleep(self, seconds: float) -> None:
        self._clock.skip(seconds)


class World:
    """The observatory, its weather and its faults, and the module that keeps the dome."""

    def __init__(
        self,
        sessions: sessionmaker[Session],
        peer: Peer,
        monkeypatch: pytest.MonkeyPatch,
        settings: DomeSettings = SETTINGS,
        simulator: dict[str, Any] | None = None,
    ) -> None:
        self.clock = SteppedClock(MIDNIGHT.timestamp())
        self.machine = SetClock(self.clock)  # the time by the machine of the dome module
        monkeypatch.setattr(alpaca_link, "_machine", Link(self.clock))
        self.settings = settings
        self.peer = peer
        hardware = {
            "discovery": False,
            "galaxies": False,
            "camera": {"width": 32, "height": 32},
            "mount": {"slew_rate": 20.0, "settle_s": 1.0},
            "dome": {"shutter_s": 15.0, "azimuth_rate": 20.0},
            **(simulator or {}),
        }
        self.simulator = Simulator(
            SimulatorSettings.model_validate(hardware), self.clock, Config().site
        )
        self.simulator.start()
        device = Device(alpaca=self.simulator.url, number=0)
        self.sessions = sessions
        self.config = Config(
            services={"telescope": Service(ip="127.0.0.1", port=peer.port)},
            devices=Devices(mount=device, dome=device, safety_monitor=[device], weather=[device]),
            dome=settings,
        )
        self.context = Context(self.config, self.machine, sessions)
        self.mount: Mount = open_mount(device, self.clock)
        self.dome: DomeModule | None = None
        self.started = self.clock.unix()
        self._loops: list[Regular] = []
        self.nights = 0
        self._orders = itertools.count(1)

    # The world

    @property
    def observatory(self) -> Any:
        return self.simulator.observatory

    def reset(self) -> None:
        """Begin another night: calm, closed, parked, and everything alive."""
        self.kill()
        self.simulator.faults.clear()
        self.observatory.down_until = float("-inf")
        self.peer.alive = True
        self.nights += 1
        night = MIDNIGHT + timedelta(days=self.nights)
        self.clock.skip(max(night.timestamp() - self.clock.unix(), 0.0))
        self.weather(None, **CALM)
        self.observatory.dome.find_home()
        self.observatory.dome.move_shutter(0.0)
        if not self.mount.parked():
            self.mount.park()
        self.clock.skip(60.0)
        self.run()
        self.order("unlock_dome")
        self.wait(6.0)

    def weather(self, safe: bool | None, **values: float) -> None:
        self.observatory.weather.play([Step(0.0, 0.0, values, safe, judged=safe is None)])

    def at(self, after_s: float, work: Callable[[], object]) -> None:
        """Do something once, while somebody waits."""
        self.clock.at(after_s, work)

    def at_sunrise(self) -> None:
        """Let the Sun rise at once: all that happens till then is left out."""
        observer, low = self.observatory.observer, self.clock.unix()
        high = low + 12 * 3600.0
        while high - low > 1.0:
            middle = (low + high) / 2
            low, high = (middle, high) if observer.sun_altitude(middle) < 0.0 else (low, middle)
        self.clock.skip(high - self.clock.unix())

    @property
    def target(self) -> tuple[float, float]:
        """Where the telescope points when it points."""
        ra, dec = self.observatory.observer.radec(self.clock.unix(), 60.0, 30.0)
        return float(ra), float(dec)

    def shower(self, after_s: float, lasts_s: float) -> None:
        """Let it rain in a while, whatever is done meanwhile."""
        wet = Step(after_s, 0.0, {"rain_rate": 2.0}, None, judged=True)
        dry = Step(after_s + lasts_s, 0.0, {"rain_rate": 0.0}, None, judged=True)
        self.observatory.weather.play([wet, dry])

    def telescope_points(self) -> None:
        """Do what the telescope module does: point, but only while the dome is open and safe."""
        if self.dome is None:
            return
        status = self.status()
        if not (status["open"] and status["safe"]):
            return
        try:
            if self.mount.parked():
                self.mount.unpark()
            self.mount.start_slew(*self.target)
        except TorosError:
            return  # the telescope module would tell somebody; here only the dome is judged

    def set_time(self, seconds: float) -> None:
        """Set the dome's machine's time of day on, or back."""
        self.machine.set_on(seconds)

    def fault(self, **order: Any) -> None:
        self.simulator.faults.add(FaultOrder.model_validate(order))

    def wait(self, seconds: float) -> None:
        self.clock.wait(threading.Event(), seconds)

    # The module

    def run(self) -> None:
        """Start the dome module; its loops go on whenever somebody waits."""
        stop = threading.Event()
        self.started = self.clock.unix()
        self.journal = self._journal()
        self.dome = dome = DomeModule(self.context)
        dome.lock.read()
        played = [self.clock.regularly(each.pause_s, each.ask) for each in dome.sources.asked]

        def look() -> None:
            dome.reader.refresh()
            dome.watch.look(stop)

        def follow() -> None:
            dome.reader.refresh()
            dome.aperture.look(stop)

        played.append(self.clock.regularly(self.settings.safety_poll_s, look))
        played.append(self.clock.regularly(self.settings.follow_poll_s, follow))
        self._loops = played

    def _journal(self) -> Journal:
        return Journal(self.sessions, "dome", self.config.node, "nobody", self.machine)

    def take(self, request: str, **fields: Any) -> None:
        """Take an order as the front desk does, and leave it undone."""
        self.journal.accept(WorkOrder.read({"request": request, **fields}), TABLE.find(request))

    def change(self, settings: DomeSettings) -> None:
        """Run the module with other settings."""
        self.kill()
        self.settings = settings
        self.config = self.config.model_copy(update={"dome": settings})
        self.context = Context(self.config, self.machine, self.sessions)

    def kill(self) -> None:
        """Let the module die as by kill -9: it closes nothing, and says nothing."""
        if self.dome is None:
            return
        dome, self.dome = self.dome, None
        self.clock.agenda[:] = [each for each in self.clock.agenda if each not in self._loops]
        dome.sources.close()
        dome._hardware.close()

    def order(self, request: str, **fields: Any) -> Any:
        """Do an order as a worker does, here; return its result, or the error it failed of."""
        if self.dome is None:
            return None
        self.dome.reader.refresh()
        row = TABLE.find(request)
        struct = {"id": f"order-{next(self._orders)}", "request": request, **fields}
        order = WorkOrder.read(struct)
        taken = self.journal.moments.of(order.key)
        task = Task(order, taken=taken, inherited=taken is None and self._is_journaled(order))
        try:
            return row.handler(self.dome, row.read_fields(order), task)
        except TorosError as error:
            return error

    def _is_journaled(self, order: WorkOrder) -> bool:
        try:
            self.journal.get(order.key)
        except UnknownOrder:
            return False
        return True

    def status(self) -> dict[str, Any]:
        found = self.order("dome_status")
        assert isinstance(found, dict), found
        return found

    def close(self) -> None:
        self.kill()
        self.mount.close()
        self.simulator.stop()
