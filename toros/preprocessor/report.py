"""What became of a file batch, as people and scripts read it (CONTRACT §1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from toros.archive import queries
from toros.archive.models import Combination, Exposure, FileBatch, StepRun
from toros.common.clock import iso
from toros.preprocessor.places import unpack_texts

Document = dict[str, Any]


def report(session: Session, batch: FileBatch) -> Document:
    """Return the document of ``toros calibrate``: exposures, products, problems."""
    exposures = queries.exposures(session, batch.id)
    products = queries.products(session, batch)
    used = _used_by_exposure(session, products)
    return {
        "exposures": [_exposure(row, used.get(row.id, _Used())) for row in exposures],
        "products": [_product(session, row) for row in products],
        "problems": problems(session, batch),
    }


@dataclass(frozen=True)
class _Used:
    """What a light was calibrated with: the path of each master by its role, and why."""

    masters: Mapping[str, str] = field(default_factory=dict)
    why: Mapping[str, Any] = field(default_factory=dict)


def _used_by_exposure(session: Session, products: Sequence[Combination]) -> dict[int, _Used]:
    found: dict[int, _Used] = {}
    for product in products:
        if product.kind == "calibrated":
            masters = {
                role: master.path for role, master in queries.input_products(session, product.id)
            }
            used = _Used(masters, product.parameters.get("masters", {}))
            for _role, exposure in queries.input_exposures(session, product.id):
                found[exposure.id] = used
    return found


def _exposure(row: Exposure, used: _Used) -> Document:
    document: Document = {
        "path": row.path,
        "image_type": row.image_type,
        "exptime": row.exptime,
        "filter": row.filter,
        "object": row.object,
        "state": row.state,
        "code": row.code,
        "error": row.error,
        "masters": {},
    }
    if row.image_type == "light":
        document["masters"] = {role: used.masters.get(role) for role in ("bias", "dark", "flat")}
        document["bad_pixel_mask"] = used.masters.get("mask")
        # For each role: the master, why it, what is odd about it, and why not the others.
        document["choice"] = dict(used.why)
    return document


def _product(session: Session, row: Combination) -> Document:
    exposures = queries.input_exposures(session, row.id)
    inputs = [exposure.path for _role, exposure in exposures]
    inputs += [product.path for _role, product in queries.input_products(session, row.id)]
    objects = {exposure.object for role, exposure in exposures if role == "light"}
    return {
        "path": row.path,
        "kind": row.kind,
        "object": objects.pop() if len(objects) == 1 else None,
        "filter": row.filter,
        "exptime": row.exptime,
        "inputs": inputs,
        "quality": row.quality,
    }


def problems(session: Session, batch: FileBatch) -> list[Document]:
    """Return what went wrong or was missing, once for each cause, with what it befell."""
    causes: dict[tuple[str, int, str], list[StepRun]] = {}
    for unit in queries.problem_units(session, batch):
        causes.setdefault((unit.step, unit.code, unit.message), []).append(unit)
    return [
        {
            "step": step,
            "code": code,
            "message": message,
            "failed": any(unit.state == "failed" for unit in units),
            "units": [unit.key for unit in units],
        }
        for (step, code, message), units in causes.items()
    ]


def status(session: Session, batch: FileBatch) -> Document:
    """Return the state of a file batch with counts for each step."""
    states: dict[str, int] = {}
    for exposure in queries.exposures(session, batch.id):
        states[exposure.state] = states.get(exposure.state, 0) + 1
    return {
        **summary(batch),
        "counts": queries.step_counts(session, batch),
        "exposures": states,
        "products": [product.path for product in queries.products(session, batch)],
        "problems": problems(session, batch),
    }


def summary(batch: FileBatch) -> Document:
    """Return a file batch as a list shows it."""
    return {
        "file_batch": batch.id,
        "name": batch.name,
        "url": _one_or_all(batch.url),
        "state": batch.state,
        "code": batch.code,
        "message": batch.message,
        "generation": batch.generation,
        "folder": _one_or_all(batch.folder),
        "products_folder": batch.products,
        "created": iso(batch.created),
        "finished": iso(batch.finished) if batch.finished else None,
    }


def _one_or_all(packed: str) -> str | list[str]:
    texts = unpack_texts(packed)
    return texts[0] if len(texts) == 1 else list(texts)
