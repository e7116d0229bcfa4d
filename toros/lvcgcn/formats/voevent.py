"""VOEvent 2.0: the LVK's notices of O3 and O4, and those of other missions.

The XML is read by `voevent-parse`. Document types and entities are refused before any parser
sees them: a notice has no use for either, and both are ways to exhaust or read a machine.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from toros.common.errors import UnreadableNotice
from toros.lvcgcn.formats.senders import SENDERS
from toros.lvcgcn.notice import (
    AlertType,
    ExternalCoincidence,
    Notice,
    NoticeFormat,
    Position,
    is_significant,
    plain_name,
)

_FORBIDDEN = re.compile(rb"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
_ENCODING = re.compile(rb"""^<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
#: Encodings in which "<!DOCTYPE" is spelt in ASCII, so that the check above cannot be passed by.
_PLAIN_ENCODINGS = {b"utf-8", b"utf8", b"us-ascii", b"ascii", b"iso-8859-1", b"latin-1"}

_PACKET_TYPES = {
    150: AlertType.PRELIMINARY,
    151: AlertType.INITIAL,
    152: AlertType.UPDATE,
    163: AlertType.EARLYWARNING,
    164: AlertType.RETRACTION,
}
_CLASSES = ("BNS", "NSBH", "BBH", "MassGap", "Terrestrial")
_PROPERTIES = ("HasNS", "HasRemnant", "HasMassGap", "HasSSM")
_ROLES = {"observation", "test", "prediction", "utility"}
#: How missions name an event (Fermi and Swift, IceCube, SVOM), take it back, and mark a test.
_NAMES = ("TrigID", "AMON_ID", "Burst_Id", "Trigger_ID")
_RETRACTION_FLAGS = ("Retraction", "Def_NOT_a_GRB")
_TEST_FLAGS = ("Test", "InternalTest", "Test_Submission")

Params = dict[str, str]


def read_voevent(content: bytes) -> Notice:
    """Read a VOEvent.

    A notice that breaks the schema but can be read is read, with a warning in it.

    Raises
    ------
    UnreadableNotice
        If it is no XML, has a document type or entities, or does not say what event it is of.
    """
    _refuse_entities(content)
    voevent, warnings = _parse(content)
    params = dict(_params(voevent))
    if "GraceID" in params:
        return _gravitational(voevent, params, content, warnings)
    return _other(voevent, params, content, warnings)


def _refuse_entities(content: bytes) -> None:
    if b"\x00" in content:
        raise UnreadableNotice("The VOEvent is not in a plain encoding such as UTF-8.")
    declared = _ENCODING.match(content)
    if declared and declared[1].lower() not in _PLAIN_ENCODINGS:
        name = declared[1].decode("ascii")
        raise UnreadableNotice(f"The VOEvent's encoding {name} is not read; UTF-8 is.")
    if _FORBIDDEN.search(content):
        raise UnreadableNotice("The VOEvent declares a document type or entities: refused unread.")


def _parse(content: bytes) -> tuple[Any, list[str]]:
    import voeventparse
    from lxml import etree

    warnings = []
    try:
        voevent = voeventparse.loads(content, check_version=False)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise UnreadableNotice(f"The VOEvent is no well-formed XML: {error}.") from error
    if voevent.tag != "VOEvent":
        raise UnreadableNotice(f"The XML is no VOEvent but <{voevent.tag}>.")
    if voevent.get("version") != "2.0":
        warnings.append(f"The VOEvent is of version {voevent.get('version')}, read as 2.0.")
    elif not voeventparse.valid_as_v2_0(voevent):
        warnings.append("The VOEvent breaks the schema of VOEvent 2.0; it was read all the same.")
    return voevent, warnings


def _params(voevent: Any) -> Iterator[tuple[str, str]]:
    """Yield every Param of What, in groups or not. The first of a name is at the top level."""
    what = voevent.find("What")
    if what is None:
        return
    # Grouped ones first, so that a top-level Param of the same name prevails in a dict.
    for path in ("Group/Param", "Param"):
        for param in what.findall(path):
            name, value = param.get("name"), param.get("value")
            if name is not None and value is not None:
                yield str(name), str(value)


def _gravitational(voevent: Any, params: Params, content: bytes, warnings: list[str]) -> Notice:
    event = params["GraceID"].strip()
    if not re.fullmatch(r"[A-Za-z0-9_.+-]{2,64}", event):
        raise UnreadableNotice("The VOEvent's GraceID is no name of an event.")
    group, far = params.get("Group"), _number(params, "FAR", warnings)
    significant = _flag(params, "Significant", warnings)
    alert_type = _alert_type(params)
    if significant is None and alert_type is not AlertType.RETRACTION:
        significant = is_significant(group, far)
        warnings.append("The VOEvent does not say if it is significant: taken from its FAR.")
    instruments = [name.strip() for name in params.get("Instruments", "").split(",")]
    return Notice(
        format=NoticeFormat.VOEVENT,
        event=event,
        alert_type=alert_type,
        time_created=_time_created(voevent, warnings),
        role=_role(voevent, warnings),
        sha256=hashlib.sha256(content).hexdigest(),
        event_time=_event_time(voevent),
        far_hz=far,
        significant=significant,
        instruments=tuple(name for name in instruments if name),
        group=group,
        pipeline=params.get("Pipeline"),
        search=params.get("Search"),
        classification=_probabilities(params, _CLASSES, warnings),
        properties=_probabilities(params, _PROPERTIES, warnings),
        duration_s=_number(params, "Duration", warnings),
        central_frequency_hz=_number(params, "CentralFreq", warnings),
        sky_map_url=params.get("skymap_fits") or params.get("SKYMAP_URL_FITS_BASIC"),
        external=_external(params, warnings),
        hardware_injection=bool(_flag(params, "HardwareInj", warnings)),
        ivorn=voevent.get("ivorn"),
        serial=_serial(params),
        urls={"gracedb": params["EventPage"]} if "EventPage" in params else {},
        warnings=tuple(warnings),
    )


