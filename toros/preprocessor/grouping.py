"""Which frames are combined into one master, and what the master is called."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from toros.archive.models import Exposure
from toros.common.config.preprocessor import PreprocessorSettings
from toros.imaging.headers.detector import celsius_told

T = TypeVar("T")


@dataclass(frozen=True)
class Group:
    """Frames that are alike in all that matters to their master."""

    frames: tuple[Exposure, ...]
    label: str  # goes into the master's name: "30s", "V"


def group_biases(frames: Iterable[Exposure], settings: PreprocessorSettings) -> list[Group]:
    """Group bias frames by camera set-up and temperature: their level follows it by some ADU."""
    groups = []
    for same in _split(frames, _setup):
        parts = clusters(same, _temperature, settings.bias_temperature_tolerance)
        for alike in parts:
            temperature = _temperature(alike[0])
            several = len(parts) > 1 and temperature is not None
            groups.append(Group(tuple(alike), f"{temperature:.0f}C" if several else ""))
    return groups


def group_darks(frames: Iterable[Exposure], settings: PreprocessorSettings) -> list[Group]:
    """Group dark frames by camera set-up, filter if any, exposure time and temperature."""
    groups = []
    for same in _split(frames, lambda frame: (_setup(frame), frame.filter)):
        for timed in clusters(same, lambda frame: frame.exptime, settings.exptime_tolerance_s):
            for alike in clusters(timed, _temperature, settings.temperature_tolerance):
                groups.append(Group(tuple(alike), _dark_label(alike[0])))
    return groups


def group_flats(frames: Iterable[Exposure]) -> list[Group]:
    """Group flat fields by camera set-up and filter; twilight flats differ in exposure time."""
    return [
        Group(tuple(same), slug(same[0].filter or "nofilter"))
        for same in _split(frames, lambda frame: (_setup(frame), frame.filter))
    ]


def _setup(frame: Exposure) -> Hashable:
    return (
        frame.instrument,
        _as_told(frame, "serial"),
        (frame.naxis1, frame.naxis2),
        (frame.binning_x, frame.binning_y),
        _as_told(frame, "window"),
        frame.gain,
        _as_told(frame, "gain_setting"),
        _as_told(frame, "offset_setting"),
        frame.read_out_mode,
    )


def _temperature(frame: Exposure) -> float | None:
    """Return the temperature as measured, else the set point."""
    if frame.ccd_temp is not None:
        return frame.ccd_temp
    return celsius_told(frame.header.get(frame.decided_by.get("set_temp", "")))


def _as_told(frame: Exposure, what: str) -> Hashable:
    """Return what the cards hold that decided `what`, for which the archive has no column."""
    cards = frame.decided_by.get(what, "").split(", ")
    return tuple(frame.header.get(card) for card in cards)


def _dark_label(frame: Exposure) -> str:
    exptime = f"{frame.exptime:g}s" if frame.exptime is not None else "unknown-s"
    return f"{exptime}_{slug(frame.filter)}" if frame.filter else exptime


def _split(frames: Iterable[Exposure], key: Callable[[Exposure], Hashable]) -> list[list[Exposure]]:
    groups: dict[Hashable, list[Exposure]] = {}
    for frame in frames:
        groups.setdefault(key(frame), []).append(frame)
    return list(groups.values())


def clusters(
    items: Iterable[T], value: Callable[[T], float | None], tolerance: float
) -> list[list[T]]:
    """Split items so that in each part no two values differ by more than `tolerance`.

    Those without a value are a part of their own. Within a part the given order is kept.
    """
    given = list(items)
    unknown = [item for item in given if value(item) is None]
    order = sorted((item for item in given if value(item) is not None), key=lambda i: value(i) or 0)
    parts: list[list[T]] = [unknown] if unknown else []
    start: float | None = None
    for item in order:
        number = value(item) or 0.0
        # The span of a part is bounded, so that a drifting temperature is cut somewhere.
        if start is None or number - start > tolerance * (1 + 1e-9):
            parts.append([])
            start = number
        parts[-1].append(item)
    place = {id(item): index for index, item in enumerate(given)}
    return [sorted(part, key=lambda item: place[id(item)]) for part in parts]


def slug(text: str) -> str:
    """Return `text` with nothing in it that does not belong into a file name."""
    return re.sub(r"[^A-Za-z0-9.+'_-]+", "-", text.strip()).strip("-.") or "x"


def digest(parts: Sequence[str]) -> str:
    """Return eight hexadecimal digits that change with any of the parts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


def master_name(kind: str, label: str, identity: str) -> str:
    """Return the file name of a master: what it is, and of which inputs.

    Parameters
    ----------
    kind : str
        ``master_bias``, ``master_dark`` or ``master_flat``.
    label : str
        What sets it apart for people; may be empty.
    identity : str
        A digest of its inputs: a master of other inputs never takes the place of this one.
    """
    return "_".join(part for part in (kind, label, identity) if part) + ".fits"
