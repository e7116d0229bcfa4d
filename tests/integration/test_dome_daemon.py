"""The dome daemon over its front desk, on the simulator's hardware."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.ports import free_port
from tests.support.waiting import wait_until
from toros.archive.models import Event
from toros.common.client import FrontDeskClient
from toros.common.clock import Clock
from toros.common.config import Config, Device, Service
from toros.common.config.dome import DomeSettings
from toros.common.config.models import Devices
from toros.common.config.simulator import SimulatorSettings
from toros.common.daemon import Daemon
from toros.common.module import Context
from toros.common.work_order import OrderStatus
from toros.dome.daemon import build
from toros.simulator.faults import FaultOrder
from toros.simulator.server import Simulator
from toros.sky.dome_geometry import azimuth_difference
from toros.sky.site import Site
from toros.sky.visibility import altaz

RATE = 60.0
NEAR_ZENITH = (259.0, -35.0)  # its azimuth runs by a degree a minute


class Dome:
    """A running daemon, its client, and the hardware's own truth."""

    def __init__(self, simulator: Simulator, context: Context) -> None:
        self.simulator = simulator
        self.context = context
        self.clock = context.clock
        self.daemon = Daemon(build(context), context, ("127.0.0.1", 0))
        self.daemon.start()
        self.client = FrontDeskClient(self.daemon.url)
        self._stopped = False

    def stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            self.daemon.stop()

    def ask(self, request: str, **fields: Any) -> Any:
        return self.client.ask(request, **fields)

    def status(self) -> dict[str, Any]:
        return self.ask("dome_status")

    def truth(self) -> dict[str, Any]:
        answer = requests.get(f"{self.simulator.url}/simulator/v1/truth", timeout=10)
        return answer.json()["dome"]

    def safe(self, safe: bool | None) -> None:
        url = f"{self.simulator.url}/simulator/v1/weather"
        requests.put(url, json={"safe": safe}, timeout=10).raise_for_status()

    def until_safe(self) -> None:
        wait_until(lambda: self.status()["safe"], "the monitors to be heard")

    def events(self) -> list[Event]:
        with self.context.sessions() as session:
            return list(session.scalars(select(Event).order_by(Event.id)))


@pytest.fixture
def clock() -> Clock:
    return Clock.simulated(datetime(2017, 8, 17, 23, 20, tzinfo=UTC), RATE)


@pytest.fixture
def simulator(clock: Clock) -> Iterator[Simulator]:
    settings = SimulatorSettings(discovery=False, galaxies=False)
    with Simulator(settings, clock, Config().site) as found:
        yield found


@pytest.fixture
def start(
    simulator: Simulator, clock: Clock, sessions: sessionmaker[Session]
) -> Iterator[Callable[..., Dome]]:
    started: list[Dome] = []

    def begin(**changes: Any) -> Dome:
        device = Device(alpaca=simulator.url, number=0)
        devices = Devices(dome=device, safety_monitor=[device])
        config = Config(**{"devices": devices, **changes})
        started.append(Dome(simulator, Context(config, clock, sessions)))
        return started[-1]

    yield begin
    for dome in started:
        dome.stop()


@pytest.fixture
def dome(start: Callable[..., Dome]) -> Dome:
    found = start()
    found.until_safe()
    return found


def test_status_is_that_of_the_hardware(dome: Dome) -> None:
    status = dome.status()
    assert {"azim", "open", "park", "connected", "time", "version"} <= status.keys()
    assert status["connected"] is True
    assert status["open"] is False
    assert status["shutter"] == "closed"
    assert status["version"].startswith("v")
    assert abs(status["time"] - dome.clock.unix()) < 10 * RATE
    assert dome.ask("DomeStatus").keys() == status.keys()


