"""The stages of an alert, from records as the modules write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session, sessionmaker

from toros.archive.models import (
    Alert,
    Combination,
    CombinationInput,
    Event,
    Exposure,
    FileBatch,
    Observation,
)
from toros.archive.nights import products_of
from toros.archive.stages import alerts_since, stages_of

BEGAN = datetime(2017, 8, 17, 23, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def told(seconds: float, stage: str, alert: str = "GW170817") -> Event:
    return Event(
        time=at(seconds),
        module="telescope",
        kind="stage",
        level="info",
        message="",
        code=0,
        data={"alert": alert, "stage": stage, "target": "NGC 4993"},
    )


def queued(name: str, seconds: float, alert: str) -> Observation:
    return Observation(
        name=name, ra=0, dec=0, exptime=60, count=1, priority=8, state="done", alert=alert,
        received=at(seconds),
    )  # fmt: skip


def frame(seconds: float, alert: str = "GW170817") -> Exposure:
    return Exposure(
        path=f"/raw/{seconds}.fits", image_type="light", exptime=60.0, date_obs=at(seconds),
        state="raw", alert=alert, object="NGC 4993",
    )  # fmt: skip


def fill(session: Session) -> None:
    session.add(
        Alert(
            event="GW170817", revision=1, digest="a", alert_type="Initial", role="observation",
            received=at(1), transport="file", path="/a",
        )
    )  # fmt: skip
    session.add_all([queued("NGC 4993", 3, "GW170817"), queued("M 83", 4, "GW170817")])
    session.add_all([told(-50, "slewing to"), told(4, "slewing to", "other")])
    session.add_all([told(5, "slewing to"), told(40, "on target at"), told(200, "slewing to")])
    exposures = [frame(45), frame(110), frame(30, "other")]
    session.add_all(exposures)
    session.flush()
    for number, exposure in enumerate(exposures):
        product = Combination(
            kind="calibrated", path=f"/p/{number}", version="1", created=at(500 + 10 * number)
        )
        session.add(product)
        session.flush()
        session.add(
            CombinationInput(combination_id=product.id, exposure_id=exposure.id, role="light")
        )


def test_each_stage_is_the_first_of_its_alert_and_night(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        fill(session)
    with sessions() as session:
        assert alerts_since(session, BEGAN) == ["GW170817"]
        stages = stages_of(session, "GW170817", BEGAN)
    reached = [(stage.name, stage.time, stage.since_previous_s) for stage in stages]
    assert reached == [
        ("notice received", at(1), None),
        ("order received", at(3), 2.0),
        ("slew commanded", at(5), 2.0),
        ("on target", at(40), 35.0),
        ("first frame exposed", at(105), 65.0),
        ("frames calibrated", at(510), 405.0),
    ]
    assert stages[1].what == "2 targets"
    assert stages[-1].what == "2 images"


def test_products_are_told_in_the_order_in_which_their_lights_were_taken(
    sessions: sessionmaker[Session],
) -> None:
    """Whichever was reduced first: the last of a target is the one that a picture is made of."""
    with sessions.begin() as session:
        batch = FileBatch(
            name="n", url="/raw", folder="/raw", products="/p", state="done", created=at(0)
        )
        session.add(batch)
        session.flush()
        for moment in (None, 110, 45):
            kind = "master_bias" if moment is None else "calibrated"
            product = Combination(
                kind=kind, path=f"/p/{moment}", version="1", created=at(500), file_batch_id=batch.id
            )
            session.add(product)
            session.flush()
            if moment is not None:
                exposure = frame(moment)
                session.add(exposure)
                session.flush()
                session.add(
                    CombinationInput(
                        combination_id=product.id, exposure_id=exposure.id, role="light"
                    )
                )
        found = products_of(session, [batch])
    assert [(product.path, name) for product, name in found] == [
        ("/p/None", None),
        ("/p/45", "NGC 4993"),
        ("/p/110", "NGC 4993"),
    ]


def test_what_was_not_reached_says_so(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        session.add(queued("M 83", 3, "S1"))
        session.add(frame(45, "S1"))
    with sessions() as session:
        stages = stages_of(session, "S1", BEGAN)
        assert stages_of(session, "S2", BEGAN)[0].time is None
    assert [stage.time is None for stage in stages] == [True, False, True, True, False, True]
    assert stages[4].since_previous_s == 102.0
    assert stages[2].as_json() == {
        "stage": "slew commanded",
        "time": None,
        "what": "",
        "since_previous_s": None,
    }
