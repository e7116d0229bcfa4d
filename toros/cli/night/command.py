"""`toros night`, from the first process to the last line of the report."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from toros.archive import schema
from toros.cli.folders import require_writable
from toros.cli.night import report
from toros.cli.night.scratch import Scratch, default_folder, make_scratch
from toros.cli.night.view import NightView
from toros.cli.night.watch import Snapshot, Watch
from toros.cli.options import ConfigOption, JsonOption
from toros.cli.output import err, out, print_json
from toros.cli.processes import ModuleProcess, stop_all, wait_until_ready
from toros.cli.verdicts import INTERRUPTED
from toros.common.atomic import write_text
from toros.common.client import FrontDeskClient
from toros.common.config import Config, load_config
from toros.common.database import make_engine, make_sessions
from toros.common.errors import ConfigurationError, PeerError, TelescopeError

LOOK_EVERY_S = 0.5  # machine seconds
CLOSE_WITHIN_S = 60.0
LONGEST_NIGHT = timedelta(hours=20)


class FrameSize(StrEnum):
    """Frames of the simulated camera."""

    SMALL = "small"
    FULL = "full"


class Event(StrEnum):
    """Events that can be replayed."""

    GW170817 = "gw170817"


def night(
    simulated: Annotated[
        bool, typer.Option("--simulated", help="Start a simulated observatory of its own.")
    ] = False,
    replay: Annotated[
        Event | None, typer.Option(help="The event of a simulated night; GW170817 by default.")
    ] = None,
    frames: Annotated[
        FrameSize, typer.Option(help="Frames of the simulated camera: 1024² or 10560².")
    ] = FrameSize.SMALL,
    target: Annotated[
        Path | None, typer.Option("--out", help="Folder of the night's files.")
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Run a whole night: rank, plan, observe, calibrate, report."""
    if not simulated:
        if replay is not None:
            raise ConfigurationError("--replay goes with --simulated: it needs a simulated sky.")
        settings = load_config(config)
        folder = target or default_folder()
        require_writable(folder, "--out")
        _follow(settings, folder, as_json, title=f"TOROS at {settings.site.name}")
        return
    folder = (target or default_folder()).resolve()
    require_writable(folder, "--out")
    if (folder / "archive.db").exists():
        raise ConfigurationError(f"--out: {folder} holds another night; name an empty folder.")
    _run_simulated(make_scratch(folder, frames.value), as_json)


def _run_simulated(scratch: Scratch, as_json: bool) -> None:
    from toros.simulator.replay import make_gw170817

    engine = make_engine(scratch.config.database.url)
    schema.upgrade(engine)
    engine.dispose()
    err.print(f"Starting {', '.join(scratch.modules)} in {scratch.folder}", markup=False)
    logs = scratch.folder / "logs"
    simulator, *others = scratch.modules
    processes = [ModuleProcess(simulator, scratch.config_path, logs / f"{simulator}.out")]
    try:
        wait_until_ready(scratch.config, processes)
        processes += [
            ModuleProcess(name, scratch.config_path, logs / f"{name}.out") for name in others
        ]
        wait_until_ready(scratch.config, processes)
        notice = make_gw170817().notice.decode()
        _follow(
            scratch.config,
            scratch.folder,
            as_json,
            title="TOROS, simulated",
            notice=notice,
            processes=processes,
        )
    finally:
        stop_all(processes, scratch.config)


def _follow(
    settings: Config,
    folder: Path,
    as_json: bool,
    *,
    title: str,
    notice: str | None = None,
    processes: list[ModuleProcess] | None = None,
) -> None:
    """Begin the night, follow it to its end, and report."""
    clock = settings.make_clock()
    engine = make_engine(settings.database.url)
    try:
        schema.check_current(engine)
        sessions = make_sessions(engine)
        began = clock.now()
        watch = Watch(settings, sessions, began)
        with _asked_to_stop() as asked:
            _begin(settings, notice)
            with NightView(err, title) as view:
                last = _watch_until_over(watch, view, asked, settings, processes or [], began)
        document = report.document(last, sessions)
    finally:
        engine.dispose()
    document["clock_rate"] = clock.rate
    pictures = report.draw(document, last, settings, folder)
    write_text(folder / "night.json", json.dumps(document, indent=2))
    if as_json:
        print_json(document)
    else:
        report.summarise(document, pictures, folder, out)
    if asked.is_set():
        raise typer.Exit(INTERRUPTED)
    if not any(frame.image_type == report.LIGHT for frame in last.frames):
        raise TelescopeError("The night is over and nothing was observed; the report says why.")


def _begin(settings: Config, notice: str | None) -> None:
    """Publish the notice of a replay, and open the night."""
    if notice is not None:
        lvcgcn = FrontDeskClient.of(settings, "lvcgcn")
        lvcgcn.ask("process_alert", id="replay", notice=notice, wait=60)
    FrontDeskClient.of(settings, "telescope").ask("open_night", wait=30)


def _watch_until_over(
    watch: Watch,
    view: NightView,
    asked: threading.Event,
    settings: Config,
    processes: list[ModuleProcess],
    began: datetime,
) -> Snapshot:
    """Return the night's last snapshot; when somebody asks to stop, park and close first."""
    while True:
        snapshot = watch.look()
        view.show(snapshot)
        if snapshot.over:
            return snapshot
        dead = next((item for item in processes if item.exit_status is not None), None)
        if dead is not None:
            raise PeerError(
                f"The module {dead.name} ended (exit status {dead.exit_status}): "
                f"{dead.last_words()}"
            )
        if snapshot.time - began > LONGEST_NIGHT:
            raise TelescopeError(f"The night is not over after {LONGEST_NIGHT}.")
        if asked.wait(LOOK_EVERY_S):
            view.say("Interrupted: parking the telescope and closing the dome…")
            _close(settings)
            return _wait_until_closed(watch, view)


def _close(settings: Config) -> None:
    try:
        FrontDeskClient.of(settings, "telescope").ask("abort", wait=10)
        FrontDeskClient.of(settings, "telescope").ask("close_night", wait=10)
    except PeerError as error:
        err.print(f"toros: {error.message} The dome is closed without it.", style="red")
        FrontDeskClient.of(settings, "dome").ask("close_dome", wait=CLOSE_WITHIN_S)


def _wait_until_closed(watch: Watch, view: NightView) -> Snapshot:
    pause = threading.Event()
    for _ in range(int(CLOSE_WITHIN_S / LOOK_EVERY_S)):
        snapshot = watch.look()
        view.show(snapshot)
        if snapshot.night_state in ("closed", "not begun"):
            return snapshot
        pause.wait(LOOK_EVERY_S)
    raise TelescopeError(f"The night is not closed {CLOSE_WITHIN_S:g} s after it was ordered.")


@contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C and SIGTERM set; a second Ctrl-C interrupts at once."""
    asked = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {
        number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
