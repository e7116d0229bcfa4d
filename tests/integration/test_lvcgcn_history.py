"""`toros alert list`, `show` and `replay` on what a robot recorded; plots."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.alert_house import REPLAY, AlertHouse, alert_house, notice
from tests.support.waiting import wait_until
from toros.archive.schema import upgrade
from toros.cli.main import run
from toros.common.client import FrontDeskClient
from toros.common.config.loader import DEFAULT_PATH, VARIABLE
from toros.common.database import make_engine, make_sessions

PNG = b"\x89PNG\r\n\x1a\n"
RETRACTION = {"alert_type": "RETRACTION", "time_created": "2017-08-17T19:00:00Z", "event": None}
Toros = Callable[..., Any]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlertHouse]:
    folder = tmp_path_factory.mktemp("house")
    engine = make_engine(_database(folder))
    upgrade(engine)
    with alert_house(folder, make_sessions(engine)) as found:
        with found.robot() as robot:
            client = FrontDeskClient(robot.url)
            for content in (notice("S1a"), notice("S2b"), notice("S1a", **RETRACTION)):
                client.ask("process_alert", notice=content.decode(), wait=60)
            wait_until(lambda: len(found.telescope.done) == 3, "all orders")
        yield found
    engine.dispose()


def _database(folder: Path) -> str:
    return f"sqlite:///{folder / 'archive.db'}"


@pytest.fixture
def toros(house: AlertHouse, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run the command with the house's configuration; return what it printed."""

    def command(*words: str, code: int = 0, **lvcgcn: Any) -> Any:
        document = house.document(**lvcgcn) | {"database": {"url": _database(house.folder)}}
        path = house.folder / "toros.conf.yaml"
        path.write_text(yaml.safe_dump(document))
        capsys.readouterr()
        assert run([*words, "--config", str(path)]) == code
        printed = capsys.readouterr()
        if code:
            return printed.err
        return json.loads(printed.out) if "--json" in words else printed.out

    return command


def test_alerts_are_listed_the_newest_first(toros: Toros) -> None:
    found = toros("alert", "list", "--json")
    assert [(one["event"], one["revision"]) for one in found] == [
        ("S1a", 2),
        ("S2b", 1),
        ("S1a", 1),
    ]
    assert [one["event"] for one in toros("alert", "list", "--event", "S2b", "--json")] == ["S2b"]
    heading, newest, *_ = toros("alert", "list").splitlines()
    assert heading.split() == ["received", "event", "rev.", "type", "label", "followed", "why"]
    assert newest.split()[2:5] == ["S1a", "2", "RETRACTION"]
    assert newest.endswith("The event is retracted; told: MACON.")


def test_an_event_is_shown_with_its_state_and_targets(toros: Toros, tmp_path: Path) -> None:
    found = toros("alert", "show", "S1a", "--json")
    assert found["state"] == "retracted"
    assert [one["alert_type"] for one in found["revisions"]] == ["INITIAL", "RETRACTION"]
    assert len(found["revisions"][0]["changes"]["MACON"]["new"]) == 5
    assert {one["state"] for one in found["targets"]} == {"retracted"}
    assert toros("alert", "show", "S2b", "--json")["state"] == "followed"
    printed = toros("alert", "show", "S2b", "--plot", str(tmp_path / "map.png"))
    assert "NGC 4993" in printed
    assert "MACON: 5 new" in printed
    assert "MACON: 5 cancelled" in toros("alert", "show", "S1a")
    assert (tmp_path / "map.png").read_bytes().startswith(PNG)
    assert "No notice of S9z" in toros("alert", "show", "S9z", code=1)


def test_notices_are_decided_on_anew_with_today_s_rules(toros: Toros) -> None:
    found = toros("alert", "replay", "S2b", "--json", trigger={"max_distance_mpc": 30})
    (one,) = found
    assert (one["triggered_then"], one["triggered"]) == (True, False)
    assert "40 Mpc, is above 30 Mpc" in one["why"]
    assert {rule["rule"]: rule["passed"] for rule in one["rules"]} == {
        "significant_only": True,
        "max_terrestrial": True,
        "hosts": True,
        "max_distance_mpc": False,
    }
    printed = toros("alert", "replay", "S2b")
    assert "followed (followed then)" in printed


def test_a_map_is_drawn_with_its_hosts(toros: Toros, tmp_path: Path) -> None:
    (tmp_path / "map.fits").write_bytes(REPLAY.sky_map)
    picture = tmp_path / "map.png"
    toros(
        "alert",
        "rank",
        str(tmp_path / "map.fits"),
        "--plot",
        str(picture),
        "--weight",
        "luminosity",
    )
    assert picture.read_bytes().startswith(PNG)


@pytest.mark.skipif(DEFAULT_PATH.exists(), reason=f"this machine has {DEFAULT_PATH}")
def test_without_a_configuration_the_record_is_empty(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert run(["alert", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    for command in ("show", "replay"):
        assert run(["alert", command, "S1a"]) == 1
        said = capsys.readouterr().err
        assert "No notice of S1a was received" in said
        assert "--config" in said
    # One that is named and is not there is still a wrong use.
    monkeypatch.setenv(VARIABLE, "/nonexistent/toros.conf.yaml")
    assert run(["alert", "list"]) == 2
