"""GCN's unified schema: the JSON of missions other than LIGO, Virgo and KAGRA.

Einstein Probe, Swift, IceCube and others publish it on Kafka (https://gcn.nasa.gov/docs/schema).
A mission says who it is in `mission`, or only in the address of its schema.
"""

from __future__ import annotations

import binascii
import hashlib
import math
import re
from datetime import UTC, datetime
from typing import Any

from toros.common.errors import UnreadableNotice
from toros.lvcgcn.formats.embedded_map import map_of_text
from toros.lvcgcn.formats.senders import SENDERS
from toros.lvcgcn.notice import AlertType, Notice, NoticeFormat, Position, plain_name

_SCHEMA = re.compile(r"^https://gcn\.nasa\.gov/schema/([^/]+)/gcn/notices/([^/]+)/")
#: The major versions whose fields are those read here.
_KNOWN_VERSIONS = re.compile(r"^(main|v[1-9]\d?\.\d+\.\d+)$")


def is_unified(record: dict[str, Any]) -> bool:
    """Return whether a JSON document is one of GCN's unified schema."""
    return _SCHEMA.match(str(record.get("$schema", ""))) is not None


def from_unified(record: dict[str, Any], content: bytes) -> Notice:
    """Return the notice of a decoded document.

    Raises
    ------
    UnreadableNotice
        If its version is unknown, or it does not say what it is of and when it was made.
    """
    schema = _SCHEMA.match(str(record["$schema"]))
    if schema is None or not _KNOWN_VERSIONS.match(schema[1]):
        raise UnreadableNotice(f"The notice's schema {record['$schema']!r:.100} is not known here.")
    warnings: list[str] = []
    observatory = _observatory(record, schema[2])
    triggered = _time(record, "trigger_time", warnings)
    created = _time(record, "alert_datetime", warnings) or triggered
    if created is None:
        raise UnreadableNotice("The notice has neither an alert_datetime nor a trigger_time.")
    retracted = str(record.get("alert_type", "")).casefold() == "retraction"
    sky_map = _sky_map(record, warnings)
    return Notice(
        format=NoticeFormat.GCN,
        event=plain_name(f"{observatory} {_event(record)}"),
        alert_type=AlertType.RETRACTION if retracted else AlertType.OTHER,
        time_created=created,
        role=_role(record),
        sha256=hashlib.sha256(content).hexdigest(),
        observatory=observatory,
        event_time=triggered,
        sky_map=sky_map,
        sky_map_url=_text(record.get("healpix_url")),
        position=_position(record, warnings),
        serial=record["record_number"] if type(record.get("record_number")) is int else None,
        warnings=tuple(warnings),
    )


def _observatory(record: dict[str, Any], folder: str) -> str:
    said = f"{record.get('mission') or ''} {folder.replace('_', ' ')}".casefold()
    known = (name for key, name in SENDERS.items() if key in said)
    return next(known, plain_name(str(record.get("mission") or folder)[:40]))


def _event(record: dict[str, Any]) -> str:
    for key in ("id", "event_name"):
        value = record.get(key)
        first = value[0] if isinstance(value, list) and value else value
        if isinstance(first, str | int) and (name := plain_name(str(first))):
            return name[:60]
    raise UnreadableNotice("The notice has neither an id nor an event_name.")


def _role(record: dict[str, Any]) -> str:
    tense = str(record.get("alert_tense", "current")).casefold()
    # What is planned, injected or a test is none that moves a telescope.
    return "observation" if tense in ("current", "archival") else "test"


def _time(record: dict[str, Any], key: str, warnings: list[str]) -> datetime | None:
    value = record.get(key)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        warnings.append(f"The notice's {key} is no time: {str(value)[:40]!r}.")
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _position(record: dict[str, Any], warnings: list[str]) -> Position | None:
    ra, dec = _number(record.get("ra")), _number(record.get("dec"))
    radius = record.get("ra_dec_error")
    # An ellipse is given as [long axis, short axis, angle]: the circle around it.
    radius = _number(radius[0] if isinstance(radius, list) and radius else radius)
    found = None if ra is None or dec is None else Position.read(ra, dec, radius)
    if found is None and (record.get("ra") is not None or record.get("dec") is not None):
        warnings.append("The notice's position is none.")
    return found


def _sky_map(record: dict[str, Any], warnings: list[str]) -> bytes | None:
    text = record.get("healpix_file")
    if not isinstance(text, str) or not text:
        return None
    try:
        return map_of_text(text)
    except binascii.Error as error:
        warnings.append(f"The embedded sky map is no whole base64 ({error}).")
        return None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