def test_orders_answer_what_the_hardware_reads(dome: Dome) -> None:
    assert dome.ask("SetAzim", azim=77) is True
    assert dome.truth()["azim_deg"] == pytest.approx(77, abs=1)
    assert dome.ask("open_dome") is True
    assert dome.truth()["shutter"] == 1.0
    assert dome.status()["open"] is True
    assert dome.ask("set_for_coordinates", alt=45.0, azim=300.0) is True
    assert dome.status()["azim"] == pytest.approx(300, abs=1)
    assert dome.ask("CloseDome") is True
    assert dome.truth()["shutter"] == 0.0
    assert dome.ask("ParkPostion") is True
    assert dome.status()["park"] is True
    assert dome.ask("sync_azimuth", azim=181.0) is True
    assert dome.status()["azim"] == pytest.approx(181, abs=1)


@pytest.mark.parametrize(
    ("request_name", "fields"),
    [
        ("set_azim", {}),
        ("set_azim", {"azim": 400.0}),
        ("set_azim", {"azim": "12"}),
        ("set_azim", {"azim": True}),
        ("set_for_coordinates", {"alt": -5.0, "azim": 10.0}),
        ("follow", {"ra": 10.0, "dec": 100.0}),
        ("open_dome", {"quickly": True}),
    ],
)
def test_bad_fields_are_rejected(dome: Dome, request_name: str, fields: dict[str, Any]) -> None:
    reply = dome.client.send(request_name, **fields)
    assert reply.status is OrderStatus.REJECTED
    assert reply.code == 12


def test_a_target_below_the_horizon_is_refused(dome: Dome) -> None:
    reply = dome.client.send("follow", ra=NEAR_ZENITH[0], dec=80.0)
    assert reply.status is OrderStatus.FAILED
    assert reply.code == 300
    assert "below the horizon" in reply.message


def test_the_slit_stays_on_a_followed_target(start: Callable[..., Dome]) -> None:
    dome = start(dome=DomeSettings(follow_tolerance_deg=4.0))
    dome.until_safe()
    assert dome.ask("follow", ra=NEAR_ZENITH[0], dec=NEAR_ZENITH[1]) is True
    assert dome.status()["following"] is True
    assert dome.status()["in_slit"] is True
    site = dome.context.config.site
    place = Site(site.name, site.latitude, site.longitude, site.elevation)

    def off() -> float:
        _, azim = altaz(place, dome.clock.unix(), *NEAR_ZENITH)
        return abs(azimuth_difference(dome.truth()["azim_deg"], float(azim[0, 0])))

    assert off() < 6
    first = dome.truth()["azim_deg"]
    wait_until(lambda: abs(dome.truth()["azim_deg"] - first) > 2.5, "the dome to move on")
    assert off() < 6
    assert dome.ask("unfollow") is True
    assert dome.status()["following"] is False


def test_unsafe_closes_and_refuses_to_open(dome: Dome) -> None:
    assert dome.ask("open_dome") is True
    dome.safe(False)
    wait_until(lambda: dome.truth()["shutter"] == 0.0, "the dome to close")
    status = dome.status()
    assert status["safe"] is False
    assert "unsafe" in status["unsafe_because"]
    reply = dome.client.send("open_dome")
    assert reply.status is OrderStatus.FAILED
    assert reply.code == 301
    wait_until(lambda: any("is closed" in event.message for event in dome.events()), "the event")
    dome.safe(True)
    dome.until_safe()
    assert dome.ask("open_dome") is True


def test_a_close_overrides_an_opening_and_those_that_wait(dome: Dome) -> None:
    replies: list[Any] = []
    opening = threading.Thread(target=lambda: replies.append(dome.client.send("open_dome")))
    opening.start()
    wait_until(lambda: dome.truth()["shutter"] > 0.0, "the shutter to move")
    waiting = dome.client.send("open_dome", wait=0.0)
    assert dome.ask("close_dome") is True
    opening.join()
    assert replies[0].status is OrderStatus.CANCELLED
    key = str(waiting.id)
    wait_until(
        lambda: dome.ask("work_order_status", work_order=key)["state"] == "cancelled",
        "the waiting order to be cancelled",
    )
    assert dome.truth()["shutter"] == 0.0


