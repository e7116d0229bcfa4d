"""A small observatory in this process: the simulator, the dome's daemon and the telescope's."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
import yaml
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.ports import free_port
from tests.support.waiting import wait_until
from toros.archive.models import Event, Exposure, Observation
from toros.common.client import FrontDeskClient
from toros.common.clock import Clock, iso
from toros.common.config import Config, Device, Service
from toros.common.config.dome import DomeSettings
from toros.common.config.models import Data, Devices
from toros.common.config.simulator import CameraSettings, MountSettings, SimulatorSettings
from toros.common.config.telescope import TelescopeSettings
from toros.common.daemon import Daemon
from toros.common.errors import PeerError
from toros.common.module import Context
from toros.dome.daemon import build as build_dome
from toros.preprocessor.daemon import build as build_preprocessor
from toros.simulator.server import Simulator
from toros.telescope.daemon import build as build_telescope
from toros.telescope.desk import TelescopeDesk
from toros.telescope.state import Telescope

CAMERA = CameraSettings(width=128, height=128, readout_s=1.0)
QUICK: dict[str, Any] = {
    "filter": "r",
    "exptime_s": 20.0,
    "idle_before_close_s": 120.0,
    "warm_c_min": 0.0,
    "focus": {"enabled": False},  # so few pixels show too few stars
}
LONG = 90.0  # machine seconds that a night may take on a loaded machine


class Observatory:
    """Everything that a night needs, on one fast clock."""

    def __init__(
        self,
        folder: Path,
        sessions: sessionmaker[Session],
        start: datetime,
        rate: float,
        telescope: dict[str, Any],
        *,
        german: bool = False,
    ) -> None:
        self.clock = Clock.simulated(start, rate)
        mount = MountSettings(kind="german" if german else "fork")
        settings = SimulatorSettings(discovery=False, galaxies=False, camera=CAMERA, mount=mount)
        self.simulator = Simulator(settings, self.clock, Config().site)
        self.simulator.start()
        device = Device(alpaca=self.simulator.url, number=0)
        here = {
            name: Service(ip="127.0.0.1", port=free_port())
            for name in ("dome", "telescope", "preprocessor")
        }
        self.config = Config(
            services=here,
            devices=Devices(
                mount=device,
                dome=device,
                camera=device,
                filter_wheel=device,
                focuser=device,
                safety_monitor=[device],
            ),
            data=Data(raw=folder / "raw", products=folder / "products"),
            dome=DomeSettings(),
            telescope=TelescopeSettings.model_validate({**QUICK, **telescope}),
        )
        self.config_path = folder / "toros.conf.yaml"
        self.context = Context(self.config, self.clock, sessions)
        self.daemons: dict[str, Daemon] = {}
        self.modules: dict[str, Any] = {}
        self.run("dome")
        wait_until(self._dome_has_heard, "the safety monitor to be heard")
        self.run("telescope")
        self.client = FrontDeskClient.of(self.config, "telescope")

    def _dome_has_heard(self) -> bool:
        status = self.dome()
        said = str(status["unsafe_because"])
        return bool(status["connected"]) and "was not heard" not in said

    def run(self, name: str) -> None:
        build: dict[str, Any] = {
            "dome": build_dome,
            "telescope": build_telescope,
            "preprocessor": build_preprocessor,
        }
        module = build[name](self.context)
        self.modules[name] = module.state
        self.daemons[name] = Daemon(module, self.context)
        self.daemons[name].start()

    def serve(self, name: str, database_url: str) -> subprocess.Popen[bytes]:
        """Run a module in a process of its own, on the same clock."""
        document = self.config.model_dump(mode="json", exclude_unset=True)
        document["database"] = {"url": database_url}
        document["logging"] = {"file": str(self.config_path.with_suffix(".log"))}
        document["clock"] = {
            "start": iso(datetime.fromtimestamp(self.clock.start, UTC)),
            "anchor": self.clock.anchor,
            "rate": self.clock.rate,
        }
        self.config_path.write_text(yaml.safe_dump(document))
        command = [sys.executable, "-m", "toros", "serve", name]
        return subprocess.Popen([*command, "--config", str(self.config_path)])

    def end(self, name: str) -> None:
        self.daemons.pop(name).stop()

    def close(self) -> None:
        for name in [*self.daemons][::-1]:
            self.end(name)
        self.simulator.stop()

    def telescope(self) -> Telescope:
        """What the telescope's daemon in this process works with."""
        desk: TelescopeDesk = self.modules["telescope"]
        return desk.telescope

    def ask(self, request: str, **fields: Any) -> Any:
        return self.client.ask(request, **fields)

    def answers(self) -> bool:
        try:
            self.night()
        except PeerError:
            return False
        return True

    def state(self) -> str:
        """The state of the night; "silent" while the telescope does not answer."""
        try:
            return str(self.night()["state"])
        except PeerError:
            return "silent"

    def night(self) -> dict[str, Any]:
        return self.ask("status")["night"]

    def dome(self) -> dict[str, Any]:
        answer: Any = FrontDeskClient.of(self.config, "dome").ask("dome_status")
        return dict(answer)

    def truth(self) -> dict[str, Any]:
        answer = requests.get(f"{self.simulator.url}/simulator/v1/truth", timeout=10)
        return dict(answer.json())

    def safe(self, safe: bool | None) -> None:
        url = f"{self.simulator.url}/simulator/v1/weather"
        requests.put(url, json={"safe": safe}, timeout=10).raise_for_status()

    def until(self, state: str) -> None:
        wait_until(lambda: self.night()["state"] == state, f"the night to be {state}", LONG)

    def until_doing(self, what: str) -> None:
        wait_until(lambda: what in self.night()["doing"], f"the telescope to do {what!r}", LONG)

    def events(self, kind: str) -> list[Event]:
        with self.context.sessions() as session:
            query = select(Event).where(Event.module == "telescope", Event.kind == kind)
            return list(session.scalars(query.order_by(Event.id)))

    def states(self) -> list[str]:
        return [event.data["to"] for event in self.events("state")]

    def exposures(self, image_type: str | None = None) -> list[Exposure]:
        query = select(Exposure).order_by(Exposure.id)
        if image_type is not None:
            query = query.where(Exposure.image_type == image_type)
        with self.context.sessions() as session:
            return list(session.scalars(query))

    def kinds(self) -> Counter[str | None]:
        return Counter(exposure.image_type for exposure in self.exposures())

    def entry(self, name: str) -> Observation:
        with self.context.sessions() as session:
            return session.scalars(select(Observation).where(Observation.name == name)).one()
