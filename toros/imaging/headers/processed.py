"""Frames that are no raw frames any more: masters, and what a capture program has calibrated.

Calibrating such a frame again subtracts its bias or dark twice, and stacking a master into a
master hides how few frames there are. Neither may pass silently.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from toros.imaging.headers.cards import Cards
from toros.imaging.headers.exposure import ExposureInfo

_LT_STEPS = {
    "L1STATZE": "bias",
    "L1STATOV": "overscan",
    "L1STATDA": "dark",
    "L1STATFL": "flat",
}
_HISTORY = (
    # CCDSoft; the only trace that the camera control leaves in the STL-1001's frames.
    re.compile(r"auto-?\s?dark subtraction", re.IGNORECASE),
    # MaxIm DL.
    re.compile(r"^\s*(dark|bias) subtraction \(|^\s*flat field \(", re.IGNORECASE),
)
_OURS = ("BIASCOR", "DARKCOR", "FLATCOR")
# What programs put between the stem and the suffix of the frame that they leave alone.
_RAW_TWIN = re.compile(r"[._-](no[_-]?auto[_-]?dark|raw|nodark)$", re.IGNORECASE)


def why_processed(cards: Cards) -> str | None:
    """Return one sentence on why the frame is not raw, or None if nothing says that it is not."""
    combined = cards.get("COMBINED")
    if combined is not None and combined.value is True:
        return "COMBINED = T: a master, not a raw frame."
    count = cards.first_number(("NCOMBINE", "NCOMBINED"))
    if count is not None and count[1] > 1:
        return f"{count[0].keyword} = {count[1]:g}: a stack, not a raw frame."
    if cards.get("CALIB_ID") is not None or cards.get("CALIB_CREATE_DATE") is not None:
        return "CALIB_CREATE_DATE: a master of the LSST pipeline, not a raw frame."
    return _by_capture_program(cards) or _by_a_pipeline(cards)


def _by_capture_program(cards: Cards) -> str | None:
    status = cards.get("CALSTAT")
    if status is not None and set(status.text().upper()) & set("BDF"):
        return f"CALSTAT = {status.text()!r}: calibrated by the program that took it."
    for line in cards.history:
        if any(pattern.search(line) for pattern in _HISTORY):
            return f"HISTORY says {line.strip()!r}: calibrated by the program that took it."
    return None


def _by_a_pipeline(cards: Cards) -> str | None:
    done = [name for key, name in _LT_STEPS.items() if _equals_one(cards, key)]
    if done:
        return (
            f"L1STAT*: {', '.join(done)} already corrected by the Liverpool Telescope's pipeline."
        )
    ours = [card for card in cards.every(_OURS) if card.text().upper() != "NONE"]
    if ours:
        return f"{ours[0].keyword} = {ours[0].text()!r}: already calibrated."
    return None


def _equals_one(cards: Cards, keyword: str) -> bool:
    found = cards.first_number((keyword,))
    return found is not None and found[1] == 1


def _stem(path: Path) -> str:
    name = path.name
    for suffix in (".gz", ".fz"):
        name = name.removesuffix(suffix)
    return Path(name).stem


def _raw_stem(path: Path) -> str | None:
    """Return the stem of the twin of a frame that is marked as left alone, else None."""
    stem = _stem(path)
    found = _RAW_TWIN.search(stem)
    return stem[: found.start()] if found else None


def mark_already_calibrated(exposures: Iterable[ExposureInfo]) -> list[ExposureInfo]:
    """Return `exposures`, in order, with the subtracted twin of every raw frame marked.

    Some cameras (SBIG under CCDSoft) save an exposure twice: ``X.NOAUTODARK.FIT`` as it was read
    out, and ``X.FIT`` with a dark already subtracted, both with the same DATE-OBS. Where two
    files share the time and the instrument and one is named as the raw twin of the other, the
    other gets ``processed`` set (unless its own header has said so already) and a note. Two files
    that share the time without such names are noted, both: nobody can tell which is raw.
    """
    infos = list(exposures)
    groups: dict[object, list[int]] = defaultdict(list)
    for index, info in enumerate(infos):
        if info.date_obs is not None and info.image_type not in ("bias", None):
            key = (info.date_obs, info.instrument, info.exptime_s, info.image_type)
            groups[key].append(index)
    for members in groups.values():
        if len(members) > 1:
            _mark_group(infos, members)
    return infos


def _mark_group(infos: list[ExposureInfo], members: Sequence[int]) -> None:
    raw_of = {
        (infos[index].path.parent, raw_stem.lower()): infos[index].path.name
        for index in members
        if (raw_stem := _raw_stem(infos[index].path)) is not None
    }
    for index in members:
        info = infos[index]
        if _raw_stem(info.path) is not None:
            continue
        raw_name = raw_of.get((info.path.parent, _stem(info.path).lower()))
        if raw_name is not None:
            reason = (
                f"The raw frame of the same exposure is {raw_name}: a dark is already subtracted."
            )
            infos[index] = replace(
                info, processed=info.processed or reason, notes=(*info.notes, reason)
            )
        elif not raw_of:
            others = ", ".join(infos[other].path.name for other in members if other != index)
            note = f"The same DATE-OBS, instrument and exposure time as {others}."
            infos[index] = replace(info, notes=(*info.notes, note))
