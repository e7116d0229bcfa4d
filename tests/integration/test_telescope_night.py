"""Nights of the telescope's daemon with the real dome's daemon, on the simulator's hardware."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from astropy.io import fits
from sqlalchemy import select
from sqlalchemy.event import listen, remove
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from tests.support.killing import audit, kill_often
from tests.support.observatory import LONG, Observatory
from tests.support.waiting import wait_until
from toros.archive.models import Exposure, Observation
from toros.common.clock import iso
from toros.common.errors import PeerRefused
from toros.sky.visibility import altaz, hour_angle
from toros.telescope.daemon import build as build_telescope
from toros.telescope.phases import opens_by_itself

# Long enough before dusk for the biases and darks, on a slow machine too.
EVENING = datetime(2017, 8, 17, 21, 45, tzinfo=UTC)
DARK = datetime(2017, 8, 17, 23, 20, tzinfo=UTC)
NGC4993: dict[str, Any] = {"name": "NGC 4993", "ra": 197.449, "dec": -23.384, "weight": 0.5}
# High for hours, so that a slow machine does not change what is observed.
FIELD: dict[str, Any] = {"name": "field", "ra": 290.0, "dec": -45.0, "weight": 0.5}
M83: dict[str, Any] = {"name": "M 83", "ra": 204.25, "dec": -29.87, "weight": 0.1}
POLARIS: dict[str, Any] = {"name": "Polaris", "ra": 37.95, "dec": 89.26, "weight": 0.9}
ONLY_LIGHTS: dict[str, Any] = {"bias_count": 0, "dark_count": 0, "flats": {"count": 0}}

Begin = Callable[..., Observatory]


@pytest.fixture
def begin(tmp_path: Path, sessions: sessionmaker[Session]) -> Iterator[Begin]:
    begun: list[Observatory] = []

    def make(
        start: datetime = DARK, rate: float = 120.0, *, german: bool = False, **telescope: Any
    ) -> Observatory:
        settings = telescope or ONLY_LIGHTS
        begun.append(Observatory(tmp_path, sessions, start, rate, settings, german=german))
        return begun[-1]

    yield make
    for observatory in begun:
        observatory.close()


def send_targets(observatory: Observatory, *targets: dict[str, Any], revision: int = 1) -> Any:
    return observatory.ask("targets", alert="GW170817", revision=revision, targets=[*targets])


def test_a_whole_night(begin: Begin) -> None:
    night = begin(EVENING, rate=180.0, bias_count=2, dark_count=1, flats={"count": 2})
    night.run("preprocessor")
    answer = send_targets(night, M83, NGC4993, POLARIS)
    assert sorted(answer["added"]) == ["M 83", "NGC 4993", "Polaris"]
    night.ask("open_night")
    night.until("closed")

    assert night.states() == ["preparing", "twilight_flats", "observing", "closing", "closed"]
    assert night.kinds() == {"bias": 2, "dark": 1, "flat": 2, "light": 6}
    lights = night.exposures("light")
    assert [light.object for light in lights] == ["NGC 4993"] * 3 + ["M 83"] * 3
    assert {light.alert for light in lights} == {"GW170817"}
    assert all(night.entry(name).state == "done" for name in ("NGC 4993", "M 83"))
    assert "altitude at most" in night.entry("Polaris").reason
    assert night.truth()["dome"]["shutter"] == 0.0
    assert not night.dome()["open"]
    batches = [event.data for event in night.events("batch")]
    for alert in ("GW170817", None):
        told = [batch for batch in batches if batch["alert"] == alert]
        assert [batch["state"] for batch in told] == ["pending", "taken"]
        assert Path(told[0]["url"]) == night.config.data.raw / "20170817"
    assert night.events("problem") == []

    header = fits.getheader(lights[0].path)
    assert header["OBJECT"] == "NGC 4993"
    assert header["RA"] == pytest.approx(197.449, abs=0.02)
    assert header["FILTER"] == "r"
    assert header["CCD-TEMP"] == pytest.approx(-20.0, abs=1.0)
    for flat in night.exposures("flat"):
        level = np.median(fits.getdata(flat.path)) / 65535
        assert 0.15 < level < 0.7


def test_unsafe_holds_and_safe_resumes(begin: Begin) -> None:
    night = begin(
        resume_after_safe_s=600.0,
        resume_after_device_s=10.0,
        **{"count": 4, "exptime_s": 60.0, **ONLY_LIGHTS},
    )
    send_targets(night, FIELD)
    night.ask("open_night")
    night.until_doing("frame 2 of 4")
    night.safe(False)
    night.until("holding")
    wait_until(lambda: night.truth()["dome"]["shutter"] == 0.0, "the dome to close")
    wait_until(lambda: night.dome()["shutter"] == "closed", "the closure to be read")
    before = night.entry("field")
    assert before.state == "queued"
    assert "not safe" in before.reason
    night.safe(True)
    night.until("observing")
    wait_until(lambda: night.entry("field").state == "done", "the frames to be taken", LONG)
    entry = night.entry("field")
    assert entry.taken == 4
    assert resumed(night)[0] >= 600.0  # though the devices were well all the time
    counted = [light for light in night.exposures("light") if light.state == "raw"]
    assert len(counted) == 4


def test_unsafe_from_the_start_never_opens_the_dome(begin: Begin) -> None:
    night = begin()
    night.safe(False)
    wait_until(lambda: not night.dome()["safe"], "the dome to hear of it")
    send_targets(night, FIELD)
    night.ask("open_night")
    night.until("holding")
    assert not night.dome()["open"]
    night.ask("close_night")
    night.until("closed")
    assert night.kinds() == {}


def test_a_night_in_which_nothing_is_observable_ends_with_reasons(begin: Begin) -> None:
    night = begin()
    send_targets(night, POLARIS)
    night.ask("open_night")
    night.until("closed")
    assert night.kinds() == {}
    assert "below 30°" in night.entry("Polaris").reason
    assert [event.data["target"] for event in night.events("left_out")] == ["Polaris"]
    assert night.events("batch") == []  # there are no files
    assert night.events("problem") == []


def test_a_wait_is_in_the_log_once_with_what_is_waited_for(begin: Begin) -> None:
    night = begin(close_when_done=False, **ONLY_LIGHTS)
    # At 30° about an hour after the night begins, whatever the machine does until then.
    rising = {"name": "rising", "ra": 328.0, "dec": -25.0, "weight": 0.5}
    send_targets(night, rising, POLARIS)
    night.ask("open_night")
    wait_until(lambda: night.entry("rising").state == "done", "the target to rise", LONG)
    wait_until(lambda: len(night.events("waiting")) > 1, "the next wait to be recorded", LONG)
    first, second = night.events("waiting")
    assert first.data["target"] == "rising"
    assert re.search(
        r"rising is next, at altitude \d+\.\d° now, and at 30° at least", first.message
    )
    began = night.exposures("light")[0].date_obs
    until = datetime.fromisoformat(first.data["until"])
    assert began is not None
    assert began.replace(tzinfo=UTC) >= until  # by how much is the machine's affair
    altitude, _ = altaz(night.telescope().site, [until.timestamp()], [328.0], [-25.0])
    assert altitude[0, 0] == pytest.approx(30.0, abs=1.5)  # steps of five minutes are 1.2°
    assert "1 left out, for instance Polaris: altitude at most" in second.message


@pytest.mark.parametrize("later", [None, {"name": "later", "ra": 350.0, "dec": -25.0}])
def test_a_mount_that_waits_does_not_track_on_until_its_target_has_set(
    begin: Begin, later: dict[str, Any] | None
) -> None:
    night = begin(close_when_done=False, count=1, **ONLY_LIGHTS)
    others = [{**later, "weight": 0.1}] if later else []
    send_targets(night, NGC4993, *others)
    night.ask("open_night")
    wait_until(lambda: night.entry("NGC 4993").state == "done", "the frame", LONG)
    mount = night.telescope().devices.mount
    wait_until(lambda: not mount.state().tracking, "the mount to rest", LONG)
    assert night.state() == "observing"
    if later:
        wait_until(lambda: night.entry("later").state == "done", "the next target", LONG)
        assert [light.object for light in night.exposures("light")] == ["NGC 4993", "later"]


@pytest.mark.parametrize("opened", [True, False])
def test_a_mount_that_is_left_tracking_by_hand_stops_at_the_horizon(
    begin: Begin, opened: bool
) -> None:
    night = begin(datetime(2017, 8, 18, 1, 10, tzinfo=UTC), close_when_done=False, **ONLY_LIGHTS)
    if opened:
        night.ask("open_night")
        night.until("observing")
        night.ask("abort")
    night.ask("point", ra=NGC4993["ra"], dec=NGC4993["dec"], wait=60)  # low, and setting
    mount = night.telescope().devices.mount
    assert mount.state().tracking
    wait_until(lambda: bool(night.events("mount")), "the mount to be stopped", LONG)
    state = mount.state()
    assert not state.tracking
    assert state.alt_deg == pytest.approx(10.0, abs=3.0)  # steps of the loop are minutes here
    assert "below its horizon of 10°" in night.events("mount")[0].message
    assert night.state() == ("halted" if opened else "closed")


def test_what_is_too_long_for_a_wait_is_begun_and_gives_way(begin: Begin) -> None:
    night = begin(close_when_done=False, **ONLY_LIGHTS)
    # Whatever the machine does before the dome is open, there is time for a frame before this.
    then = datetime(2017, 8, 18, 0, 20, tzinfo=UTC)
    window = {"not_before": iso(then), "expires": iso(then + timedelta(minutes=30))}
    urgent = {"name": "urgent", "ra": 285.0, "dec": -45.0, "weight": 1.0, "priority": 9, **window}
    night.ask("observation", object="long", ra=290.0, dec=-45.0, exptime=60.0, count=300)
    send_targets(night, urgent)
    night.ask("open_night")
    wait_until(lambda: night.entry("urgent").state == "done", "the urgent target", LONG)
    night.until_doing("long, frame")
    first, *_ = night.events("observation")
    assert re.search(
        r"long: stopped, \d+ of 300 frames: gave way to what is planned from 00:20", first.message
    )
    assert first.data["taken"] > 0
    assert night.entry("long").attempts == 1


def test_what_cannot_be_finished_before_dawn_is_begun(begin: Begin) -> None:
    before_dawn = datetime(2017, 8, 18, 9, 36, tzinfo=UTC)
    night = begin(before_dawn, rate=40.0, exptime_s=120.0, count=12, **ONLY_LIGHTS)
    send_targets(night, {**FIELD, "ra": 30.0}, POLARIS)
    night.ask("open_night")
    night.until("closed")
    begun = night.entry("field")
    assert begun.state == "queued"
    assert 0 < begun.taken < 12
    assert "observable tonight, but its time" in begun.reason
    assert "altitude at most" in night.entry("Polaris").reason


def test_a_failing_observation_is_retried_and_the_night_goes_on(begin: Begin) -> None:
    night = begin()
    send_targets(night, {**FIELD, "filter": "no such filter"}, M83)
    night.ask("open_night")
    night.until("closed")
    failed = night.entry("field")
    assert (failed.state, failed.attempts) == ("failed", 2)
    assert "no such filter" in failed.reason
    assert failed.code == 213
    assert night.entry("M 83").state == "done"


def test_an_alert_preempts_and_what_ran_resumes_with_its_frames(begin: Begin) -> None:
    night = begin(rate=60.0, exptime_s=300.0, **ONLY_LIGHTS)
    night.ask("observation", ra=300.0, dec=-45.0, object="survey", count=3, priority=5)
    night.ask("open_night")
    night.until_doing("survey, frame 2 of 3")
    wait_until(lambda: night.telescope().running.exposing_since, "the exposure to begin")
    send_targets(night, {**FIELD, "exptime": 20.0, "count": 1})
    wait_until(lambda: night.entry("field").state == "done", "the alert to be observed", LONG)
    assert night.entry("survey").state != "done"
    stopped = next(e for e in night.events("observation") if e.data["target"] == "survey")
    assert "dropped for field (priority 8)" in stopped.message
    assert "1 of 3 frames" in stopped.message
    wait_until(lambda: night.entry("survey").state == "done", "the survey to resume", LONG)
    lights = [light.object for light in night.exposures("light") if light.state == "raw"]
    assert lights == ["survey", "field", "survey", "survey"]
    assert night.entry("survey").attempts == 1
    stages = [event.data["stage"] for event in night.events("stage")]
    assert stages == ["slewing to", "on target at"]


def test_a_retraction_stops_the_frame_that_is_exposed(begin: Begin) -> None:
    night = begin(rate=60.0, exptime_s=300.0, **ONLY_LIGHTS)
    send_targets(night, {**FIELD, "count": 2})
    night.ask("observation", ra=300.0, dec=-45.0, object="survey", count=1, exptime=20.0)
    night.ask("open_night")
    night.until_doing("field, frame 1 of 2")
    wait_until(lambda: night.telescope().running.exposing_since, "the exposure to begin")
    assert night.ask("retract_alert", alert="GW170817")["cancelled"] == ["field"]
    wait_until(lambda: night.entry("survey").state == "done", "the survey to go on", LONG)
    assert [light.object for light in night.exposures("light")] == ["survey"]
    entry = night.entry("field")
    assert (entry.state, entry.taken, entry.reason) == ("cancelled", 0, "GW170817 was retracted")


def test_the_mount_is_on_its_way_while_the_last_frame_is_fetched(begin: Begin) -> None:
    night = begin(count=2, **ONLY_LIGHTS)
    send_targets(night, FIELD, {**FIELD, "name": "next", "ra": 300.0, "weight": 0.4})
    night.ask("open_night")
    night.until("closed")
    told = [
        (event.kind, event.data.get("stage") or event.message.split(":")[1].split(",")[0].strip())
        for event in sorted(night.events("stage") + night.events("observation"), key=lambda e: e.id)
    ]
    on_the_way = [("stage", "slewing to"), ("stage", "on target at")]
    assert told == [*on_the_way, ("stage", "slewing to"), ("observation", "done"),
                    ("stage", "on target at"), ("observation", "done")]  # fmt: skip
    for name in ("field", "next"):
        entry = night.entry(name)
        frames = [light for light in night.exposures("light") if light.object == name]
        assert len(frames) == entry.taken == 2
        assert all(abs((frame.ra or 0.0) - entry.ra) < 0.02 for frame in frames)
    truths = [truth for truth in night.truth()["exposures"] if truth["light"]]
    assert all(truth["light_fraction"] > 0.99 for truth in truths)


def test_a_target_of_equal_priority_preempts_nothing(begin: Begin) -> None:
    night = begin(exptime_s=120.0, **ONLY_LIGHTS)
    night.ask("observation", ra=300.0, dec=-45.0, object="first", count=2, priority=5)
    night.ask("open_night")
    night.until_doing("first, frame 1 of 2")
    night.ask("observation", ra=290.0, dec=-45.0, object="second", count=1, priority=5)
    night.until("closed")
    assert [light.object for light in night.exposures("light")] == ["first", "first", "second"]


def test_modes(begin: Begin) -> None:
    night = begin()
    assert night.ask("mode") == {"mode": "autonomous"}
    night.ask("mode", mode="manual")
    with pytest.raises(PeerRefused, match="The mode is manual"):
        night.ask("open_night")
    night.end("telescope")
    night.run("telescope")
    assert night.ask("status")["mode"] == "manual"  # no restart takes it back
    night.ask("mode", mode="scripted")
    send_targets(night, FIELD)
    night.ask("observation", ra=300.0, dec=-45.0, object="script", count=1)
    night.ask("open_night")
    night.until("closed")
    assert [light.object for light in night.exposures("light")] == ["script"]
    assert night.entry("field").state == "queued"


def test_the_flats_that_the_evening_left_are_taken_at_dawn(begin: Begin) -> None:
    before_dawn = datetime(2017, 8, 18, 9, 35, tzinfo=UTC)
    night = begin(
        before_dawn, close_when_done=False, bias_count=0, dark_count=0, flats={"count": 3}
    )
    night.ask("open_night")
    night.until("closed")
    assert night.states()[-3:] == ["morning_flats", "closing", "closed"]
    flats = night.exposures("flat")
    assert len(flats) == 3
    places = {(round(flat.ra or 0, 4), round(flat.dec or 0, 4)) for flat in flats}
    assert len(places) == 3  # dithered
    for flat in flats:
        assert 0.15 < np.median(fits.getdata(flat.path)) / 65535 < 0.7


def test_a_file_that_was_written_and_not_recorded_is_counted_once(begin: Begin) -> None:
    night = begin(count=4, **ONLY_LIGHTS)
    send_targets(night, FIELD)
    night.ask("open_night")
    night.until_doing("frame 3 of 4")
    night.ask("abort")  # so that the next process observes nothing yet
    night.end("telescope")
    # As if the daemon had died between the file and its record, and before a file had its name.
    with night.context.sessions.begin() as session:
        entry = session.scalars(select(Observation).where(Observation.name == "field")).one()
        rows = session.scalars(select(Exposure).order_by(Exposure.id)).all()
        unrecorded, unnamed = (Path(row.path) for row in rows[:2])
        entry.taken -= 2
        for row in rows[:2]:
            session.delete(row)
        taken = entry.taken
    unnamed.rename(unnamed.with_name(f".{unnamed.stem}.abc_1234.fits"))
    half = unnamed.with_name(".half.abc_5678.fits")
    half.write_bytes(unrecorded.read_bytes()[:5000])
    night.run("telescope")
    assert night.entry("field").taken == taken + 2
    assert unnamed.exists()
    assert not half.exists()
    recovered = {event.data["path"] for event in night.events("recovered")}
    assert recovered == {str(unrecorded), str(unnamed)}
    night.end("telescope")
    night.run("telescope")
    assert night.entry("field").taken == taken + 2
    night.ask("open_night")
    night.until("closed")
    lights = [light for light in night.exposures("light") if light.state == "raw"]
    assert night.entry("field").taken == 4 == len(lights)
    assert len(list(unnamed.parent.glob("*.fits"))) == len(night.exposures())


def test_a_frame_that_the_archive_did_not_take_is_recorded_and_not_repeated(begin: Begin) -> None:
    night = begin()
    refused: list[str] = []

    def refuse_one(session: Session, *_: Any) -> None:
        lights = [new for new in session.new if isinstance(new, Exposure)]
        if lights and not refused:
            refused.append(lights[0].path)
            raise OperationalError("INSERT", None, sqlite3.OperationalError("the disk is away"))

    sessions = night.context.sessions
    listen(sessions, "before_flush", refuse_one)
    try:
        send_targets(night, FIELD)
        night.ask("open_night")
        night.until("closed")
    finally:
        remove(sessions, "before_flush", refuse_one)
    assert len(refused) == 1
    entry = night.entry("field")
    assert (entry.state, entry.taken) == ("done", 3)
    recorded = sorted(light.path for light in night.exposures("light"))
    assert refused[0] in recorded
    files = (night.config.data.raw / "20170817").glob("*.fits")
    assert recorded == sorted(map(str, files))
    assert len(recorded) == 3


def test_a_dome_that_comes_up_late_costs_only_the_wait(begin: Begin) -> None:
    night = begin(bias_count=2, dark_count=1, flats={"count": 0})
    night.end("dome")
    send_targets(night, FIELD)
    night.ask("open_night")
    wait_until(lambda: night.events("problem"), "the dome to be missed")
    night.run("dome")
    night.until("closed")
    assert night.kinds() == {"bias": 2, "dark": 1, "light": 3}


def hold_for_a_camera_that_refuses(night: Observatory) -> None:
    """Open a night that holds because no exposure begins; then let them begin again."""
    fault = {"device": "camera", "fault": "refuse", "member": "startexposure"}
    faults = f"{night.simulator.url}/simulator/v1/faults"
    requests.post(faults, json=fault, timeout=10).raise_for_status()
    night.ask("open_night")
    night.until("holding")
    requests.delete(faults, timeout=10).raise_for_status()


def test_a_camera_that_refuses_holds_the_night_and_costs_no_target(begin: Begin) -> None:
    night = begin(resume_after_safe_s=60.0, retry_s=5.0, **ONLY_LIGHTS)
    send_targets(night, FIELD, {**FIELD, "name": "other", "ra": 300.0})
    hold_for_a_camera_that_refuses(night)
    night.until("closed")
    assert "2 targets in a row failed" in str([event.message for event in night.events("state")])
    for name in ("field", "other"):
        entry = night.entry(name)
        assert (entry.state, entry.taken) == ("done", 3)


def resumed(night: Observatory) -> tuple[float, float]:
    """Return for how long it had been safe, and the devices well, when the last hold ended."""
    said = [event.message for event in night.events("state") if "has been safe" in event.message]
    safe_s, well_s = re.findall(r"for (\d+) s", said[-1])
    return float(safe_s), float(well_s)


def test_a_device_that_answers_again_is_not_waited_for_like_weather(begin: Begin) -> None:
    night = begin(
        resume_after_safe_s=1800.0, resume_after_device_s=30.0, retry_s=5.0, **ONLY_LIGHTS
    )
    # Nothing is known of the weather before the telescope's start.
    later = night.clock.now() + timedelta(seconds=1900)
    wait_until(lambda: night.clock.now() > later, "half an hour of safe weather", LONG)
    send_targets(night, FIELD, {**FIELD, "name": "other", "ra": 300.0})
    hold_for_a_camera_that_refuses(night)
    night.until("observing")
    safe_s, well_s = resumed(night)
    assert safe_s >= 1800.0
    assert 30.0 <= well_s < 1800.0


def test_a_machine_whose_time_is_set_on_has_not_been_safe_for_longer(begin: Begin) -> None:
    night = begin(
        resume_after_safe_s=1800.0, resume_after_device_s=30.0, retry_s=5.0, **ONLY_LIGHTS
    )
    send_targets(night, FIELD, {**FIELD, "name": "other", "ra": 300.0})
    hold_for_a_camera_that_refuses(night)
    object.__setattr__(night.clock, "start", night.clock.start + 7200.0)
    night.until("observing")
    assert all(seconds < 7200.0 for seconds in resumed(night))


def test_a_german_mount_flips_before_the_exposure_that_would_reach_its_limit(
    begin: Begin,
) -> None:
    night = begin(german=True, meridian_limit_h=0.1, **ONLY_LIGHTS)
    site = night.telescope().site
    (angle,) = hour_angle(site, [night.clock.unix()], [0.0], [-45.0])[0]
    before_the_meridian = float((angle + 8.0) % 360.0)  # half an hour
    night.ask(
        "observation", ra=before_the_meridian, dec=-45.0, object="culminates", count=12, exptime=240
    )
    night.ask("open_night")
    night.until("closed")
    lights = night.exposures("light")
    sides = [fits.getheader(light.path)["PIERSIDE"] for light in lights]
    assert sides == ["west"] * sides.index("east") + ["east"] * sides.count("east")
    assert [event.message for event in night.events("meridian")] == [
        "The mount flipped over the meridian."
    ]
    last_west = lights[sides.index("east") - 1]
    assert last_west.date_obs is not None
    end = last_west.date_obs.timestamp() + 240.0
    assert hour_angle(site, [end], [before_the_meridian], [-45.0])[0, 0] / 15.0 <= 0.1 + 0.02


def test_the_preprocessor_is_told_when_it_comes_back(begin: Begin) -> None:
    night = begin(batch_retry_s=10.0, **ONLY_LIGHTS)
    send_targets(night, FIELD)
    night.ask("open_night")
    night.until("closed")
    wait_until(lambda: night.ask("status")["batch"]["attempts"] >= 2, "a second attempt")
    assert night.ask("status")["batch"]["state"] == "pending"
    night.run("preprocessor")

    def told() -> list[tuple[str | None, str]]:
        return [(event.data["alert"], event.data["state"]) for event in night.events("batch")]

    wait_until(lambda: (None, "taken") in told(), "the order to be taken")
    assert told().count((None, "pending")) == told().count((None, "taken")) == 1


def test_a_restart_takes_the_night_up_again(begin: Begin) -> None:
    night = begin(count=5, **ONLY_LIGHTS)
    send_targets(night, FIELD)
    night.ask("open_night")
    night.until_doing("frame 3 of 5")
    night.end("telescope")
    assert night.entry("field").state == "queued"
    night.run("telescope")
    night.until("closed")
    entry = night.entry("field")
    assert (entry.state, entry.taken) == ("done", 5)
    assert len([light for light in night.exposures("light") if light.state == "raw"]) == 5
    causes = [event.data["cause"] for event in night.events("state")]
    assert "restarted while observing" in causes
    assert night.truth()["dome"]["shutter"] == 0.0


def test_a_night_that_a_person_closed_is_not_opened_by_a_restart(begin: Begin) -> None:
    night = begin(opens_below_sun_deg=10.0, **ONLY_LIGHTS)
    send_targets(night, FIELD)
    night.until("observing")  # by itself
    night.ask("close_night")
    night.until("closed")
    night.end("telescope")
    desk = build_telescope(night.context).state
    desk.telescope.devices.close()
    assert not opens_by_itself(desk.night)
    desk.night.ended -= timedelta(days=1)
    assert opens_by_itself(desk.night)


def test_a_night_that_was_only_prepared_opens_by_itself(begin: Begin) -> None:
    night = begin(EVENING, bias_count=1, dark_count=0, flats={"count": 0}, opens_below_sun_deg=-5.0)
    send_targets(night, FIELD)
    night.ask("prepare_night")
    night.until("observing")
    causes = [event.data["cause"] for event in night.events("state")]
    assert causes[:3] == [
        "open_night was ordered",
        "prepared",
        "the Sun is low: the night opens by itself",
    ]


def test_abort_halts_at_once_and_close_night_brings_all_home(begin: Begin) -> None:
    night = begin(exptime_s=600.0, **ONLY_LIGHTS)
    send_targets(night, FIELD)
    night.ask("open_night")
    night.until_doing("frame 1 of 3")
    night.ask("abort")
    night.until("halted")
    assert night.entry("field").state == "queued"
    assert night.dome()["open"]  # the dome stays as it is
    night.ask("close_night")
    night.until("closed")
    assert night.truth()["dome"]["shutter"] == 0.0
    assert night.ask("unpark") is True  # it was parked, and can be used by hand


def test_a_dead_dome_holds_the_night_until_it_answers(begin: Begin) -> None:
    night = begin(resume_after_safe_s=30.0, **ONLY_LIGHTS)
    send_targets(night, FIELD)
    night.end("dome")
    night.ask("open_night")
    night.until("holding")
    night.run("dome")
    night.until("closed")
    assert night.entry("field").state == "done"


def survey(night: Observatory, count: int) -> None:
    """Queue fields that are high for hours, and more as the night goes on."""
    for number in range(count):
        ra, dec = (270.0 + 7.0 * number) % 360.0, -45.0 + 3.0 * (number % 7)
        night.ask("observation", ra=ra, dec=dec, object=f"field {number}", count=3, exptime=60.0)


@pytest.mark.parametrize(
    ("kills", "rate", "mean_s", "fields"),
    [
        (4, 60.0, 2.0, 6),
        pytest.param(
            *(100, 20.0, 8.0, 60),
            marks=[pytest.mark.long, pytest.mark.timeout(3600)],
            id="a hundred",
        ),
    ],
)
def test_a_killed_telescope_loses_no_frame_and_counts_none_twice(
    begin: Begin, database_url: str, kills: int, rate: float, mean_s: float, fields: int
) -> None:
    night = begin(rate=rate, **ONLY_LIGHTS)
    survey(night, fields)
    night.end("telescope")
    done = kill_often(night, database_url, kills, kills, mean_s)
    lights = audit(night)
    print(f"{done} kills, {lights} lights")  # noqa: T201 - the figure of a long run
    assert done >= (3 if kills < 10 else kills)
    assert lights >= 5, "the test saw too little"
