"""Notices of every kind: what they say, and what is refused."""

import base64
import io
import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toros.common.errors import UnreadableNotice
from toros.lvcgcn.formats import MAX_NOTICE_BYTES, read_notice
from toros.lvcgcn.notice import AlertType, Notice, NoticeFormat

ALERTS = Path(__file__).parents[2].parent / "shared" / "data" / "alerts"
needs_alerts = pytest.mark.skipif(not ALERTS.is_dir(), reason=f"the notices of {ALERTS} are absent")

O4 = [
    ("1-EarlyWarning", AlertType.EARLYWARNING, "2018-11-01T22:34:20"),
    ("2-Preliminary", AlertType.PRELIMINARY, "2018-11-01T22:34:49"),
    ("3-Initial", AlertType.INITIAL, "2018-11-01T22:36:25"),
    ("4-Update", AlertType.UPDATE, "2018-11-01T22:36:25"),
    ("5-Retraction", AlertType.RETRACTION, "2018-11-01T23:36:23"),
    ("6-Update", AlertType.UPDATE, "2018-11-01T22:39:25"),
]


def read(name: str) -> Notice:
    return read_notice((ALERTS / name).read_bytes())


def voevent(what: str = "", *, role: str = "observation", head: str = "", date: str = "") -> bytes:
    created = date or "2023-05-18T12:59:08"
    return f"""<?xml version="1.0" encoding="UTF-8"?>{head}
    <voe:VOEvent xmlns:voe="http://www.ivoa.net/xml/VOEvent/v2.0" version="2.0" role="{role}"
      ivorn="ivo://gwnet/LVC#S230518h-1-Preliminary">
      <Who><Date>{created}</Date></Who>
      <What>
        <Param name="GraceID" value="S230518h"/><Param name="AlertType" value="Preliminary"/>
        {what}
      </What>
    </voe:VOEvent>""".encode()


def gwalert(**changes: object) -> bytes:
    record = {
        "alert_type": "INITIAL",
        "time_created": "2023-05-18T13:21:49Z",
        "superevent_id": "S230518h",
        "urls": {"gracedb": "https://gracedb.ligo.org/superevents/S230518h/view/"},
        "event": {
            "time": "2023-05-18T12:59:08.167Z",
            "far": 3.2e-10,
            "significant": True,
            "instruments": ["H1", "L1"],
            "group": "CBC",
            "pipeline": "gstlal",
            "search": "AllSky",
            "classification": {"BNS": 0.0, "NSBH": 0.86, "BBH": 0.04, "Terrestrial": 0.1},
            "properties": {"HasNS": 1.0},
            "skymap": base64.b64encode(b"SIMPLE").decode(),
        },
        "external_coinc": None,
    }
    return json.dumps(record | changes).encode()


@needs_alerts
@pytest.mark.parametrize(("name", "alert_type", "created"), O4)
def test_every_voevent_of_the_mock_event_is_read(
    name: str, alert_type: AlertType, created: str
) -> None:
    notice = read(f"voevent/MS181101ab-{name}.xml")
    assert notice.format is NoticeFormat.VOEVENT
    assert (notice.event, notice.alert_type, notice.role) == ("MS181101ab", alert_type, "test")
    assert notice.time_created == datetime.fromisoformat(created).replace(tzinfo=UTC)
    assert notice.serial == int(name[0])
    assert notice.label == "MOCK"
    assert notice.warnings == ()
    if alert_type is not AlertType.RETRACTION:
        assert notice.significant is True
        assert notice.far_hz == 9.11069936486e-14
        assert notice.instruments == ("H1", "L1", "V1")
        assert notice.classification["BNS"] == 0.95
        assert notice.properties == {"HasNS": 0.95, "HasRemnant": 0.91, "HasMassGap": 0.01}
        assert notice.sky_map_url is not None


@needs_alerts
@pytest.mark.parametrize("kind", ["initial", "preliminary", "retraction", "update"])
def test_the_notices_of_the_third_run_are_read(kind: str) -> None:
    notice = read(f"voevent/lvcgcn_{kind}_voe.xml")
    assert notice.alert_type is AlertType[kind.upper()]
    if kind == "retraction":
        assert notice.significant is None
        return
    # O3 did not say what is significant: its rate does, and a warning says so.
    assert notice.significant is True
    assert notice.classification["MassGap"] == 0.0
    assert any("taken from its FAR" in warning for warning in notice.warnings)


@needs_alerts
def test_an_external_coincidence_is_read_from_both_formats() -> None:
    for name in ("voevent/MS181101ab-6-Update.xml", "gwalert/MS181101ab-ext-update.json"):
        external = read(name).external
        assert external is not None
        assert external.notice_id == "524666471"  # a number in the JSON
        assert external.observatory == "Fermi"
        assert external.time_difference_s == 2.02
        assert external.sky_map or external.sky_map_url


