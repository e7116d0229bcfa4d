"""What a notice says, whatever format it came in.

One frozen `Notice` for VOEvent, `igwn.gwalert` JSON and Avro. There is no serial number in the
JSON, so a revision of an event is known by its content: superevent, alert type, time of creation
and a digest of what it says. Two spellings of the same content are the same revision.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

#: False-alarm rates (Hz) below which the LVK call an event significant: one per month for compact
#: binaries and one per year for bursts, each divided by the trials of the searches (LVK Public
#: Alerts User Guide, O4). Used only where the notice does not say so itself (O3).
SIGNIFICANT_FAR_HZ = {"CBC": 7.7e-8, "Burst": 7.9e-9}


#: A telescope takes names of 100 letters, and pointings are numbered.
MAX_NAME = 90

#: Who sends notices of gravitational waves.
LVK = "LVK"


class AlertType(StrEnum):
    """The stage of an alert."""

    EARLYWARNING = "EARLYWARNING"
    PRELIMINARY = "PRELIMINARY"
    INITIAL = "INITIAL"
    UPDATE = "UPDATE"
    RETRACTION = "RETRACTION"
    OTHER = "OTHER"  # of another mission, and no retraction


class NoticeFormat(StrEnum):
    """How a notice was written."""

    VOEVENT = "voevent"
    JSON = "gwalert-json"
    AVRO = "gwalert-avro"
    GCN = "gcn-json"  # GCN's unified schema, of other missions


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where on the sky, in degrees (ICRS), with the radius of its error circle."""

    ra_deg: float
    dec_deg: float
    radius_deg: float | None = None

    @classmethod
    def read(cls, ra_deg: float, dec_deg: float, radius_deg: float | None) -> Position | None:
        """Return the position that a notice gives; ``None`` if there is none such on the sky."""
        if not (math.isfinite(ra_deg) and -90.0 <= dec_deg <= 90.0):
            return None
        known = radius_deg is not None and math.isfinite(radius_deg) and radius_deg >= 0.0
        return cls(ra_deg=ra_deg % 360.0, dec_deg=dec_deg, radius_deg=radius_deg if known else None)


@dataclass(frozen=True, kw_only=True)
class ExternalCoincidence:
    """A gamma-ray burst or the like that RAVEN found beside a gravitational-wave event."""

    notice_id: str | None = None
    ivorn: str | None = None
    observatory: str | None = None
    search: str | None = None
    time_difference_s: float | None = None
    time_coincidence_far_hz: float | None = None
    time_sky_position_coincidence_far_hz: float | None = None
    sky_map: bytes | None = field(default=None, repr=False)
    sky_map_url: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as data, without its map."""
        return {
            "observatory": self.observatory,
            "search": self.search,
            "notice_id": self.notice_id,
            "ivorn": self.ivorn,
            "time_difference_s": self.time_difference_s,
            "time_coincidence_far_hz": self.time_coincidence_far_hz,
            "time_sky_position_coincidence_far_hz": self.time_sky_position_coincidence_far_hz,
        }

    def __str__(self) -> str:
        """Return some words: with what, how far apart in time, and how often by chance."""
        words = " ".join(word for word in (self.observatory, self.search) if word)
        parts = [words or "an unnamed event"]
        if self.time_difference_s is not None:
            parts.append(f"{self.time_difference_s:+.3g} s")
        # That of time and place together says more, where it is known.
        far_hz = self.time_sky_position_coincidence_far_hz or self.time_coincidence_far_hz
        if far_hz is not None:
            parts.append(f"joint false-alarm rate {far_hz:.2g} Hz")
        return ", ".join(parts)


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One notice. ``None`` means that it does not say.

    `role` is VOEvent's: ``observation``, ``test``, ``prediction`` or ``utility``; the JSON has no
    role, so mock and test superevents are ``test`` and all others ``observation``.
    """

    format: NoticeFormat
    event: str
    alert_type: AlertType
    time_created: datetime
    role: str
    sha256: str
    observatory: str = LVK
    event_time: datetime | None = None
    far_hz: float | None = None
    significant: bool | None = None
    instruments: tuple[str, ...] = ()
    group: str | None = None
    pipeline: str | None = None
    search: str | None = None
    classification: Mapping[str, float] = field(default_factory=dict)
    properties: Mapping[str, float] = field(default_factory=dict)
    duration_s: float | None = None
    central_frequency_hz: float | None = None
    sky_map: bytes | None = field(default=None, repr=False)
    sky_map_url: str | None = None
    external: ExternalCoincidence | None = None
    position: Position | None = None
    hardware_injection: bool = False
    ivorn: str | None = None
    serial: int | None = None
    urls: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def kin(self) -> str:
        """What the spellings of one revision in different formats have in common."""
        far = "" if self.far_hz is None else f"{self.far_hz:.6g}"
        beside = "" if self.external is None else "external"
        created = self.time_created.astimezone(UTC).isoformat(timespec="seconds")
        return f"{self.event} {self.alert_type} {created} {far} {beside}".rstrip()

    @property
    def is_gravitational(self) -> bool:
        """Whether this is a gravitational-wave notice."""
        return self.observatory == LVK

    @property
    def is_retraction(self) -> bool:
        """Whether it takes the event back."""
        return self.alert_type is AlertType.RETRACTION

    @property
    def label(self) -> str | None:
        """``MOCK``, ``TEST`` or ``INJECTION`` for what is no observation, else ``None``."""
        if self.is_gravitational and self.event.startswith(("M", "m")):
            return "MOCK"
        if self.is_gravitational and self.event.startswith(("T", "t")):
            return "TEST"
        if self.hardware_injection:
            return "INJECTION"
        return None if self.role == "observation" else "TEST"

    @property
    def digest(self) -> str:
        """SHA-256 of what the notice says (not of its bytes), in hexadecimal."""
        return content_digest(self)

    @property
    def revision(self) -> str:
        """Name of this revision of the event; a later one sorts after an earlier one."""
        created = self.time_created.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        return f"{created}-{self.alert_type}-{self.digest[:10]}"


def content_digest(notice: Notice) -> str:
    """Return the SHA-256 of a notice's content, the same for JSON and Avro of one alert."""
    external = notice.external
    said = {
        "event": notice.event,
        "alert_type": notice.alert_type,
        "time_created": notice.time_created.astimezone(UTC).isoformat(),
        "role": notice.role,
        "far": notice.far_hz,
        "significant": notice.significant,
        "instruments": sorted(notice.instruments),
        "search": notice.search,
        "pipeline": notice.pipeline,
        "classification": dict(notice.classification),
        "properties": dict(notice.properties),
        "sky_map": _sha256(notice.sky_map) or notice.sky_map_url,
        "external": external
        and [external.notice_id, _sha256(external.sky_map) or external.sky_map_url],
        "position": notice.position and [notice.position.ra_deg, notice.position.dec_deg],
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def plain_name(text: str) -> str:
    """Return a name that every record and every work order can carry; maybe an empty one.

    Nothing that XML or PostgreSQL have no place for, and short enough for a telescope to take.
    """
    name = "".join(letter for letter in text if letter.isprintable()).strip()
    if len(name) <= MAX_NAME:
        return name
    return f"{name[: MAX_NAME - 11]}~{hashlib.sha256(name.encode()).hexdigest()[:10]}"


def is_significant(group: str | None, far_hz: float | None) -> bool | None:
    """Return whether a false-alarm rate is a significant one, ``None`` where nobody can say."""
    limit = SIGNIFICANT_FAR_HZ.get(group or "")
    if limit is None or far_hz is None:
        return None
    return far_hz < limit


def _sha256(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()
