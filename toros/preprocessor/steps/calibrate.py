"""Calibrates the lights."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from toros.archive import queries
from toros.archive.models import Exposure
from toros.common.errors import TorosError, UnusableFrame
from toros.imaging.headers import read_exposure
from toros.imaging.pool import cores
from toros.preprocessor.grouping import digest, slug
from toros.preprocessor.run import Outcome, Problem, Run, Unit
from toros.preprocessor.sources import stem
from toros.preprocessor.steps.choosing import (
    ROLES,
    Chosen,
    Offers,
    Role,
    choose_all,
    explained,
    fringe_for,
    missing,
    offers_for,
    options_from,
    used,
)
from toros.preprocessor.steps.master import quality
from toros.preprocessor.steps.products import Product, record_product

if TYPE_CHECKING:
    from toros.imaging.light_result import CalibratedResult

# A file name has at most 255 bytes, and a digest may follow.
_LONGEST, _CUT = 200, 180


@dataclass(frozen=True)
class Calibrating:
    """The inputs of one calibrated image."""

    id: int
    path: Path
    target: Path
    offers: dict[Role, Offers]
    alone: bool  # in one thread: there are others for the other cores


@dataclass(frozen=True)
class Calibrated:
    """A light that was calibrated."""

    result: CalibratedResult
    chosen: tuple[Chosen, ...]


class Calibrate:
    """One unit a light: bias, dark and flat applied, as far as there are masters."""

    name = "calibrate"
    makes_products = True

    def units(self, session: Session, run: Run) -> Sequence[Unit[Calibrating]]:
        """Return one unit for each light."""
        lights = queries.exposures(session, run.file_batch_id, image_type="light", usable=True)
        keys = [run.key(Path(light.path)) for light in lights]
        names = _not_of_others(session, run, lights, product_names([Path(key) for key in keys]))
        offers = offers_for(session, run, ROLES, lights)
        alone = min(run.threads, len(lights)) >= cores()
        return [
            Unit(
                key,
                Calibrating(
                    id=light.id,
                    path=Path(light.path),
                    target=run.products / name,
                    offers=offered,
                    alone=alone,
                ),
            )
            for light, key, name, offered in zip(lights, keys, names, offers, strict=True)
        ]

    def work(self, run: Run, unit: Unit[Calibrating]) -> Calibrated:
        """Choose the masters and calibrate the light with those that there are."""
        from toros.imaging.calibrate import calibrate_light

        inputs = unit.inputs
        info = read_exposure(inputs.path)
        options = options_from(run.settings, info.instrument)
        chosen = choose_all(info, inputs.offers, options)
        errors = [found.error for found in chosen if found.error is not None]
        if errors and run.settings.missing_masters == "fail":
            raise errors[0]
        masters = {found.role: found.path for found in chosen}
        result = calibrate_light(
            inputs.path,
            inputs.target,
            bias=masters["bias"],
            dark=masters["dark"],
            flat=masters["flat"],
            bad_pixels=masters["mask"],
            fringe=fringe_for(run.settings, info),
            options=options,
            missing={found.role: found.error.message for found in chosen if found.error},
            alone=inputs.alone,
        )
        if run.settings.previews:
            from toros.imaging.preview import write_preview

            write_preview(inputs.target, inputs.target.with_suffix(".png"))
        return Calibrated(result, chosen)

    def record(
        self, session: Session, run: Run, unit: Unit[Calibrating], product: Calibrated
    ) -> Outcome:
        """Record the calibrated image; what it lacks is a problem, though it is done."""
        inputs = unit.inputs
        row = record_product(
            session,
            run,
            Product(
                path=inputs.target,
                kind="calibrated",
                # Its DATASUMs are known and in `quality`: a digest would take as long as all else.
                sha256=None,
                like=inputs.id,
                exposures=(("light", inputs.id),),
                masters=used(product.chosen),
                parameters={
                    "settings": run.settings.model_dump(mode="json"),
                    "masters": explained(product.chosen),
                },
                quality=quality(product.result) | {"status": product.result.status[0]},
            ),
        )
        problem = _problem(product)
        exposure = session.get_one(Exposure, inputs.id)
        exposure.state = "calibrated"
        exposure.code, exposure.error = (problem.code, problem.message) if problem else (0, None)
        return Outcome(row.id, problem)

    def fail(self, session: Session, run: Run, unit: Unit[Calibrating], error: TorosError) -> None:
        """Record why the light is not calibrated."""
        exposure = session.get_one(Exposure, unit.inputs.id)
        exposure.state, exposure.code, exposure.error = "failed", error.code, error.message


def _not_of_others(
    session: Session, run: Run, lights: Sequence[Exposure], names: Sequence[str]
) -> list[str]:
    """Return the names, made others where a batch of other frames has its products in this folder.

    `toros calibrate` may be told to put the products of several folders into one.
    """
    theirs = queries.calibrated_beside(session, run.file_batch_id, run.products)
    free = []
    for light, name in zip(lights, names, strict=True):
        owner = theirs.get(str(run.products / name))
        same = owner is None or owner.id == light.id or owner.sha256 == light.sha256
        free.append(name if same else _with_digest(name, light.sha256 or light.path))
    return free


def _problem(made: Calibrated) -> Problem | None:
    """Return what people are told of a light: what is odd about it, and what it lacks."""
    lacking, doubts = missing(made.chosen), made.result.doubts
    if not doubts:
        return lacking
    messages = [doubt.message for doubt in doubts] + ([lacking.message] if lacking else [])
    serious = lacking is not None or any(doubt.grave for doubt in doubts)
    level = logging.ERROR if serious else logging.WARNING
    return Problem(UnusableFrame.code, " ".join(messages), level)


def product_names(lights: Sequence[Path]) -> list[str]:
    """Return the file name of each light's product: by its own name, unless two share it.

    Parameters
    ----------
    lights : sequence of pathlib.Path
        Relative to the folder of the batch.
    """
    plain = [stem(path) for path in lights]
    shared = _repeated(plain)
    names = []
    for path, name in zip(lights, plain, strict=True):
        folders = [slug(part) for part in path.parent.parts] if name in shared else []
        names.append("_".join(["calib", *folders, slug(name)]) + ".fits")
    repeated = _repeated(names)
    # The same name with two FITS suffixes in one folder.
    names = [
        f"{name.removesuffix('.fits')}_{slug(path.suffix)}.fits" if name in repeated else name
        for path, name in zip(lights, names, strict=True)
    ]
    # What is left differs in what our names do not show: "x y" and "x-y", a/b_c and a_b/c.
    repeated |= _repeated(names)
    return [
        _with_digest(name, path.as_posix()) if name in repeated or len(name) > _LONGEST else name
        for path, name in zip(lights, names, strict=True)
    ]


def _repeated(names: Sequence[str]) -> set[str]:
    return {name for name, count in Counter(names).items() if count > 1}


def _with_digest(name: str, of: str) -> str:
    """Return a product's name with eight digits that belong to `of`; a long name is cut."""
    return f"{name.removesuffix('.fits')[:_CUT]}_{digest([of])}.fits"
