"""Leaves out what must not be reduced twice: copies, and versions that are dark-subtracted."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session

from toros.archive import queries
from toros.archive.models import Exposure
from toros.common.errors import AlreadyCalibrated, TorosError, UnusableFrame
from toros.imaging.frames import Pixels, read_frame
from toros.imaging.headers import mark_already_calibrated, read_exposure
from toros.preprocessor.grouping import digest
from toros.preprocessor.run import Outcome, Problem, Run, Unit
from toros.preprocessor.vetting import same_exposure


@dataclass(frozen=True)
class Alike:
    """Files that may hold one and the same exposure."""

    ids: tuple[int, ...]
    paths: tuple[Path, ...]
    digests: tuple[str | None, ...]


@dataclass(frozen=True)
class Verdict:
    """Exposures to leave out, by id, and why."""

    left_out: dict[int, TorosError]


class Vet:
    """One unit for each set of files that began together on one camera or are the same bytes.

    One of a pair is the raw frame, the other was dark-subtracted as it was taken (CCDSoft and
    others write both, some with the same header): the one of the lower level is left out.
    """

    name = "vet"
    makes_products = False

    def units(self, session: Session, run: Run) -> Sequence[Unit[Alike]]:
        """Return the sets of two or more."""
        frames = queries.exposures(session, run.file_batch_id, usable=True)
        sets: dict[Hashable, list[Exposure]] = {}
        for frame in frames:
            for identity in _identities(frame):
                sets.setdefault(identity, []).append(frame)
        found = {tuple(frame.id for frame in same): same for same in sets.values() if len(same) > 1}
        return [
            Unit(_names([run.key(Path(frame.path)) for frame in same]), _alike(same))
            for same in found.values()
        ]

    def work(self, run: Run, unit: Unit[Alike]) -> Verdict:
        """Decide which of the set is the raw frame."""
        alike = unit.inputs
        left_out: dict[int, TorosError] = {}
        kept: list[int] = []  # indices of files that differ
        for index, found in enumerate(alike.digests):
            twin = next((k for k in kept if alike.digests[k] == found), None)
            if twin is None:
                kept.append(index)
            else:
                left_out[alike.ids[index]] = UnusableFrame(
                    f"{alike.paths[index].name} is left out: it is the same file as "
                    f"{alike.paths[twin].name}."
                )
        left_out |= _processed(alike, kept)
        return Verdict(left_out)

    def record(self, session: Session, run: Run, unit: Unit[Alike], product: Verdict) -> Outcome:
        """Mark the exposures that are left out."""
        for number, reason in product.left_out.items():
            row = session.get_one(Exposure, number)
            row.state, row.code, row.error = "left_out", reason.code, reason.message
        if not product.left_out:
            return Outcome()
        first = next(iter(product.left_out.values()))
        message = " ".join(reason.message for reason in product.left_out.values())
        return Outcome(problem=Problem(first.code, message, logging.WARNING))

    def fail(self, session: Session, run: Run, unit: Unit[Alike], error: TorosError) -> None:
        """Leave the exposures as they are: the step that reads them says what is wrong."""


def _names(keys: Sequence[str]) -> str:
    """Return what a set is called, in the report too: its files, or the first of many."""
    if len(keys) <= 3:
        return ", ".join(keys)
    return f"{keys[0]}, {keys[1]} and {len(keys) - 2} more ({digest(keys)})"


def _identities(frame: Exposure) -> list[Hashable]:
    found: list[Hashable] = [("bytes", frame.sha256)] if frame.sha256 else []
    # A camera cannot begin two exposures at one moment; but dates may be cut to the second, and
    # short exposures then share one.
    if frame.image_type == "light" and frame.date_obs is not None and (frame.exptime or 0) >= 1:
        shape = (frame.naxis1, frame.naxis2)
        found.append(("start", frame.date_obs, frame.exptime, frame.instrument, shape))
    return found


def _alike(frames: list[Exposure]) -> Alike:
    return Alike(
        tuple(frame.id for frame in frames),
        tuple(Path(frame.path) for frame in frames),
        tuple(frame.sha256 for frame in frames),
    )


def _processed(alike: Alike, kept: list[int]) -> dict[int, TorosError]:
    """Return those of `kept` that are a version of another from which something is subtracted."""
    if len(kept) < 2:
        return {}
    marked = mark_already_calibrated([read_exposure(alike.paths[index]) for index in kept])
    found: dict[int, TorosError] = {}
    unmarked = []
    for index, info in zip(kept, marked, strict=True):
        if info.processed:
            message = f"{info.path.name} is left out: {info.processed}"
            found[alike.ids[index]] = AlreadyCalibrated(message)
        else:
            unmarked.append(index)
    return found | _processed_by_level(alike, unmarked)


def _processed_by_level(alike: Alike, kept: list[int]) -> dict[int, TorosError]:
    """Tell by the pixels where names and headers do not: the raw frame has the higher level."""
    if len(kept) < 2:
        return {}
    pixels = {index: _pixels(alike.paths[index]) for index in kept}
    raw = max(kept, key=lambda index: float(np.median(pixels[index])))
    found: dict[int, TorosError] = {}
    for index in kept:
        name, twin = alike.paths[index].name, alike.paths[raw].name
        if index == raw or not same_exposure(pixels[index], pixels[raw]):
            continue
        if np.array_equal(pixels[index], pixels[raw]):
            text = f"{name} is left out: it holds the same pixels as {twin}."
            found[alike.ids[index]] = UnusableFrame(text)
        else:
            text = f"{name} is left out: it is {twin} with something subtracted already."
            found[alike.ids[index]] = AlreadyCalibrated(text)
    return found


def _pixels(path: Path) -> Pixels:
    return read_frame(path, read_exposure(path)).pixels