def _other(voevent: Any, params: Params, content: bytes, warnings: list[str]) -> Notice:
    """Return a notice that is not of gravitational waves: who, what, when and where."""
    ivorn = str(voevent.get("ivorn") or "")
    if not ivorn:
        raise UnreadableNotice("The VOEvent has neither a GraceID nor an IVORN.")
    name = next((params[key] for key in _NAMES if key in params), "")
    observatory = next((who for key, who in SENDERS.items() if key in ivorn.lower()), "unknown")
    return Notice(
        format=NoticeFormat.VOEVENT,
        event=plain_name(f"{observatory} {name}" if name and observatory != "unknown" else ivorn),
        alert_type=AlertType.RETRACTION if _retracts(voevent, params) else AlertType.OTHER,
        time_created=_time_created(voevent, warnings),
        role="test" if _is_set(params, _TEST_FLAGS) else _role(voevent, warnings),
        sha256=hashlib.sha256(content).hexdigest(),
        observatory=observatory,
        event_time=_event_time(voevent),
        sky_map_url=params.get("HealPix_URL"),
        position=_position(voevent, warnings),
        ivorn=ivorn,
        serial=_serial(params),
        warnings=tuple(warnings),
    )


def _retracts(voevent: Any, params: Params) -> bool:
    """Return whether a mission takes its event back: by a citation (VOEvent 2.0), or a flag."""
    cited = [one.get("cite") for one in voevent.findall("Citations/EventIVORN")]
    return "retraction" in cited or _is_set(params, _RETRACTION_FLAGS)


def _is_set(params: Params, names: tuple[str, ...]) -> bool:
    return any(params.get(name, "").strip().lower() in ("true", "1") for name in names)


def _alert_type(params: Params) -> AlertType:
    spelt = params.get("AlertType", "").upper()
    if spelt in AlertType.__members__ and spelt != AlertType.OTHER:
        return AlertType(spelt)
    packet_type = params.get("Packet_Type", "")
    if packet_type.isdecimal() and int(packet_type) in _PACKET_TYPES:
        return _PACKET_TYPES[int(packet_type)]
    raise UnreadableNotice("The VOEvent has neither a known AlertType nor a known Packet_Type.")


def _role(voevent: Any, warnings: list[str]) -> str:
    role = voevent.get("role", "observation")
    if role in _ROLES:
        return str(role)
    # What is not known to be an observation must not move a telescope.
    warnings.append(f"The VOEvent's role {role!r} is unknown: taken as a test.")
    return "test"


def _external(params: Params, warnings: list[str]) -> ExternalCoincidence | None:
    if not any(name.startswith("External_") for name in params):
        return None
    return ExternalCoincidence(
        notice_id=params.get("External_GCN_Notice_Id"),
        ivorn=params.get("External_Ivorn"),
        observatory=params.get("External_Observatory"),
        search=params.get("External_Search"),
        time_difference_s=_number(params, "Time_Difference", warnings),
        time_coincidence_far_hz=_number(params, "Time_Coincidence_FAR", warnings),
        time_sky_position_coincidence_far_hz=_number(
            params, "Time_Sky_Position_Coincidence_FAR", warnings
        ),
        sky_map_url=params.get("joint_skymap_fits"),
    )


def _probabilities(params: Params, names: tuple[str, ...], warnings: list[str]) -> dict[str, float]:
    found = {name: _number(params, name, warnings) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _number(params: Params, name: str, warnings: list[str]) -> float | None:
    text = params.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isfinite(value):
        return value
    warnings.append(f"The VOEvent's {name} is no number: {text[:40]!r}.")
    return None


def _flag(params: Params, name: str, warnings: list[str]) -> bool | None:
    value = _number(params, name, warnings)
    return None if value is None else value != 0


def _serial(params: Params) -> int | None:
    text = params.get("Pkt_Ser_Num", "")
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _time_created(voevent: Any, warnings: list[str]) -> datetime:
    created = _iso(voevent.findtext("Who/Date"))
    if created is not None:
        return created
    happened = _event_time(voevent)
    if happened is None:
        raise UnreadableNotice("The VOEvent has no date that can be read.")
    warnings.append("The VOEvent does not say when it was made: taken as the time of the event.")
    return happened


def _event_time(voevent: Any) -> datetime | None:
    return _iso(voevent.findtext(".//TimeInstant/ISOTime"))


def _iso(text: object) -> datetime | None:
    """Return an ISO 8601 time as aware UTC (VOEvents leave the zone out)."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(str(text).strip())
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _position(voevent: Any, warnings: list[str]) -> Position | None:
    paths = ("Value2/C1", "Value2/C2", "Error2Radius")
    ra, dec, radius = (voevent.findtext(f".//Position2D/{path}") for path in paths)
    if ra is None and dec is None:
        return None
    try:
        found = Position.read(float(ra), float(dec), None if radius is None else float(radius))
    except (TypeError, ValueError):
        found = None
    if found is None:
        warnings.append("The VOEvent's position is none.")
    return found
