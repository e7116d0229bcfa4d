"""When was it exposed? Always UTC, always the start."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone

from toros.imaging.headers.cards import Card, Cards, Findings

_DATE_CARDS = ("DATE-OBS", "DATE_OBS", "DATEOBS", "UT-OBS", "DATE-BEG", "DATE-UTC", "UTDATE")
_TIME_CARDS = ("TIME-OBS", "TIME_OBS", "UT-OBS", "UTSTART", "UT", "UTC", "UTC-OBS", "UT_START")
_STAMP = re.compile(
    r"(?P<date>\d{4}-\d{1,2}-\d{1,2}|\d{1,2}/\d{1,2}/\d{2,4})"
    r"(?:[T ]+(?P<time>\d{1,2}:\d{1,2}(?::\d{1,2}(?:\.\d*)?)?))?"
    r"\s*(?P<offset>Z|UTC?|[+-]\d{2}:?\d{2})?"
)
_CLOCK = re.compile(r"(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d*))?)?")
_LOCAL = re.compile(r"\blocal\b|\bLT\b", re.IGNORECASE)
# Outside, the card holds something else: programs write 0001-01-01 or 9999-12-31 for none.
_YEARS = range(1900, 2200)
# JD and MJD of the same.
_MJD_RANGE = (15020.0, 124594.0)
_JD_MINUS_MJD = 2400000.5


def decide_date_obs(cards: Cards, findings: Findings) -> datetime | None:
    """Return the start of the exposure as aware UTC, and record which card decided it."""
    for card in cards.every(_DATE_CARDS):
        moment = _of_card(card, cards, findings)
        if moment is not None:
            moment = _to_utc_scale(moment, cards, findings)
            _compare_with_mjd(moment, cards, findings)
            return moment
    return _from_julian_day(cards, findings)


def _of_card(card: Card, cards: Cards, findings: Findings) -> datetime | None:
    found = _STAMP.fullmatch(card.text())
    if found is None:
        if card.keyword.startswith("DATE"):
            findings.note(f"{card.keyword} = {card.text()!r} is no date that can be read.")
        return None
    if found["offset"] is None and _LOCAL.search(card.comment):
        findings.note(f"{card.keyword} is in local time without an offset: not used.")
        return None
    day = _date(found["date"])
    if day is None:
        findings.note(f"{card.keyword} = {card.text()!r} is an impossible date.")
        return None
    evidence = card.keyword
    clock = _clock(found["time"]) if found["time"] else None
    if clock is None:
        clock, evidence = _separate_time(card, cards)
        if clock is None:
            findings.note(f"{card.keyword} = {card.text()!r} holds no time of day.")
            return None
    return _moment(day, clock, found["offset"], evidence, findings)


def _moment(
    day: date, clock: timedelta, offset: str | None, evidence: str, findings: Findings
) -> datetime | None:
    zone = _zone(offset)
    try:
        moment = (datetime.combine(day, time(), tzinfo=zone) + clock).astimezone(UTC)
    except OverflowError:
        findings.note(f"{evidence} is an impossible date.")
        return None
    if zone != UTC:
        findings.note(f"{evidence} is in local time ({offset}): converted to UTC.")
    findings.decide("date_obs", evidence)
    return moment


def _date(text: str) -> date | None:
    try:
        if "-" in text:
            year, month, day = (int(part) for part in text.split("-"))
        else:
            # The FITS standard before 2000: DD/MM/YY, in the twentieth century; MaxIm DL and
            # PinPoint still write it today, so that a small year is one of ours.
            day, month, year = (int(part) for part in text.split("/"))
            if year < 100:
                year += 1900 if year >= 60 else 2000
        return date(year, month, day) if year in _YEARS else None
    except ValueError:
        return None


def _clock(text: str) -> timedelta | None:
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in found.groups()[:3])
    # SGP writes seven digits of a second; Python takes six.
    micro = round(float(f"0.{found[4] or 0}") * 1e6)
    # 60 is allowed: a leap second.
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    return timedelta(hours=hours, minutes=minutes, seconds=seconds, microseconds=micro)


def _separate_time(date_card: Card, cards: Cards) -> tuple[timedelta | None, str]:
    for card in cards.every(_TIME_CARDS):
        clock = _clock(card.text())
        if clock is None and not isinstance(card.value, str):
            number = card.number()
            # CAFOS gives UT_START in seconds of the day.
            if number is not None and card.keyword == "UT_START" and 0 <= number < 86400:
                clock = timedelta(seconds=number)
        if clock is not None:
            return clock, f"{date_card.keyword} + {card.keyword}"
    return None, date_card.keyword


def _zone(offset: str | None) -> timezone:
    if offset is None or offset in ("Z", "UT", "UTC"):
        return UTC
    hours, minutes = int(offset[1:3]), int(offset[-2:])
    shift = timedelta(hours=hours, minutes=minutes)
    if not shift or shift >= timedelta(hours=24):
        return UTC
    return timezone(-shift if offset[0] == "-" else shift)


def _to_utc_scale(moment: datetime, cards: Cards, findings: Findings) -> datetime:
    scale = cards.get("TIMESYS")
    name = scale.text().lower() if scale is not None else "utc"
    if name not in ("tai", "tt", "tdb") or not 1972 <= moment.year < 2100:
        return moment
    # Hardly ever needed, and slow to import.
    from astropy.time import Time

    findings.note(f"TIMESYS = {name.upper()}: converted to UTC.")
    converted: datetime = Time(moment.replace(tzinfo=None), scale=name).utc.to_datetime(UTC)
    return converted


def _julian_day(cards: Cards) -> tuple[str, float] | None:
    for keyword in ("MJD-OBS", "MJD-BEG", "MJD"):
        found = cards.first_number((keyword,))
        if found is not None and _MJD_RANGE[0] <= found[1] <= _MJD_RANGE[1]:
            return keyword, found[1]
    for keyword in ("JD", "JD-OBS"):
        found = cards.first_number((keyword,))
        if found is not None and _MJD_RANGE[0] <= found[1] - _JD_MINUS_MJD <= _MJD_RANGE[1]:
            return keyword, found[1] - _JD_MINUS_MJD
    return None


def _of_mjd(mjd: float) -> datetime:
    return datetime(1858, 11, 17, tzinfo=UTC) + timedelta(days=mjd)


def _from_julian_day(cards: Cards, findings: Findings) -> datetime | None:
    found = _julian_day(cards)
    if found is None:
        return None
    keyword, mjd = found
    findings.decide("date_obs", keyword)
    return _of_mjd(mjd)


def _compare_with_mjd(moment: datetime, cards: Cards, findings: Findings) -> None:
    found = _julian_day(cards)
    if found is None:
        return
    keyword, mjd = found
    apart = abs(_of_mjd(mjd) - moment)
    # Half an hour: some write the middle of the exposure, or only three digits of a day.
    if apart > timedelta(minutes=30):
        findings.note(f"{keyword} is {apart} away from the date of the exposure: not used.")
