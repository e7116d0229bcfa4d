"""Notices of other missions: in GCN's unified schema, and to targets by the same rules."""

import base64
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toros.archive.models import Alert
from toros.common.config.lvcgcn import LvcgcnSettings
from toros.common.errors import UnreadableNotice
from toros.lvcgcn import records
from toros.lvcgcn.formats import read_notice
from toros.lvcgcn.letter import Letter
from toros.lvcgcn.notice import AlertType, NoticeFormat
from toros.lvcgcn.process import assess, process_file
from toros.simulator.replay import make_gw170817

OTHER = Path(__file__).parents[2].parent / "shared" / "data" / "alerts" / "other"
needs_alerts = pytest.mark.skipif(not OTHER.is_dir(), reason=f"the notices of {OTHER} are absent")

EP = {
    "$schema": "https://gcn.nasa.gov/schema/v4.1.0/gcn/notices/einstein_probe/wxt/alert.schema.json",
    "instrument": "WXT",
    "trigger_time": "2024-03-01T21:46:05.13Z",
    "id": ["01708973486"],
    "ra": 120.0,
    "dec": 40.0,
    "ra_dec_error": 0.02,
    "image_energy_range": [0.5, 4],
    "net_count_rate": 1,
}


def unified(**changes: Any) -> bytes:
    return json.dumps({**EP, **changes}).encode()


def test_einstein_probe_is_read() -> None:
    notice = read_notice(unified())
    assert (notice.observatory, notice.event) == ("Einstein Probe", "Einstein Probe 01708973486")
    assert notice.format is NoticeFormat.GCN
    assert notice.alert_type is AlertType.OTHER
    assert not notice.is_gravitational
    assert notice.event_time == datetime(2024, 3, 1, 21, 46, 5, 130_000, tzinfo=UTC)
    assert notice.position is not None
    assert (notice.position.ra_deg, notice.position.radius_deg) == (120.0, 0.02)
    assert notice.role == "observation"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"id": [], "event_name": None}, "neither an id nor an event_name"),
        ({"trigger_time": None}, "neither an alert_datetime nor a trigger_time"),
        (
            {"$schema": "https://gcn.nasa.gov/schema/v999x/gcn/notices/einstein_probe/wxt/a.json"},
            "is not known here",
        ),
    ],
)
def test_what_cannot_be_read_says_why(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UnreadableNotice, match=says):
        read_notice(unified(**changes))


def test_odd_values_are_warnings() -> None:
    notice = read_notice(
        unified(alert_datetime="today", ra="x", healpix_file="AA", alert_tense="planned")
    )
    assert notice.position is None
    assert notice.sky_map is None
    assert notice.role == "test"
    assert len(notice.warnings) == 3


def test_a_retraction_of_another_mission_is_one() -> None:
    notice = read_notice(unified(alert_type="retraction"))
    assert notice.is_retraction
    assert not notice.is_gravitational


@given(
    record=st.fixed_dictionaries(
        {},
        optional={
            key: st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=20),
                           st.lists(st.integers()))
            for key in ("id", "ra", "dec", "ra_dec_error", "trigger_time", "alert_datetime",
                        "alert_type", "alert_tense", "healpix_file", "record_number", "mission")
        },
    )
)  # fmt: skip
def test_whatever_stands_in_the_fields_it_is_read_or_refused(record: dict[str, Any]) -> None:
    with suppress(UnreadableNotice):
        notice = read_notice(json.dumps({"$schema": EP["$schema"], **record}).encode())
        assert len(notice.digest) == 64


def settings(folder: Path, **changes: Any) -> LvcgcnSettings:
    return LvcgcnSettings(folder=folder / "alerts", catalog_folder=folder / "catalogues", **changes)


def test_a_mission_that_is_not_followed_is_recorded_only(tmp_path: Path) -> None:
    found = assess(read_notice(unified()), settings(tmp_path))
    assert not found.decision.triggered
    assert "recorded only" in found.decision.why
    assert found.ranking is None


def test_a_position_is_followed_by_the_same_rules(tmp_path: Path) -> None:
    notice = read_notice(unified(ra=197.45, dec=-23.4, ra_dec_error=1.0))
    followed = settings(tmp_path, other_missions=["einstein probe"])
    found = assess(notice, followed)
    assert found.decision.triggered
    assert "Of Einstein Probe" in found.decision.why
    assert found.ranking is not None
    assert found.ranking.dimensions == 2
    assert found.ranking.hosts(1)[0]["name"] == "NGC 4993"
    strict = settings(tmp_path, other_missions=["Einstein Probe"], trigger={"max_area_90_deg2": 1})
    assert "is above 1 deg²" in assess(notice, strict).decision.why
    wide = settings(tmp_path, other_missions=["Einstein Probe"], max_radius_deg=0.5)
    assert "no sky map" in assess(notice, wide).decision.why


def test_an_embedded_map_of_another_mission_is_used(tmp_path: Path) -> None:
    content = base64.b64encode(make_gw170817().sky_map).decode()
    notice = read_notice(unified(healpix_file=content, mission="Fermi"))
    found = assess(notice, settings(tmp_path, other_missions=["Fermi"]))
    assert found.obtained is not None
    assert found.ranking is not None
    assert found.ranking.hosts(1)[0]["name"] == "NGC 4993"


