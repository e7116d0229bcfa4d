"""Finds the bad pixels of each camera in its masters."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from toros.archive import queries
from toros.archive.models import Combination
from toros.common.errors import CalibrationError, TorosError, UnreadableFile
from toros.imaging.bad_pixels import BadPixelLimits
from toros.imaging.headers import read_exposure, sha256_of
from toros.preprocessor.grouping import digest, master_name
from toros.preprocessor.run import Outcome, Problem, Run, Unit
from toros.preprocessor.steps.choosing import options_from
from toros.preprocessor.steps.master import quality
from toros.preprocessor.steps.products import Product, record_product

if TYPE_CHECKING:
    from toros.imaging.defects import MaskResult
    from toros.imaging.flat_extremes import FlatFrames


@dataclass(frozen=True)
class Finding:
    """The inputs of one bad-pixel mask."""

    target: Path
    dark: Path | None
    flats: tuple[Path, ...]
    frames: tuple[FlatFrames, ...]  # of each flat
    masters: tuple[tuple[str, int], ...]  # role and id
    like: int  # an exposure of the camera set-up
    instrument: str | None


@dataclass(frozen=True)
class Found:
    """A mask that was made."""

    result: MaskResult
    sha256: str


class BadPixels:
    """One unit for each camera set-up that has a master dark or flat."""

    name = "bad_pixel_mask"
    makes_products = True

    def units(self, session: Session, run: Run) -> Sequence[Unit[Finding]]:
        """Return one unit for each camera set-up."""
        if not run.settings.bad_pixel_masks:
            return []
        groups: dict[Hashable, list[Combination]] = {}
        for kind in ("master_dark", "master_flat"):
            for master in queries.masters_of_run(session, kind, run.file_batch_id, run.generation):
                groups.setdefault(_setup(master), []).append(master)
        return [_unit(session, run, masters) for masters in groups.values()]

    def work(self, run: Run, unit: Unit[Finding]) -> Found:
        """Find them and write the mask."""
        from toros.imaging.defects import make_bad_pixel_mask

        inputs = unit.inputs
        limits = BadPixelLimits(
            hot_e_s=run.settings.hot_pixel_rate, dead_response=run.settings.dead_pixel_response
        )
        result = make_bad_pixel_mask(
            inputs.target,
            dark=inputs.dark,
            flats=inputs.flats,
            frames=inputs.frames,
            limits=limits,
            options=options_from(run.settings, inputs.instrument),
        )
        return Found(result, sha256_of(inputs.target))

    def record(self, session: Session, run: Run, unit: Unit[Finding], product: Found) -> Outcome:
        """Record the mask and the masters that it comes from."""
        row = record_product(
            session,
            run,
            Product(
                path=unit.inputs.target,
                kind=self.name,
                sha256=product.sha256,
                like=unit.inputs.like,
                exposures=(),
                masters=unit.inputs.masters,
                parameters={"settings": run.settings.model_dump(mode="json")},
                quality=quality(product.result),
            ),
        )
        doubts = " ".join(product.result.doubts)
        if not doubts:
            return Outcome(row.id)
        return Outcome(row.id, Problem(CalibrationError.code, doubts, logging.WARNING))

    def fail(self, session: Session, run: Run, unit: Unit[Finding], error: TorosError) -> None:
        """Leave it at the record of the unit: the lights are calibrated without a mask."""


def _setup(master: Combination) -> Hashable:
    return (
        master.instrument,
        (master.naxis1, master.naxis2),
        (master.binning_x, master.binning_y),
        master.gain,
        *_of_file(master),
        master.read_out_mode,
    )


def _of_file(master: Combination) -> tuple[Hashable, ...]:
    """Return what a master's file tells of its camera and the archive has no columns for."""
    try:
        info = read_exposure(Path(master.path))
    except UnreadableFile:
        return ()  # whoever reads its pixels says so
    return (info.gain_setting, info.window, info.serial)


def _unit(session: Session, run: Run, masters: Sequence[Combination]) -> Unit[Finding]:
    darks = [master for master in masters if master.kind == "master_dark"]
    flats = [master for master in masters if master.kind == "master_flat"]
    # The longest exposure shows the hot pixels best; of several, the warmest.
    darks.sort(key=lambda dark: (dark.exptime or 0.0, dark.ccd_temp or -300.0, dark.path))
    used = [*darks[-1:], *flats]
    name = master_name("bad_pixel_mask", "", digest(sorted(Path(one.path).name for one in used)))
    _role, like = queries.input_exposures(session, used[0].id)[0]
    finding = Finding(
        target=run.products / name,
        dark=Path(darks[-1].path) if darks else None,
        flats=tuple(Path(flat.path) for flat in flats),
        frames=tuple(_frames(session, flat) for flat in flats),
        masters=tuple((one.kind.removeprefix("master_"), one.id) for one in used),
        like=like.id,
        instrument=used[0].instrument,
    )
    return Unit(name, finding)


def _frames(session: Session, flat: Combination) -> FlatFrames:
    from toros.imaging.flat_extremes import FlatFrames

    masters = {role: Path(one.path) for role, one in queries.input_products(session, flat.id)}
    return FlatFrames(
        master=Path(flat.path),
        frames=tuple(Path(one.path) for _role, one in queries.input_exposures(session, flat.id)),
        bias=masters.get("bias"),
        dark=masters.get("dark"),
    )
