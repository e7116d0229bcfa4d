"""The units on a real systemd: what `make install` put into a Debian, booted in a container.

`make test-systemd` makes the Debian and runs this. The tests go through the life of an observatory
in order, on one guest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.night_frames import whole_night
from tests.support.nspawn import Guest
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.systemd, pytest.mark.timeout(900)]

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
FOLDER = Path(os.environ.get("TOROS_ROOTFS") or CACHE / "toros-systemd")
MODULES = ("simulator", "dome", "telescope", "preprocessor", "lvcgcn")
UNITS = tuple(f"toros-{module}.service" for module in MODULES)
DEVICES = ("mount", "dome", "camera", "filter_wheel", "focuser")
PORTS = {"simulator": 11111, "dome": 8081, "telescope": 8082, "preprocessor": 8080, "lvcgcn": 8083}
# Longer than systemd is told to wait for the end of the dome, in the test of that.
SHUTTER_S, HASTY = 25.0, "TimeoutStopSec=5\n"
# A watchdog that a test can wait for (the units have 60 s).
IMPATIENT = "WatchdogSec=8\n"
TOY = (
    f"{IMPATIENT}ExecStart=\nEnvironment=PYTHONPATH=/opt/toros-tests\n"
    "ExecStart=/usr/local/lib/toros/bin/python -m tests.support.serve_toy "
    "sqlite:////var/lib/toros/toros.db 8081\n"
)


def configuration() -> str:
    device = '{alpaca: "http://127.0.0.1:11111"}'
    return "\n".join(
        [
            "services:",
            *(f"  {name}: {{ip: 127.0.0.1, port: {port}}}" for name, port in PORTS.items()),
            "logging: {file: /var/log/toros/toros.log}",
            'database: {url: "sqlite:////var/lib/toros/toros.db"}',
            "devices:",
            *(f"  {name}: {device}" for name in DEVICES),
            f"  safety_monitor: [{device}]",
            f"simulator: {{dome: {{shutter_s: {SHUTTER_S:g}}}}}",
            "email: {password_file: '${CREDENTIALS_DIRECTORY}/mail_password'}",
            "",
        ]
    )


@pytest.fixture(scope="module")
def guest() -> Iterator[Guest]:
    root = FOLDER / "guest"
    if not root.is_dir():
        pytest.skip(f"there is no {root}: run this by `make test-systemd`")
    config = root / "etc/toros/toros.conf.yaml"
    config.write_text(configuration())
    (root / "etc/toros/credentials/mail_password").write_text("a secret of the mail server\n")
    whole_night(root / "data/raw/20240309")
    booted = Guest(root, FOLDER / "boot.log")
    yield booted
    booted.stop()


def started_again(guest: Guest, unit: str, was: dict[str, str]) -> None:
    """Wait until a unit runs in a new process, which has said that it is ready."""

    def runs() -> bool:
        now = guest.show(unit)
        again = int(now["NRestarts"]) > int(was["NRestarts"])
        return again and now["ActiveState"] == "active" and now["MainPID"] != was["MainPID"]

    wait_until(runs, f"{unit} to be started again", 180)


def show_an_admin(guest: Guest, unit: str) -> None:
    print(f"\n$ systemctl status {unit}\n{guest.status(unit)}")  # noqa: T201 - for `make`'s reader


def test_the_installation_brings_user_and_places(guest: Guest) -> None:
    assert "toros" in guest.must("id", "toros")
    owner = guest.must("stat", "--format=%U:%G %a", "/etc/toros/toros.conf.yaml")
    assert owner.strip() == "root:toros 640"
    assert guest.must("stat", "--format=%a", "/etc/toros/credentials").strip() == "700"
    for place in ("/var/lib/toros", "/data/raw", "/data/products"):
        assert guest.must("stat", "--format=%U", place).strip() == "toros"


def test_a_database_that_is_not_current_is_shown_and_not_restarted(guest: Guest) -> None:
    unit = "toros-dome.service"
    assert guest.run("systemctl", "start", unit).returncode != 0
    found = guest.show(unit)
    assert (found["ActiveState"], found["NRestarts"], found["ExecMainStatus"]) == (
        "failed",
        "0",
        "2",
    )
    assert "run 'toros db upgrade'" in found["StatusText"]
    show_an_admin(guest, unit)
    guest.must("systemctl", "reset-failed")


def test_every_module_becomes_ready_in_its_sandbox(guest: Guest) -> None:
    guest.must("systemctl", "start", "toros-database.service")
    guest.must("systemctl", "enable", "toros.target", *UNITS)
    guest.must("systemctl", "start", "toros.target")
    for unit in UNITS:
        wait_until(lambda unit=unit: guest.show(unit)["ActiveState"] == "active", unit, 120)
        found = guest.show(unit)
        assert (found["User"], found["NRestarts"]) == ("toros", "0")
        assert found["StatusText"].startswith("Answers at http://127.0.0.1:")
    show_an_admin(guest, "toros-dome.service")


def test_numba_compiles_and_keeps_its_code_in_the_sandbox(guest: Guest) -> None:
    said = guest.must("toros", "send", "preprocessor", "calibrate_file_batch",
                      "url=/data/raw/20240309", "--wait", "250")  # fmt: skip
    assert "calib_ngc4993_0.fits" in said
    assert list((guest.root / "var/cache/toros/numba").rglob("*.nbi"))


def test_kill_9_is_restarted(guest: Guest) -> None:
    unit = "toros-telescope.service"
    was = guest.show(unit)
    guest.must("systemctl", "kill", "--kill-whom=main", "--signal=KILL", unit)
    started_again(guest, unit, was)
    assert "code=killed, status=9/KILL" in guest.journal(unit)


def test_a_process_that_hangs_is_caught_by_the_watchdog(guest: Guest) -> None:
    unit = "toros-lvcgcn.service"
    guest.drop_in(unit, IMPATIENT)
    guest.must("systemctl", "restart", unit)
    was = guest.show(unit)
    guest.must("systemctl", "kill", "--kill-whom=main", "--signal=STOP", unit)
    started_again(guest, unit, was)
    assert "Watchdog timeout" in guest.journal(unit)
    guest.drop_in(unit, None)


def test_a_loop_that_hangs_is_named_and_caught_by_the_watchdog(guest: Guest) -> None:
    unit = "toros-dome.service"
    guest.drop_in(unit, TOY)
    guest.must("systemctl", "restart", unit)
    was = guest.show(unit)
    guest.must("toros", "send", "dome", "jam")
    wait_until(lambda: "Hangs: loop ticker" in guest.show(unit)["StatusText"], "the status", 60)
    show_an_admin(guest, unit)
    started_again(guest, unit, was)
    said = guest.journal(unit)
    assert "Watchdog timeout" in said
    assert "self.unjam.wait()" in said  # where it hung
    guest.drop_in(unit, None)
    guest.must("systemctl", "restart", unit)


def test_a_wrong_configuration_is_shown_and_not_restarted(guest: Guest) -> None:
    unit, config = "toros-lvcgcn.service", guest.root / "etc/toros/toros.conf.yaml"
    good = config.read_text()
    config.write_text(good + "site: {lattitude: -24.6}\n")
    guest.must("systemctl", "stop", unit)
    assert guest.run("systemctl", "start", unit).returncode != 0
    found = guest.show(unit)
    assert (found["ActiveState"], found["ExecMainStatus"]) == ("failed", "2")
    assert "toros.conf.yaml:18: site.lattitude: unknown key" in found["StatusText"]
    show_an_admin(guest, unit)
    config.write_text(good)
    guest.must("systemctl", "reset-failed", unit)
    guest.must("systemctl", "start", unit)


def test_systemd_waits_for_a_shutter_that_is_slower_than_the_unit_allows(guest: Guest) -> None:
    unit = "toros-dome.service"

    def shutter() -> float:
        # No curl in a small Debian.
        fetch = "import urllib.request as r; print(r.urlopen(%r).read().decode())"
        url = "http://127.0.0.1:11111/simulator/v1/truth"
        return float(json.loads(guest.must("python3", "-c", fetch % url))["dome"]["shutter"])

    def safe() -> bool:
        answer = json.loads(guest.must("toros", "send", "dome", "dome_status", "--json"))
        return bool(answer["result"]["safe"])

    guest.drop_in(unit, HASTY)
    guest.must("systemctl", "restart", unit)
    wait_until(safe, "the dome to be safe", 120)
    guest.must("toros", "send", "dome", "open_dome", "--wait", "120")
    assert shutter() == 1.0
    guest.must("systemctl", "stop", unit)
    assert shutter() == 0.0
    found = guest.show(unit)
    assert (found["Result"], found["ExecMainStatus"]) == ("success", "0")
    assert found["TimeoutStopUSec"] == "5s"
    show_an_admin(guest, unit)
    guest.drop_in(unit, None)
    guest.must("systemctl", "start", unit)


def test_the_target_stops_everything_cleanly(guest: Guest) -> None:
    guest.must("systemctl", "stop", "toros.target")
    for unit in UNITS:
        wait_until(lambda unit=unit: guest.show(unit)["ActiveState"] == "inactive", unit, 300)
        found = guest.show(unit)
        assert (found["Result"], found["ExecMainStatus"]) == ("success", "0")
        assert "has stopped." in guest.journal(unit)