@needs_alerts
def test_json_and_avro_of_one_alert_are_one_revision() -> None:
    text, avro = (read(f"gwalert/MS181101ab-initial.{end}") for end in ("json", "avro"))
    assert (text.format, avro.format) == (NoticeFormat.JSON, NoticeFormat.AVRO)
    assert text.sha256 != avro.sha256
    assert text.digest == avro.digest
    assert text.revision == avro.revision
    assert text.sky_map == avro.sky_map
    assert text.sky_map is not None
    assert len(text.sky_map) == 777600


@needs_alerts
def test_the_notices_of_one_event_are_all_different_revisions() -> None:
    paths = [*(ALERTS / "voevent").glob("MS*.xml"), *(ALERTS / "gwalert").glob("*.json")]
    revisions = {read_notice(path.read_bytes()).revision for path in paths}
    # The retraction says the same in both formats; nothing else does (a VOEvent has no map in it).
    assert len(revisions) == len(paths) - 1


@needs_alerts
def test_a_json_retraction_has_no_event() -> None:
    notice = read("gwalert/MS181101ab-retraction.json")
    assert notice.is_retraction
    assert (notice.significant, notice.far_hz, notice.sky_map) == (None, None, None)
    assert notice.warnings == ()


@needs_alerts
@pytest.mark.parametrize(
    ("name", "observatory", "ra", "radius"),
    [
        ("1187142-BAT_GRB_POS.xml", "Swift", 261.9416, 0.05),
        ("13511319489408-ASTROTRACK_BRONZE.xml", "IceCube", 85.5066, 0.6521),
        ("624500874-GBM_FIN_POS-long_duration.xml", "Fermi", 174.3, 1.0),
    ],
)
def test_notices_of_other_missions_keep_who_and_where(
    name: str, observatory: str, ra: float, radius: float
) -> None:
    notice = read(f"other/{name}")
    assert not notice.is_gravitational
    assert notice.observatory == observatory
    assert notice.event == f"{observatory} {name.split('-', maxsplit=1)[0]}"
    assert notice.position is not None
    assert (notice.position.ra_deg, notice.position.radius_deg) == (ra, radius)
    assert notice.label is None


@pytest.mark.parametrize(
    ("event", "label", "role"),
    [("S230518h", None, "observation"), ("MS230518h", "MOCK", "test"), ("TS23a", "TEST", "test")],
)
def test_mock_and_test_events_are_labelled(event: str, label: str | None, role: str) -> None:
    notice = read_notice(gwalert(superevent_id=event))
    assert (notice.label, notice.role) == (label, role)


@pytest.mark.parametrize(
    ("content", "label"),
    [
        (voevent(role="utility"), "TEST"),
        (voevent(role="prophecy"), "TEST"),
        (voevent('<Param name="HardwareInj" value="1"/>'), "INJECTION"),
        (voevent(), None),
    ],
)
def test_what_is_no_observation_is_labelled(content: bytes, label: str | None) -> None:
    assert read_notice(content).label == label


def test_a_notice_that_breaks_the_schema_is_read_with_a_warning() -> None:
    notice = read_notice(voevent('<Param name="FAR" value="1e-9"/><Odd/>'))
    assert notice.far_hz == 1e-9
    assert any("breaks the schema" in warning for warning in notice.warnings)


def test_a_number_that_is_none_is_a_warning() -> None:
    notice = read_notice(voevent('<Param name="FAR" value="tiny"/>'))
    assert notice.far_hz is None
    assert any("FAR is no number" in warning for warning in notice.warnings)


def test_a_top_level_parameter_prevails_over_a_grouped_one() -> None:
    grouped = '<Group name="g"><Param name="FAR" value="1"/></Group>'
    assert read_notice(voevent('<Param name="FAR" value="2e-9"/>' + grouped)).far_hz == 2e-9


def test_a_burst_says_its_frequency_and_duration() -> None:
    burst = (
        '<Param name="Group" value="Burst"/><Param name="FAR" value="8e-9"/>'
        '<Param name="CentralFreq" value="150.5"/><Param name="Duration" value="0.02"/>'
    )
    notice = read_notice(voevent(burst))
    assert (notice.central_frequency_hz, notice.duration_s) == (150.5, 0.02)
    assert notice.significant is False  # above 7.9e-9 Hz, and it does not say


BILLION_LAUGHS = '<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
XXE = '<!DOCTYPE foo [<!ENTITY xxe SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("head", [BILLION_LAUGHS, XXE, "<!doctype x>", "<! ENTITY x 'y'>"])
def test_document_types_and_entities_are_refused(head: str) -> None:
    with pytest.raises(UnreadableNotice, match="refused unread"):
        read_notice(voevent(head=head))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-7", "cp037", "EBCDIC-CP-US"])
