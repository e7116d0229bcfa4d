"""Targets that are wanted again after an interval, by work order and by the archive's frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session, sessionmaker

from tests.support.observatory import Observatory
from toros.archive.models import Exposure, Observation
from toros.common.config.telescope import TelescopeSettings
from toros.common.errors import PeerRefused
from toros.telescope.target_queue import Origin, Wanted, entry, plan_targets

DARK = datetime(2017, 8, 17, 23, 20, tzinfo=UTC)
SETTINGS = TelescopeSettings()
SUPERNOVA = Wanted(
    name="SN", ra_deg=204.25, dec_deg=-29.87, filter="r", constraints={"interval_h": 2.0}
)


def add(
    sessions: sessionmaker[Session],
    wanted: Wanted,
    frames: tuple[tuple[datetime, str], ...] = (),
    observatory: str = "here",
) -> Observation:
    """Put an entry with frames into the archive."""
    row = entry(wanted, Origin(observatory=observatory, received=DARK), SETTINGS)
    with sessions.begin() as session:
        session.add(row)
        session.flush()
        for number, (moment, state) in enumerate(frames):
            path = f"/raw/{row.id}-{number}.fits"
            session.add(Exposure(path=path, state=state, date_obs=moment, observation_id=row.id))
    return row


def test_the_last_visit_is_another_entrys_last_sound_frame(
    sessions: sessionmaker[Session],
) -> None:
    def before(hours: float) -> datetime:
        return DARK - timedelta(hours=hours)

    add(
        sessions,
        SUPERNOVA,
        ((before(9), "raw"), (before(8), "calibrated"), (before(7), "left_out")),
    )
    add(sessions, SUPERNOVA, ((before(30), "raw"),))
    add(sessions, replace(SUPERNOVA, filter="g"), ((before(6), "raw"),))
    add(sessions, replace(SUPERNOVA, name="another"), ((before(5), "raw"),))
    add(sessions, SUPERNOVA, ((before(4), "raw"),), observatory="there")
    begun = add(sessions, SUPERNOVA, ((before(3), "raw"),))
    fresh = entry(SUPERNOVA, Origin(observatory="here", received=DARK), SETTINGS)
    whenever = entry(
        replace(SUPERNOVA, constraints={"max_airmass": 2.0}),
        Origin(observatory="here", received=DARK),
        SETTINGS,
    )
    with sessions() as session:
        seen = plan_targets(session, [begun, fresh, whenever], SETTINGS)
    assert [target.last_visit for target in seen] == [before(8), before(3), None]
    assert [target.interval_s for target in seen] == [7200.0, 7200.0, None]
    assert [target.limits is None for target in seen] == [True, True, False]


def test_one_query_finds_all_last_visits(sessions: sessionmaker[Session]) -> None:
    rows = [add(sessions, replace(SUPERNOVA, name=f"SN {n}"), ((DARK, "raw"),)) for n in range(5)]
    said: list[str] = []
    engine = sessions.kw["bind"]
    with sessions() as session:
        event.listen(engine, "before_cursor_execute", lambda *given: said.append(given[2]))
        plan_targets(session, rows, SETTINGS)
        assert len(said) == 1
        plan_targets(
            session,
            [
                entry(
                    replace(SUPERNOVA, constraints=None),
                    Origin(observatory="here", received=DARK),
                    SETTINGS,
                )
            ],
            SETTINGS,
        )
        assert len(said) == 1


@pytest.fixture
def observatory(tmp_path: Path, sessions: sessionmaker[Session]) -> Iterator[Observatory]:
    found = Observatory(tmp_path, sessions, DARK, 120.0, {"mode": "manual"})
    yield found
    found.close()


def planned(observatory: Observatory) -> list[str]:
    blocks: list[dict[str, Any]] = observatory.ask("schedule")["blocks"]
    return [block["target"] for block in blocks]


def test_what_was_just_visited_comes_after_what_was_not(
    observatory: Observatory, sessions: sessionmaker[Session]
) -> None:
    place = {"dec": -29.87, "filter": "r", "exptime": 60.0, "count": 5}
    answer = observatory.ask(
        "observation", **place, ra=196.0, object="SN", constraints={"interval_h": 12.0}
    )
    observatory.ask("observation", **place, ra=206.0, object="field")
    assert planned(observatory) == ["SN", "field"]  # it sets sooner
    node = observatory.entry("SN").observatory
    seen = DARK - timedelta(minutes=10)
    with sessions.begin() as session:
        before = entry(
            replace(SUPERNOVA, constraints=None), Origin(observatory=node, received=DARK), SETTINGS
        )
        before.state = "done"
        session.add(before)
        session.flush()
        frame = Exposure(path="/raw/1.fits", state="raw", date_obs=seen, observation_id=before.id)
        session.add(frame)
    assert planned(observatory) == ["field", "SN"]
    assert answer["planned"] is not None


def test_an_interval_that_is_none_is_refused(observatory: Observatory) -> None:
    with pytest.raises(PeerRefused, match="interval_h"):
        observatory.ask("observation", ra=1.0, dec=1.0, constraints={"interval_h": -1.0})
