"""Biases, darks and twilight flats: what the night needs, and taking them one by one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import select

from toros.archive.models import Combination, Exposure, Observation
from toros.common.errors import DeviceError, NotObservable, NotSafe
from toros.telescope import target_queue
from toros.telescope.flats import SkyLevel, accepted, advise, bright_to_dark, measure
from toros.telescope.frames import Purpose, expose, keep, night_counts, night_span, take
from toros.telescope.state import Telescope

# Exposure times are compared as the camera keeps them: to a hundredth.
SAME_EXPTIME = 0.01


def wanted_darks(telescope: Telescope) -> list[float]:
    """Return the exposure times of tonight's darks, in seconds, longest first.

    As configured; otherwise those of the lights that are queued or were taken tonight, or the
    usual exposure time while the queue is empty.
    """
    settings = telescope.settings
    if settings.dark_exptimes_s:
        return sorted(set(settings.dark_exptimes_s), reverse=True)
    first, last = night_span(telescope, telescope.tonight())
    with telescope.sessions() as session:
        rows = target_queue.open_entries(session, telescope.observatory)
        taken = select(Exposure.exptime).where(
            Exposure.image_type == "light", Exposure.date_obs >= first, Exposure.date_obs < last
        )
        times = {row.exptime for row in rows}
        times |= {round(each, 2) for each in session.scalars(taken.distinct()) if each}
    return sorted(times or {settings.exptime_s}, reverse=True)


def missing(telescope: Telescope) -> Iterator[Purpose]:
    """Yield the biases and darks that tonight still lacks."""
    settings = telescope.settings
    with telescope.sessions() as session:
        have = night_counts(telescope, session, telescope.tonight())
    biases = sum(number for (kind, _, _), number in have.items() if kind == "bias")
    for _ in range(settings.bias_count - biases):
        yield Purpose(image_type="bias", exptime_s=0.0)
    for exptime in wanted_darks(telescope):
        darks = sum(
            number
            for (kind, length, _), number in have.items()
            if kind == "dark" and math.isclose(length, exptime, abs_tol=SAME_EXPTIME)
        )
        for _ in range(settings.dark_count - darks):
            yield Purpose(image_type="dark", exptime_s=exptime)


def has_darks(telescope: Telescope) -> bool:
    """Return whether what was observed can be reduced: tonight's biases and darks, or masters."""
    if next(missing(telescope), None) is None:
        return True
    query = select(Combination.id).where(Combination.kind == "master_dark").limit(1)
    with telescope.sessions() as session:
        return session.scalars(query).first() is not None


def wanted_flats(telescope: Telescope) -> list[str | None]:
    """Return the filters in which tonight still lacks flats."""
    settings = telescope.settings
    if settings.flats.count == 0:
        return []
    with telescope.sessions() as session:
        have = night_counts(telescope, session, telescope.tonight())
        query = select(Observation.filter).where(
            Observation.observatory == telescope.observatory,
            Observation.state.in_(target_queue.OPEN),
        )
        used = sorted({band or "" for band in session.scalars(query.distinct())})
    asked = list(settings.flats.filters) or used or [settings.filter or ""]
    bands = list(dict.fromkeys(_name_in_wheel(telescope, band) for band in asked))
    if not settings.flats.filters:
        bands = bright_to_dark(bands)
    return [
        band
        for band in bands
        if sum(n for (kind, _, used), n in have.items() if kind == "flat" and used == band)
        < settings.flats.count
    ]


def _name_in_wheel(telescope: Telescope, name: str) -> str | None:
    """Return a filter as the wheel calls it, its first for none; as it is if unknown."""
    wheel = telescope.devices.filter_wheel
    if wheel is None:
        return name or None
    names = wheel.names()
    if not name:
        return names[0]
    alike = [other for other in names if other.casefold() == name.casefold()]
    return name if name in names or len(alike) != 1 else alike[0]


def take_set(
    telescope: Telescope,
    kind: str,
    count: int,
    exptime_s: float | None,
    band: str | None,
    order: str | None = None,
) -> list[Path]:
    """Take `count` biases, darks or flats now, where the telescope is; return their paths.

    Raises
    ------
    NotSafe
        Biases and darks want the dome closed.
    NotObservable
        The sky gives no flat that is bright enough.
    """
    if kind == "flat":
        return _flats_here(telescope, count, exptime_s, band, order)
    if not telescope.look_at_dome().closed:
        raise NotSafe(f"A {kind} wants the dome closed; it reads {telescope.dome_view.shutter}.")
    length = 0.0 if kind == "bias" else (exptime_s or telescope.settings.exptime_s)
    purpose = Purpose(image_type=kind, exptime_s=length, order=order)
    return [take(telescope, purpose) for _ in range(count)]


def _flats_here(
    telescope: Telescope, count: int, exptime_s: float | None, band: str | None, order: str | None
) -> list[Path]:
    """Take flats of whatever is in front of the telescope, at the configured level."""
    settings = telescope.settings.flats
    telescope.instrument()
    name = telescope.devices.select_filter(band, telescope.settings.filter_timeout_s)
    if exptime_s is not None:
        purpose = Purpose(image_type="flat", exptime_s=exptime_s, filter=name, order=order)
        return [take(telescope, purpose) for _ in range(count)]
    sky: SkyLevel | None = None
    paths: list[Path] = []
    while len(paths) < count:
        advice = advise(sky, telescope.clock.unix(), telescope.max_adu, settings)
        if advice.exptime_s is None:
            raise NotObservable(
                f"No flat of {settings.level_fraction:.0%} of the greatest count can be taken "
                f"in {settings.min_exptime_s:g}–{settings.max_exptime_s:g} s; {len(paths)} taken."
            )
        length = advice.exptime_s
        purpose = Purpose(image_type="flat", exptime_s=length, filter=name, order=order)
        taken = expose(telescope, purpose)
        bias = telescope.bias_level_adu or 0.0
        start = taken.frame.start.timestamp()
        sky = measure(taken.median_adu, bias, taken.frame.exptime_s, start, telescope.max_adu)
        if accepted(taken.median_adu, telescope.max_adu, settings):
            paths.append(keep(telescope, taken))
        elif not advice.trial:
            raise DeviceError("The level of the flats does not follow their exposure time.")
    return paths