def test_encodings_that_could_hide_an_entity_are_refused(encoding: str) -> None:
    text = voevent(head=XXE).decode().replace("UTF-8", encoding)
    with pytest.raises(UnreadableNotice):
        read_notice(text.encode("utf-16" if encoding == "utf-16" else "ascii"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"   \n", "empty"),
        (b"hello", "neither"),
        (b"<a><b></a>", "well-formed"),
        (b"<a/>", "no VOEvent"),
        (b"{", "no valid JSON"),
        (b"{}", "superevent_id"),
        (b'{"superevent_id": ' * 3000, "JSON"),
        (gwalert(alert_type="OTHER"), "alert_type"),
        (gwalert(alert_type="BREAKFAST"), "alert_type"),
        (gwalert(time_created="yesterday"), "time_created"),
        (gwalert(time_created=1700000000), "time_created"),
        (gwalert(superevent_id="../../etc"), "superevent_id"),
        (gwalert(event={"skymap": "AAA"}), "base64"),
        (gwalert(event={"far": -1}), "far"),
        (b"Obj\x01" + b"\xff" * 40, "damaged"),
        (b"Obj\x01", "damaged"),
        (b" " * (MAX_NOTICE_BYTES + 1), "no more than"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(content: bytes, says: str) -> None:
    with pytest.raises(UnreadableNotice, match=says) as refusal:
        read_notice(content)
    assert "\n" not in refusal.value.message.strip()


def test_keys_of_a_later_schema_do_not_lose_the_alert() -> None:
    notice = read_notice(gwalert(schema_version="9.0", novelty={"a": [1, 2]}))
    assert notice.event == "S230518h"
    assert notice.significant is True


@pytest.mark.parametrize(
    "spelt", ["EarlyWarning", "EARLY_WARNING", "earlywarning", "Early Warning"]
)
def test_an_alert_type_is_read_as_voevents_spell_it_too(spelt: str) -> None:
    assert read_notice(gwalert(alert_type=spelt)).alert_type is AlertType.EARLYWARNING


@pytest.mark.parametrize("name", ["ms181101ab", "MS181101ab", "ts181101ab", "TS181101ab"])
def test_a_mock_or_test_event_is_one_in_small_letters_too(name: str) -> None:
    label = {"M": "MOCK", "T": "TEST"}[name[0].upper()]
    notice = read_notice(gwalert(superevent_id=name))
    assert (notice.label, notice.role) == (label, "test")
    params = f'<Param name="GraceID" value="{name}"/><Param name="AlertType" value="Initial"/>'
    content = f"""<VOEvent version="2.0" role="observation" ivorn="ivo://a/b#c">
<Who><Date>2018-11-01T22:34:49</Date></Who><What>{params}</What></VOEvent>"""
    assert read_notice(content.encode()).label == label


def test_an_embedded_map_may_be_broken_into_lines() -> None:
    sky_map = bytes(range(256)) * 2
    lines = base64.encodebytes(sky_map).decode()
    assert lines.count("\n") > 5
    assert read_notice(gwalert(event={"skymap": lines})).sky_map == sky_map


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"event": {"classification": {"BNS": 1.5, "NSBH": 0.2}}}, "classification"),
        ({"event": {"classification": {"BNS": "much", "NSBH": 0.2}}}, "classification"),
        ({"event": {"properties": [1, 2], "classification": {"NSBH": 0.2}}}, "properties"),
        ({"event": {"instruments": None, "classification": {"NSBH": 0.2}}}, "instruments"),
        ({"event": {"duration": "long", "classification": {"NSBH": 0.2}}}, "duration"),
        ({"event": {"time": "noon", "classification": {"NSBH": 0.2}}}, "time"),
        ({"event": {"significant": "so", "classification": {"NSBH": 0.2}}}, "significant"),
        ({"event": {"classification": {"NSBH": 0.2}}, "urls": "here"}, "urls"),
        ({"event": {"classification": {"NSBH": 0.2}}, "external_coinc": 7}, "external_coinc"),
        (
            {
                "event": {"classification": {"NSBH": 0.2}, "skymap": "AAAA"},
                "external_coinc": {"combined_skymap": "AAA"},
            },
            "combined_skymap",
        ),
    ],
)
def test_what_is_not_needed_and_cannot_be_read_is_a_warning(
    changes: dict[str, object], warning: str
) -> None:
    notice = read_notice(gwalert(**changes))
    assert notice.event == "S230518h"
    assert notice.classification == {"NSBH": 0.2}
    (said,) = [text for text in notice.warnings if "left out" in text]
    assert f"The notice's {warning}" in said
    assert "\n" not in said


