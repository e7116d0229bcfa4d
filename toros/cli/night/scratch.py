"""The observatory of a simulated night: a folder, free ports, a fast clock, a scratch archive."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import yaml

from toros.common.atomic import write_text
from toros.common.clock import Clock, iso
from toros.common.config import Config, load_config
from toros.common.database import sqlite_url

Frames = Literal["small", "full"]

# The Sun is still up at Cordón Macón: time for biases, darks and the twilight.
EVENING = datetime(2017, 8, 17, 21, 50, tzinfo=UTC)
RATE = {"small": 120.0, "full": 20.0}
# Machine seconds for the modules to start, before the evening begins.
START_UP_S = 12.0
MODULES = ("simulator", "dome", "preprocessor", "telescope", "lvcgcn")
# AT 2017gfo at the first evening (Coulter et al. 2017, Drout et al. 2017).
KILONOVA = {
    "name": "AT 2017gfo",
    "ra": 197.45037,
    "dec": -23.38148,
    "magnitude": 17.3,
    "start": "2017-08-17T12:41:04Z",
}


@dataclass(frozen=True)
class Scratch:
    """A simulated observatory on disk."""

    folder: Path
    config_path: Path
    config: Config
    modules: tuple[str, ...] = MODULES


def make_scratch(folder: Path, frames: Frames) -> Scratch:
    """Write the configuration of a simulated observatory into `folder` and return it.

    Parameters
    ----------
    folder : pathlib.Path
        Made if it is missing; all files of the night go there.
    frames : {'small', 'full'}
        1024² pixels, or the 10560² of the first site's camera.
    """
    folder = folder.resolve()
    ports = free_ports(len(MODULES))
    services = {
        name: {"ip": "127.0.0.1", "port": port} for name, port in zip(MODULES, ports, strict=True)
    }
    device = {"alpaca": f"http://127.0.0.1:{services['simulator']['port']}", "number": 0}
    anchor = Clock().unix() + START_UP_S
    document: dict[str, Any] = {
        "node": "simulated",
        "services": services,
        "logging": {"file": str(folder / "logs" / "toros.log")},
        "database": {"url": sqlite_url(folder / "archive.db")},
        "devices": {
            **dict.fromkeys(("mount", "dome", "camera", "filter_wheel", "focuser"), device),
            "safety_monitor": [device],
            "weather": [device],
        },
        "data": {"raw": str(folder / "raw"), "products": str(folder / "products")},
        "clock": {"start": iso(EVENING), "anchor": anchor, "rate": RATE[frames]},
        "lvcgcn": {"folder": str(folder / "alerts"), "hosts": 12},
        "telescope": {"count": 2, "flats": {"count": 5}, "read_noise_e": 6.0},
        "simulator": simulator_settings(frames),
    }
    path = folder / "toros.conf.yaml"
    write_text(path, yaml.safe_dump(document, sort_keys=False))
    return Scratch(folder, path, load_config(path))


def simulator_settings(frames: Frames) -> dict[str, Any]:
    """Return the settings of a simulator that shows what was new in the sky of GW170817."""
    camera = {
        "small": {"width": 1024, "height": 1024},
        "full": {"width": 10560, "height": 10560, "pixel_scale_arcsec": 0.5},
    }
    return {
        "discovery": False,
        "camera": camera[frames],
        "transients": [KILONOVA],
        "real_stars": False,  # the same night on every machine, whatever is installed there
    }


def default_folder() -> Path:
    """Return a new folder in the current one, named after the machine's time."""
    return Path(f"night-{Clock().now():%Y%m%dT%H%M%S}")


def free_ports(count: int) -> list[int]:
    """Return `count` different free TCP ports of the loopback interface."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