@needs_alerts
@pytest.mark.parametrize(
    ("name", "mission", "triggered"),
    [
        ("1187142-BAT_GRB_POS.xml", "Swift", True),
        ("13511319489408-ASTROTRACK_BRONZE.xml", "IceCube", False),
        ("624500874-GBM_FIN_POS-long_duration.xml", "Fermi", True),
    ],
)
def test_real_notices_of_other_missions(
    tmp_path: Path, name: str, mission: str, triggered: bool
) -> None:
    followed = settings(tmp_path, other_missions=[mission], max_radius_deg=30)
    document = process_file(OTHER / name, followed)
    assert document["observatory"] == mission
    assert document["position"] is not None
    assert document["triggered"] is triggered, document["why"]
    if not triggered:
        assert "No galaxy of the catalogue" in document["why"]


def voevent(citation: str = "", **params: str) -> bytes:
    """A notice of SVOM's ECLAIRs in the shape that it has on GCN."""
    listed = "".join(f'<Param name="{name}" value="{value}"/>' for name, value in params.items())
    return f"""<?xml version='1.0' encoding='UTF-8'?>
<voe:VOEvent xmlns:voe="http://www.ivoa.net/xml/VOEvent/v2.0" role="observation" version="2.0"
 ivorn="ivo://org.svom/fsc#sb25120806_eclairs-wakeup">
<Who><AuthorIVORN>ivo://org.svom/fsc</AuthorIVORN><Date>2025-12-08T17:02:15+00:00</Date></Who>
<What><Param name="Pkt_Ser_Num" value="1"/>{listed}<Group name="Svom_Identifiers">
<Param name="Burst_Id" value="sb25120806"/></Group></What>
<WhereWhen><ObsDataLocation><ObservatoryLocation id="GEOLEO"/><ObservationLocation>
<AstroCoordSystem id="UTC-ICRS-GEO"/><AstroCoords coord_system_id="UTC-ICRS-GEO">
<Time unit="s"><TimeInstant><ISOTime>2025-12-08T16:50:21.314000</ISOTime></TimeInstant></Time>
<Position2D unit="deg"><Name1>RA</Name1><Name2>Dec</Name2><Value2><C1>337.5347</C1>
<C2>-0.3918</C2></Value2><Error2Radius>0.1962</Error2Radius></Position2D></AstroCoords>
</ObservationLocation></ObsDataLocation></WhereWhen>{citation}</voe:VOEvent>""".encode()


def test_notices_of_one_burst_of_svom_are_one_event(tmp_path: Path) -> None:
    notice = read_notice(voevent())
    assert (notice.observatory, notice.event) == ("SVOM", "SVOM sb25120806")
    assert (notice.alert_type, notice.label) == (AlertType.OTHER, None)
    fields = settings(tmp_path, other_missions=["SVOM"], fields_of_view_deg={"MACON": 1.0})
    assert assess(notice, fields).decision.why == "Of SVOM, its position is the target."


@pytest.mark.parametrize(
    "content",
    [
        voevent('<Citations><EventIVORN cite="retraction">ivo://x/y</EventIVORN></Citations>'),
        voevent(Def_NOT_a_GRB="true"),
        voevent(Retraction="true"),
    ],
)
def test_what_a_mission_takes_back_is_a_retraction(tmp_path: Path, content: bytes) -> None:
    notice = read_notice(content)
    assert (notice.alert_type, notice.event) == (AlertType.RETRACTION, "SVOM sb25120806")
    found = assess(notice, settings(tmp_path, other_missions=["SVOM"]))
    assert found.decision.why == "The event is retracted."
    assert [check.rule for check in found.decision.checks] == ["mission", "alert_type"]


def test_what_a_mission_marks_as_a_test_moves_no_telescope(tmp_path: Path) -> None:
    notice = read_notice(voevent(Test="true"))
    assert notice.label == "TEST"
    found = assess(notice, settings(tmp_path, other_missions=["SVOM"]))
    assert found.decision.why.startswith("A test moves no telescope")
    assert read_notice(voevent(Test="false")).label is None


def test_missions_number_each_kind_of_notice_for_itself() -> None:
    """The first final position of Fermi comes after, say, the fourth one of its flight software."""
    later = read_notice(voevent())
    came, some = later.time_created, timedelta(seconds=9)
    before = Alert(notice={"serial": 4}, time_created=later.time_created - some, received=came)
    assert records.newer_than(later, came, [before]) is None
    after = Alert(notice={"serial": 1}, time_created=later.time_created + some, received=came)
    assert records.newer_than(later, came, [after]) is after


def test_of_what_was_made_at_once_the_last_received_counts() -> None:
    """A notice can be overtaken while its map is waited for."""
    one = read_notice(voevent())
    made, came, some = one.time_created, one.time_created, timedelta(seconds=9)
    earlier = Alert(notice={}, time_created=made, received=came - some)
    later = Alert(notice={}, time_created=made, received=came + some)
    assert records.newer_than(one, came, [earlier]) is None
    assert records.newer_than(one, came, [earlier, later]) is later


def test_a_position_is_drawn_and_named_in_the_mail() -> None:
    notice = read_notice(voevent())
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    alert = Alert(
        event=notice.event,
        revision=2,
        alert_type="OTHER",
        time_created=moment,
        received=moment,
        transport="kafka",
        why="Of SVOM.",
        skymap=None,
        notice={"position": {"ra_deg": 337.5, "dec_deg": -0.4, "radius_deg": 0.2}},
    )
    letter = Letter(alert, [])
    assert letter.subject() == "SVOM sb25120806, revision 2"
    picture = letter.plot()
    assert picture is not None
    assert picture.startswith(b"\x89PNG")
    alert.notice = {}
    assert letter.plot() is None