def test_probabilities_that_rounding_took_over_the_edge_are_kept() -> None:
    notice = read_notice(gwalert(event={"classification": {"BNS": 1.0000001, "BBH": -1e-9}}))
    assert notice.classification == {"BNS": 1.0, "BBH": 0.0}
    assert not [text for text in notice.warnings if "left out" in text]


def test_spelling_does_not_make_another_revision() -> None:
    content = gwalert()
    spaced = json.dumps(json.loads(content), indent=4, sort_keys=True).encode()
    assert read_notice(content).revision == read_notice(spaced).revision


def test_a_later_revision_sorts_after_an_earlier_one() -> None:
    early = read_notice(gwalert(time_created="2023-05-18T13:00:00Z", alert_type="UPDATE"))
    late = read_notice(gwalert(time_created="2023-05-18T13:00:01Z", alert_type="INITIAL"))
    assert early.revision < late.revision


@given(st.binary(max_size=300), st.sampled_from([b"", b"<", b"{", b"Obj\x01", b"<?xml "]))
@settings(max_examples=150)
def test_no_bytes_do_worse_than_be_refused(content: bytes, start: bytes) -> None:
    with pytest.raises(UnreadableNotice):
        read_notice(start + content)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["alert_type", "time_created", "superevent_id", "urls", "event", "external_coinc"]
        ),
        _JSON,
    )
)
@settings(max_examples=150)
def test_any_json_is_a_notice_or_is_refused(changes: dict[str, object]) -> None:
    try:
        notice = read_notice(gwalert(**changes))
    except UnreadableNotice:
        return
    assert notice.revision


def avro(codec: str, sky_map: bytes) -> bytes:
    schema = {
        "type": "record",
        "name": "alert",
        "fields": [
            {"name": "superevent_id", "type": "string"},
            {"name": "alert_type", "type": "string"},
            {"name": "time_created", "type": "string"},
            {
                "name": "event",
                "type": {
                    "type": "record",
                    "name": "event",
                    "fields": [{"name": "skymap", "type": "bytes"}],
                },
            },
        ],
    }
    record = {
        "superevent_id": "S190425z",
        "alert_type": "INITIAL",
        "time_created": "2019-04-25T08:18:05Z",
        "event": {"skymap": sky_map},
    }
    out = io.BytesIO()
    fastavro.writer(out, schema, [record], codec=codec)
    return out.getvalue()


def test_packed_avro_is_read_and_a_bomb_is_unpacked_no_further_than_allowed() -> None:
    assert read_notice(avro("deflate", b"a map")).sky_map == b"a map"
    with pytest.raises(UnreadableNotice, match="unpacks to over"):
        read_notice(avro("deflate", bytes(100_000_000)))
    with pytest.raises(UnreadableNotice, match="packed by 'bzip2'"):
        read_notice(avro("bzip2", bytes(1000)))


_NAMES = ("GraceID", "AlertType", "Packet_Type", "Pkt_Ser_Num", "FAR", "Significant", "BNS",
          "Group", "Instruments", "HardwareInj", "External_Observatory", "Time_Difference",
          "TrigID", "Retraction", "skymap_fits")  # fmt: skip


@given(st.dictionaries(st.sampled_from(_NAMES), st.text(max_size=12)), st.text(max_size=30))
@settings(max_examples=150)
def test_any_parameters_of_a_voevent_are_a_notice_or_are_refused(
    params: dict[str, str], date: str
) -> None:
    listed = "".join(f"<Param name={quoteattr(name)} value={quoteattr(value)}/>"
                     for name, value in params.items())  # fmt: skip
    content = (
        f'<VOEvent version="2.0" ivorn="ivo://x/y#z"><Who><Date>{escape(date)}</Date></Who>'
        f"<What>{listed}</What></VOEvent>"
    )
    with suppress(UnreadableNotice):
        notice = read_notice(content.encode("utf-8", "replace"))
        assert len(notice.digest) == 64
        assert notice.event


@given(st.integers(0, 2000), st.integers(0, 255))
@settings(max_examples=100)
def test_a_damaged_avro_is_a_notice_or_is_refused(place: int, byte: int) -> None:
    content = bytearray(_small_avro())
    content[place % len(content)] = byte
    try:
        read_notice(bytes(content))
    except UnreadableNotice:
        return


def _small_avro() -> bytes:
    schema = {
        "type": "record",
        "name": "alert",
        "fields": [
            {"name": "alert_type", "type": "string"},
            {"name": "time_created", "type": "string"},
            {"name": "superevent_id", "type": "string"},
        ],
    }
    record = {
        "alert_type": "RETRACTION",
        "time_created": "2023-05-18T13:00:00Z",
        "superevent_id": "S230518h",
    }
    out = io.BytesIO()
    fastavro.writer(out, schema, [record])
    return out.getvalue()
