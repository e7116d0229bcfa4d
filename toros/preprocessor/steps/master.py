"""What the three steps that make masters have in common."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median_low
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy.orm import Session

from toros.archive import queries
from toros.archive.models import Exposure
from toros.common.config.preprocessor import PreprocessorSettings
from toros.common.errors import CalibrationError, TorosError, UnreadableFile, UnusableFrame
from toros.imaging.frames import read_frame
from toros.imaging.headers import ExposureInfo, read_exposure
from toros.imaging.options import ReductionOptions
from toros.preprocessor.grouping import Group, digest, master_name
from toros.preprocessor.run import Outcome, Problem, Run, Unit
from toros.preprocessor.steps.choosing import (
    Chosen,
    Offer,
    Offers,
    Role,
    choose_all,
    explained,
    missing,
    offers_for,
    options_from,
    previous_for,
    used,
)
from toros.preprocessor.steps.products import Product, record_product
from toros.preprocessor.validating import Verdict, accepted_before, judge, mark

if TYPE_CHECKING:
    from toros.imaging.defects import MaskResult
    from toros.imaging.draft import MasterResult
    from toros.imaging.light_result import CalibratedResult

# Fields of a result that have columns or tables of their own in the archive.
_NOT_MEASURED = frozenset(
    {
        "path",
        "sha256",
        "kind",
        "inputs",
        "left_out",
        "exptime_s",
        "filter",
        "source",
        "bias",
        "dark",
        "flat",
        "bad_pixels",
        "fringe",
        "doubts",
    }
)


@dataclass(frozen=True)
class Making:
    """The inputs of one master."""

    target: Path
    ids: tuple[int, ...]
    paths: tuple[Path, ...]
    offers: dict[Role, Offers]
    previous: tuple[Offer, ...]  # of the same kind: it is judged against the nearest


@dataclass(frozen=True)
class Made:
    """A master that was made."""

    result: MasterResult
    chosen: tuple[Chosen, ...]
    left_out: dict[Path, tuple[int, str]]  # code and reason of frames that are not in it
    verdict: Verdict | None  # None for the first of its kind


class MasterStep:
    """Makes one kind of master; a unit is one group of frames that are alike."""

    name: str
    makes_products = True
    image_type: Literal["bias", "dark", "flat"]  # which is also the master's role
    wants: tuple[Role, ...] = ()  # masters that go into it
    needs: tuple[Role, ...] = ()  # those without which `missing_masters: fail` refuses it

    def groups(self, frames: Iterable[Exposure], settings: PreprocessorSettings) -> list[Group]:
        """Return the groups of frames, one for each master."""
        raise NotImplementedError

    def make(
        self,
        paths: Sequence[Path],
        target: Path,
        masters: dict[Role, Path | None],
        options: ReductionOptions,
    ) -> MasterResult:
        """Write the master."""
        raise NotImplementedError

    def choose(
        self, frames: Sequence[ExposureInfo], offers: dict[Role, Offers], options: ReductionOptions
    ) -> tuple[Chosen, ...]:
        """Choose the masters that go into it."""
        return choose_all(typical(frames), offers, options)

    def units(self, session: Session, run: Run) -> Sequence[Unit[Making]]:
        """Return one unit for each group."""
        frames = queries.exposures(
            session, run.file_batch_id, image_type=self.image_type, usable=True
        )
        groups = self.groups(frames, run.settings)
        offers = offers_for(session, run, self.wants, [group.frames[0] for group in groups])
        return [
            self._unit(
                run, group, offered, previous_for(session, run, self.image_type, group.frames[0])
            )
            for group, offered in zip(groups, offers, strict=True)
        ]

    def _unit(
        self, run: Run, group: Group, offers: dict[Role, Offers], previous: tuple[Offer, ...]
    ) -> Unit[Making]:
        identity = digest(sorted(frame.sha256 or frame.path for frame in group.frames))
        name = master_name(self.name, group.label, identity)
        making = Making(
            target=run.products / name,
            ids=tuple(frame.id for frame in group.frames),
            paths=tuple(Path(frame.path) for frame in group.frames),
            offers=offers,
            previous=previous,
        )
        return Unit(name, making, frozenset(making.ids))

    def work(self, run: Run, unit: Unit[Making]) -> Made:
        """Choose the masters that go into it, and make it."""
        making = unit.inputs
        frames = [read_exposure(path) for path in making.paths]
        options = options_from(run.settings, frames[0].instrument)
        chosen = self.choose(frames, making.offers, options)
        for found in chosen:
            if found.role in self.needs and run.settings.missing_masters == "fail" and found.error:
                raise found.error
        masters = {found.role: found.path for found in chosen}
        broken: dict[Path, str] = {}
        try:
            result = self.make(making.paths, making.target, masters, options)
        except UnreadableFile:
            # The header could be read, the pixels of one cannot: the others make the master.
            broken = unreadable(making.paths)
            sound = [path for path in making.paths if path not in broken]
            if not broken or not sound:
                raise
            result = self.make(sound, making.target, masters, options)
        left_out = {path: (UnusableFrame.code, why) for path, why in result.left_out}
        left_out |= {path: (UnreadableFile.code, why) for path, why in broken.items()}
        verdict = judge(making.target, self.image_type, making.previous, run.settings)
        return Made(result, chosen, left_out, verdict)

    def record(self, session: Session, run: Run, unit: Unit[Making], product: Made) -> Outcome:
        """Record the master, what went into it and what was measured on it."""
        making = unit.inputs
        by_path = dict(zip(making.paths, making.ids, strict=True))
        accepted = accepted_before(session, making.target)
        row = record_product(
            session,
            run,
            Product(
                path=making.target,
                kind=self.name,
                sha256=product.result.sha256,
                like=by_path[product.result.inputs[0]],
                exposures=tuple((self.image_type, by_path[p]) for p in product.result.inputs),
                masters=used(product.chosen),
                parameters={
                    "settings": run.settings.model_dump(mode="json"),
                    "masters": explained(product.chosen),
                },
                quality=quality(product.result) | _judged(product.verdict),
            ),
        )
        refused = mark(row, product.verdict, accepted=accepted)
        for path, number in by_path.items():
            exposure = session.get_one(Exposure, number)
            exposure.state, exposure.code, exposure.error = "combined", 0, None
            if refused is not None:
                exposure.code, exposure.error = refused.code, refused.message
            if path in product.left_out:
                exposure.state = "failed"
                exposure.code, exposure.error = product.left_out[path]
        return Outcome(row.id, refused or _problem(product))

    def fail(self, session: Session, run: Run, unit: Unit[Making], error: TorosError) -> None:
        """Record why the frames are in no master."""
        for number in unit.inputs.ids:
            exposure = session.get_one(Exposure, number)
            exposure.state, exposure.code, exposure.error = "failed", error.code, error.message


def _judged(verdict: Verdict | None) -> dict[str, Any]:
    return verdict.quality if verdict else {}


def _problem(made: Made) -> Problem | None:
    doubts = made.result.doubts
    if made.left_out:
        code = next(iter(made.left_out.values()))[0]
        reasons = [f"{path.name} is left out: {why}" for path, (_, why) in made.left_out.items()]
        return Problem(code, " ".join([*reasons, *doubts]))
    problem = missing(made.chosen)
    # A master can be good without; the frames that need what is missing say so at ERROR.
    if problem is not None:
        return Problem(problem.code, " ".join([problem.message, *doubts]), logging.WARNING)
    return Problem(CalibrationError.code, " ".join(doubts), logging.WARNING) if doubts else None


def unreadable(paths: Iterable[Path]) -> dict[Path, str]:
    """Return the files whose pixels cannot be read, and why."""
    found = {}
    for path in paths:
        try:
            read_frame(path, read_exposure(path))
        except UnreadableFile as error:
            found[path] = error.message
    return found


def typical(frames: Sequence[ExposureInfo]) -> ExposureInfo:
    """Return the frame of the median exposure time: for it the masters are chosen."""
    timed = [frame for frame in frames if frame.exptime_s is not None]
    if not timed:
        return frames[0]
    middle = median_low([frame.exptime_s for frame in timed if frame.exptime_s is not None])
    return next(frame for frame in timed if frame.exptime_s == middle)


def quality(result: MasterResult | CalibratedResult | MaskResult) -> dict[str, Any]:
    """Return what was measured on a product, as JSON takes it."""
    measured = {
        item.name: getattr(result, item.name)
        for item in fields(result)
        if item.name not in _NOT_MEASURED
    }
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in measured.items()
        if value is not None
    }
