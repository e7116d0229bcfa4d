"""`igwn.gwalert`: the JSON that the LVK publish on Kafka (LVK Public Alerts User Guide)."""

from __future__ import annotations

import binascii
import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated, Any, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from toros.common.errors import UnreadableNotice
from toros.lvcgcn.formats.embedded_map import map_of_text
from toros.lvcgcn.formats.gcn import from_unified, is_unified
from toros.lvcgcn.notice import (
    AlertType,
    ExternalCoincidence,
    Notice,
    NoticeFormat,
    is_significant,
)


def _decode_map(value: object) -> object:
    """Decode a sky map: base64 in JSON, bytes in Avro."""
    if not isinstance(value, str):
        return value
    try:
        return map_of_text(value)
    except binascii.Error as error:
        raise ValueError(f"the embedded sky map is no whole base64 ({error})") from error


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _iso_time(value: object) -> object:
    """Take times as ISO 8601 text only: pydantic would read a bare number as unix seconds."""
    if isinstance(value, str):
        return _utc(datetime.fromisoformat(value))
    if isinstance(value, datetime):
        return _utc(value)
    raise ValueError("a time is ISO 8601 text")


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) else value


def _plain_type(value: object) -> object:
    """Take ``EarlyWarning`` and ``EARLY_WARNING``, as VOEvents and people write it."""
    return value.replace("_", "").replace(" ", "").upper() if isinstance(value, str) else value


_SkyMap = Annotated[bytes | None, BeforeValidator(_decode_map)]
_Time = Annotated[datetime, BeforeValidator(_iso_time)]
#: What a sum of float32 probabilities may be off.
_ROUNDING = 1e-6


class _Model(BaseModel):
    # Keys that a later version of the schema adds are no reason to lose an alert.
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


def _else(default: Any) -> WrapValidator:
    """Put `default` where a field that is not needed cannot be read, and a warning on record.

    One odd figure is no reason to lose an alert.
    """

    def read(value: object, reader: ValidatorFunctionWrapHandler, about: ValidationInfo) -> Any:
        try:
            return reader(value)
        except ValidationError as error:
            cast("list[str]", about.context).append(
                f"{_first_fault(error, about.field_name)} It is left out."
            )
            return default

    return WrapValidator(read)


def _rounded(value: object) -> object:
    """Take for 0 or 1 what rounding made of it."""
    if isinstance(value, float) and -_ROUNDING <= value <= 1 + _ROUNDING:
        return min(max(value, 0.0), 1.0)
    return value


_Probability = Annotated[float | None, Field(ge=0, le=1), BeforeValidator(_rounded), _else(None)]
_Probabilities = Annotated[dict[str, _Probability] | None, _else(None)]
_Text = Annotated[str | None, _else(None)]
_Figure = Annotated[float | None, _else(None)]


class _Coincidence(_Model):
    gcn_notice_id: Annotated[str | None, BeforeValidator(_text), _else(None)] = None
    ivorn: _Text = None
    observatory: _Text = None
    search: _Text = None
    time_difference: _Figure = None
    time_coincidence_far: _Figure = None
    time_sky_position_coincidence_far: _Figure = None
    combined_skymap: Annotated[_SkyMap, _else(None)] = None


class _Event(_Model):
    time: Annotated[_Time | None, _else(None)] = None
    far: Annotated[float, Field(ge=0)] | None = None
    significant: Annotated[bool | None, _else(None)] = None
    instruments: Annotated[list[str], _else([])] = []
    group: _Text = None
    pipeline: _Text = None
    search: _Text = None
    classification: _Probabilities = None
    properties: _Probabilities = None
    duration: _Figure = None
    central_frequency: _Figure = None
    skymap: _SkyMap = None


class _Alert(_Model):
    alert_type: Annotated[AlertType, BeforeValidator(_plain_type)]
    time_created: _Time
    superevent_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.+-]{2,64}$")]
    urls: Annotated[dict[str, str | None] | None, _else(None)] = None
    event: _Event | None = None
    external_coinc: Annotated[_Coincidence | None, _else(None)] = None


def read_gwalert(content: bytes) -> Notice:
    """Read a notice in JSON: the LVK's, or another mission's in GCN's unified schema.

    Raises
    ------
    UnreadableNotice
        If it is no JSON, or a field that must be there is missing or of the wrong kind.
    """
    try:
        record = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UnreadableNotice(f"The notice is no valid JSON: {error}.") from error
    if isinstance(record, dict) and is_unified(record):
        return from_unified(record, content)
    return from_record(record, content, NoticeFormat.JSON)


def from_record(record: Any, content: bytes, how: NoticeFormat) -> Notice:
    """Return the notice of a decoded `igwn.gwalert` record.

    Parameters
    ----------
    record : dict
        The decoded JSON or Avro.
    content : bytes
        The bytes it was decoded from, for their digest.
    how : NoticeFormat
        The format of `content`.
    """
    if not isinstance(record, dict) or "superevent_id" not in record:
        raise UnreadableNotice("The notice is no igwn.gwalert: it has no superevent_id.")
    warnings: list[str] = []
    try:
        alert = _Alert.model_validate(record, context=warnings)
    except ValidationError as error:
        raise UnreadableNotice(_first_fault(error)) from error
    if alert.alert_type is AlertType.OTHER:
        raise UnreadableNotice("The notice's alert_type is none of igwn.gwalert's.")
    return _notice(alert, content, how, warnings)


def _notice(alert: _Alert, content: bytes, how: NoticeFormat, warnings: list[str]) -> Notice:
    event = alert.event or _Event()
    if alert.event is None and alert.alert_type is not AlertType.RETRACTION:
        warnings.append("The notice has no event in it, and is no retraction.")
    significant = event.significant
    if significant is None:
        significant = is_significant(event.group, event.far)
    return Notice(
        format=how,
        event=alert.superevent_id,
        alert_type=alert.alert_type,
        time_created=alert.time_created,
        role="test" if alert.superevent_id[0] in "MTmt" else "observation",
        sha256=hashlib.sha256(content).hexdigest(),
        event_time=event.time,
        far_hz=event.far,
        significant=significant,
        instruments=tuple(event.instruments),
        group=event.group,
        pipeline=event.pipeline,
        search=event.search,
        classification=_known(event.classification),
        properties=_known(event.properties),
        duration_s=event.duration,
        central_frequency_hz=event.central_frequency,
        sky_map=event.skymap,
        external=_coincidence(alert.external_coinc),
        urls={name: url for name, url in (alert.urls or {}).items() if url},
        warnings=tuple(warnings),
    )


def _coincidence(found: _Coincidence | None) -> ExternalCoincidence | None:
    if found is None:
        return None
    return ExternalCoincidence(
        notice_id=found.gcn_notice_id,
        ivorn=found.ivorn,
        observatory=found.observatory,
        search=found.search,
        time_difference_s=found.time_difference,
        time_coincidence_far_hz=found.time_coincidence_far,
        time_sky_position_coincidence_far_hz=found.time_sky_position_coincidence_far,
        sky_map=found.combined_skymap,
    )


def _known(probabilities: dict[str, float | None] | None) -> dict[str, float]:
    return {name: value for name, value in (probabilities or {}).items() if value is not None}


def _first_fault(error: ValidationError, within: str | None = None) -> str:
    fault = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in (within, *fault["loc"]) if part is not None)
    what = fault["msg"].removeprefix("Value error, ")
    return f"The notice's {where} cannot be read: {what}."