def test_a_device_server_that_is_gone_is_unsafe_and_reported(
    dome: Dome, simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    assert dome.ask("open_dome") is True
    simulator.stop()
    wait_until(lambda: not dome.status()["safe"], "the monitor's silence to be noticed")
    wait_until(lambda: not dome.status()["connected"], "the dome's silence to be noticed")
    assert dome.status()["shutter"] == "unknown"
    wait_until(
        lambda: any(event.level == "error" for event in dome.events()), "the failure to be recorded"
    )
    assert any(record.levelname == "ERROR" for record in caplog.records)


def test_a_closed_dome_that_answers_slowly_is_not_closed_again_and_again(
    dome: Dome, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, looks = dome.daemon._module.state.watch, itertools.count()
    seen, look = [0], watch.look

    def counted(stop: threading.Event) -> None:
        look(stop)
        if dome.status()["unsafe_because"]:
            seen.append(next(looks))

    monkeypatch.setattr(watch, "look", counted)
    simulator.faults.add(FaultOrder(fault="slow", device="dome", delay_s=2.5))
    dome.safe(False)
    wait_until(lambda: seen[-1] >= 3, "the watch to look while it is unsafe", seconds=60)
    assert not any("closes" in event.message for event in dome.events())


def test_a_silent_telescope_closes_the_dome(start: Callable[..., Dome]) -> None:
    nobody = Service(ip="127.0.0.1", port=free_port())
    settings = DomeSettings(telescope_silence_s=10.0)
    dome = start(services={"telescope": nobody}, dome=settings)
    dome.until_safe()
    assert dome.ask("open_dome") is True
    wait_until(lambda: dome.truth()["shutter"] == 0.0, "the dome to close", seconds=60)
    wait_until(
        lambda: any("telescope module is silent" in event.message for event in dome.events()),
        "the event",
    )


def test_the_dome_closes_when_its_module_stops(
    simulator: Simulator, start: Callable[..., Dome]
) -> None:
    dome = start()
    dome.until_safe()
    assert dome.ask("open_dome") is True
    dome.stop()
    assert dome.truth()["shutter"] == 0.0


def test_without_any_device_the_module_answers_and_stays_unsafe(
    clock: Clock, sessions: sessionmaker[Session], simulator: Simulator
) -> None:
    nobody = Device(alpaca=f"http://127.0.0.1:{free_port()}", number=0)
    config = Config(devices=Devices(dome=nobody, safety_monitor=[nobody]))
    dome = Dome(simulator, Context(config, clock, sessions))
    try:
        status = dome.status()
        assert status["connected"] is False
        assert status["safe"] is False
        assert dome.client.send("open_dome").code == 301
        reply = dome.client.send("close_dome")
        assert reply.status is OrderStatus.FAILED
        assert reply.code == 302
        assert "cannot be reached" in reply.message
    finally:
        dome.stop()


def test_a_server_that_comes_back_is_connected_again(dome: Dome, simulator: Simulator) -> None:
    assert dome.status()["connected"] is True
    port = simulator.port
    simulator.stop()
    wait_until(lambda: not dome.status()["connected"], "the dome's silence to be noticed")
    again = Simulator(simulator.observatory.settings, dome.clock, Config().site, port=port)
    with again:
        wait_until(lambda: dome.status()["connected"], "the dome to be connected again")
        dome.until_safe()
        assert dome.ask("set_azim", azim=200.0) is True
        dome.stop()


def test_a_slow_close_is_no_hanging_loop(sessions: sessionmaker[Session]) -> None:
    slow = DomeSettings(
        shutter_timeout_s=900.0,
        mount_park_wait_s=600.0,
        shutter_needs_parked_mount=True,
        close_on_exit=False,  # there is no hardware here that could be closed
    )
    module = build(Context(Config(dome=slow), Clock(), sessions))
    patience = {loop.name: loop.patience_s for loop in module.loops}
    module.close()
    for name in ("dome-watch", "dome-leaving"):
        assert (patience[name] or 0.0) > 900.0 + 600.0
