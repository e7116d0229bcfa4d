"""Records a product in the archive with its whole provenance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from toros import __version__
from toros.archive import queries
from toros.archive.models import Combination, CombinationInput, Exposure, Metric
from toros.preprocessor.run import Run


@dataclass(frozen=True, kw_only=True)
class Product:
    """A file that a step has written, and what it is made of.

    Parameters
    ----------
    sha256 : str, optional
        Of a product that others are made of.
    like : int
        The exposure whose camera set-up is the product's.
    exposures, masters : tuple of (role, id)
        The inputs.
    quality : mapping
        Measured numbers; each that is a number is a metric too.
    """

    path: Path
    kind: str
    sha256: str | None
    like: int
    exposures: tuple[tuple[str, int], ...]
    masters: tuple[tuple[str, int], ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    quality: Mapping[str, Any] = field(default_factory=dict)


def record_product(session: Session, run: Run, product: Product) -> Combination:
    """Record `product`; the row of a file that it replaced is brought up to date."""
    like = session.get_one(Exposure, product.like)
    row = queries.product_at(session, product.path) or Combination(path=str(product.path))
    row.file_batch_id, row.kind, row.sha256 = run.file_batch_id, product.kind, product.sha256
    row.parameters, row.quality = dict(product.parameters), dict(product.quality)
    row.instrument, row.read_out_mode, row.gain = like.instrument, like.read_out_mode, like.gain
    row.filter, row.exptime, row.ccd_temp = like.filter, like.exptime, like.ccd_temp
    row.binning_x, row.binning_y = like.binning_x, like.binning_y
    row.naxis1, row.naxis2, row.date_obs = like.naxis1, like.naxis2, like.date_obs
    row.version, row.created = __version__, run.clock.now()
    row.inputs = [
        *(CombinationInput(role=role, exposure_id=number) for role, number in product.exposures),
        *(
            CombinationInput(role=role, input_combination_id=number)
            for role, number in product.masters
        ),
    ]
    session.add(row)
    session.flush()
    _record_metrics(session, run, row, product.quality)
    return row


def _record_metrics(
    session: Session, run: Run, row: Combination, quality: Mapping[str, Any]
) -> None:
    session.execute(delete(Metric).where(Metric.combination_id == row.id))
    for name, value in quality.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and math.isfinite(value):
            session.add(
                Metric(combination_id=row.id, name=name, value=float(value), time=run.clock.now())
            )
