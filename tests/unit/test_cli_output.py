"""What commands print for people."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from rich.console import Console

from tests.support.night_frames import Camera
from tests.support.ports import free_port
from toros.archive.models import Event, Observation
from toros.cli.main import run
from toros.cli.night.report import summarise
from toros.cli.night.view import NightView
from toros.cli.night.watch import Snapshot
from toros.cli.output import progress_bar


def test_status_shows_whole_addresses_where_there_is_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    port = free_port()
    config = tmp_path / "c.yaml"
    config.write_text(f"services: {{preprocessor: {{ip: 127.0.0.1, port: {port}}}}}")
    assert run(["status", "--config", str(config)]) == 0
    shown = capsys.readouterr().out
    assert f"http://127.0.0.1:{port}" in shown
    assert "connection refused" in " ".join(shown.split())


def test_status_of_a_running_module_fits_a_terminal_with_no_name_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    answer = {"status": "running", "version": "0.1.0", "since": "2026-11-27T20:49:05.589Z"}
    monkeypatch.setattr(
        "toros.cli.orders._status_of", lambda *_: {"reachable": True, "queue": 12, **answer}
    )
    config = tmp_path / "c.yaml"
    config.write_text("services: {preprocessor: {ip: 127.0.0.1, port: 28080}}")
    assert run(["status", "--config", str(config)]) == 0
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split() == ["module", "status", "version", "since", "(UTC)", "queue", "address"]
    assert line.split() == [
        *("preprocessor", "running", "0.1.0", "2026-11-27", "20:49", "12"),
        "http://127.0.0.1:28080",
    ]
    assert len(line.rstrip()) <= 80


@pytest.mark.parametrize(("rows", "events"), [(24, 2), (26, 4), (60, 8)])
def test_the_live_view_shows_the_newest_events_whatever_the_terminals_height(
    rows: int, events: int
) -> None:
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=80, height=rows, color_system=None)
    moment = datetime(2017, 8, 17, 23, tzinfo=UTC)
    snapshot = Snapshot(
        time=moment,
        modules=dict.fromkeys(("lvcgcn", "telescope", "dome", "preprocessor")),
        since=moment,
        events=[
            Event(time=moment, module="dome", kind="x", level="info", message=f"no. {n} {'x' * 99}")
            for n in range(30)
        ],
        queue=[
            Observation(name=f"NGC {n}", state="queued", taken=0, count=2)
            for n in range(4990, 5002)
        ],
    )
    with NightView(console, "TOROS") as view:
        view.show(snapshot)
        assert view._live is not None
        view._live.refresh()
        shown = terminal.getvalue().rpartition("\u256d")[2].splitlines()
    assert [line.split("no. ")[1][:2] for line in shown if "no. " in line] == [
        str(n) for n in range(30 - events, 30)
    ]
    assert len(shown) <= rows
    assert shown[-1].startswith("\u2570")


def test_a_step_without_units_has_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=80)
    monkeypatch.setattr("toros.cli.output.err", console)
    with progress_bar() as progress:
        progress("vet", 0, 0)
        progress("master_bias", 1, 2)
        progress._bars.refresh()
    assert "master bias" in terminal.getvalue()
    assert "vet" not in terminal.getvalue()


def test_inspect_shows_brackets_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    header = fits.Header({"OBJECT": "[red]M 83[/x]"})
    fits.PrimaryHDU(np.zeros((4, 4), np.uint16), header).writeto("[b]a.fits")
    assert run(["inspect", "[b]a.fits"]) == 0
    shown = capsys.readouterr().out
    assert "[b]a.fits" in shown
    assert "[red]M 83[/x]" in shown


def test_masters_of_lights_alone_say_that_nothing_was_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Camera(tmp_path / "night").light("a")
    assert run(["masters", str(tmp_path / "night"), "--out", str(tmp_path / "out")]) == 0
    assert "Nothing was made. Frames found: 1 light." in capsys.readouterr().err


def test_a_plan_without_targets_says_how_to_name_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("node: a")
    assert run(["plan", "--night", "2017-08-17", "--config", str(config)]) == 0
    assert "--targets FILE" in capsys.readouterr().out


def test_a_plan_shows_brackets_in_names_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, targets = tmp_path / "c.yaml", tmp_path / "t.csv"
    config.write_text("node: a")
    targets.write_text("name,ra,dec\nM[/x]83,204.25,-29.87\n")
    arguments = ["plan", "--night", "2024-04-10", "--targets", str(targets)]
    assert run([*arguments, "--config", str(config)]) == 0
    assert "M[/x]83" in capsys.readouterr().out


def test_the_summary_of_a_night_shows_brackets_as_they_are(tmp_path: Path) -> None:
    target = {"rank": 1, "name": "A[/x]", "ra": 1.0, "dec": 2.0, "probability": 0.5}
    target |= {"observed": False, "reason": "no [/data]"}
    problem = {"time": "2017-08-17T23:00:00.000Z", "module": "web", "what": "none in [/data/raw]"}
    report = {"night": "2017-08-17", "event": "G1", "targets": [target], "problems": [problem]}
    shown = io.StringIO()
    summarise(
        {**report, "alerts": [], "products": [], "frames": []}, [], tmp_path,
        Console(file=shown, width=200),
    )  # fmt: skip
    for text in ("A[/x]", "no [/data]", "none in [/data/raw]"):
        assert text in shown.getvalue()
