"""What the night report shows: taken from the archive, ready for the template."""

from __future__ import annotations

import base64
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy.orm import Session

import toros
from toros.archive import queries
from toros.archive.models import Combination, Exposure, FileBatch
from toros.common.errors import CalibrationError, status_codes
from toros.imaging.pool import mapped
from toros.imaging.thumbnail import thumbnail
from toros.preprocessor.places import Place, name_within, places_of, unpack_texts
from toros.preprocessor.report import problems

_LIBRARIES = ("numpy", "astropy", "ccdproc", "numba")
_MASTERS = ("master_bias", "master_dark", "master_flat", "bad_pixel_mask")
# What was measured on a master: the words for it, how it is written, and whether in ADU.
_MEASURED = (
    ("median", "Median", "{:.5g}", True),
    ("noise", "Scatter", "{:.3g}", True),
    ("read_noise_adu", "Read noise", "{:.3g}", True),
    ("measured_gain_e_adu", "Gain, measured", "{:.4g} e⁻/ADU", False),
    ("masked", "Masked pixels", "{:,}", False),
    ("hot", "Hot", "{:,}", False),
    ("dead", "Dead", "{:,}", False),
    ("nonlinear", "Non-linear", "{:,}", False),
    ("noisy", "Noisy", "{:,}", False),
    ("column", "In bad columns", "{:,}", False),
)
_ORDER = ("light", "flat", "dark", "bias")
_DIMENSIONLESS = ("master_flat",)

# What steps do, where their names do not tell it.
_STEPS = {
    "copy": "bringing the frames here",
    "ingest": "reading the frames",
    "vet": "looking for copies",
}


@dataclass(frozen=True)
class Trouble:
    """Problems of one kind in one step: what each says, and what it befell."""

    step: str
    code: int
    meaning: str
    failed: bool
    messages: list[tuple[str, list[str]]]


@dataclass(frozen=True)
class Tally:
    """What went in and what became of it, for one type of frame."""

    kind: str
    given: int = 0
    used: int = 0
    left_out: int = 0
    failed: int = 0


@dataclass(frozen=True)
class MasterCard:
    """A master, its picture and what was measured on it."""

    name: str
    kind: str
    what_for: str
    refused: str | None
    frames: int
    taken: datetime | None
    measured: list[tuple[str, str]]
    notes: list[str]
    picture: str | None  # a data: URI


@dataclass(frozen=True)
class Choice:
    """The master that a frame got in one role, and why not the others."""

    role: str
    master: str | None
    why: str
    notes: list[str]
    refused: list[str]


@dataclass(frozen=True)
class FrameRow:
    """A frame and what became of it."""

    name: str
    kind: str
    object: str | None
    filter: str | None
    exptime: float | None
    taken: datetime | None
    state: str
    code: int
    meaning: str
    error: str | None
    product: str | None
    preview: str | None  # a relative reference
    sky: float | None
    sky_noise: float | None
    unit: str
    fwhm: float | None
    choices: list[Choice] = field(default_factory=list)


@dataclass(frozen=True)
class Page:
    """All that the night report says."""

    batch: str
    generation: int
    source: str
    products: str
    began: datetime | None
    ended: datetime | None
    first: datetime | None
    last: datetime | None
    instruments: list[str]
    troubles: list[Trouble]
    tallies: list[Tally]
    made: list[tuple[str, int]]
    bytes_in: int
    bytes_out: int
    masters: list[MasterCard]
    frames: list[FrameRow]
    versions: list[tuple[str, str]]


def page_of(session: Session, batch: FileBatch) -> Page:
    """Return what the report of a file batch shows."""
    exposures = queries.exposures(session, batch.id)
    products = queries.products(session, batch)
    units = queries.step_runs(session, batch)
    became = _became(session, products)
    masters = [row for row in products if row.kind in _MASTERS]
    pictures = mapped(_picture, [Path(row.path) for row in masters])
    places = places_of(unpack_texts(batch.url), unpack_texts(batch.folder))
    lights = [row.date_obs for row in exposures if row.date_obs is not None]
    meanings = status_codes()
    ended = [unit.finished for unit in units if unit.finished is not None]
    return Page(
        batch=batch.name,
        generation=batch.generation,
        source=", ".join(place.source for place in places),
        products=batch.products,
        began=min((unit.started for unit in units), default=None),
        ended=max(ended, default=None),
        first=min(lights, default=None),
        last=max(lights, default=None),
        instruments=sorted({row.instrument for row in exposures if row.instrument}),
        troubles=_troubles(session, batch, meanings),
        tallies=_tallies(exposures),
        made=_made(products),
        bytes_in=sum(row.size_bytes or 0 for row in exposures),
        bytes_out=sum(_size(Path(row.path)) for row in products),
        masters=[
            _master(session, row, picture) for row, picture in zip(masters, pictures, strict=True)
        ],
        frames=[
            _frame(row, became.get(row.id), places, meanings)
            for row in sorted(exposures, key=_by_type)
        ],
        versions=_versions(),
    )


def _troubles(session: Session, batch: FileBatch, meanings: Mapping[int, str]) -> list[Trouble]:
    groups: dict[tuple[str, int, bool], list[tuple[str, list[str]]]] = {}
    for problem in problems(session, batch):
        kind = (problem["step"], problem["code"], problem["failed"])
        groups.setdefault(kind, []).append((problem["message"], problem["units"]))
    found = [
        Trouble(
            _STEPS.get(step, step.replace("_", " ")), code, meanings.get(code, ""), failed, messages
        )
        for (step, code, failed), messages in groups.items()
    ]
    # What cost a product comes first; among equals, in the order of the steps.
    return sorted(found, key=lambda trouble: not trouble.failed)


def _became(session: Session, products: Iterable[Combination]) -> dict[int, Combination]:
    """Return, by the id of an exposure, the product that it went into."""
    found: dict[int, Combination] = {}
    for product in products:
        for _role, exposure in queries.input_exposures(session, product.id):
            found[exposure.id] = product
    return found


def _by_type(row: Exposure) -> tuple[int, str, str]:
    """Lights first: they are what the night was for."""
    kind = row.image_type or "unknown"
    place = _ORDER.index(kind) if kind in _ORDER else len(_ORDER)
    return place, row.date_obs.isoformat() if row.date_obs else "", row.path


def _tallies(exposures: Iterable[Exposure]) -> list[Tally]:
    counts: dict[str, dict[str, int]] = {}
    for row in exposures:
        states = counts.setdefault(row.image_type or "unknown", {})
        states[row.state] = states.get(row.state, 0) + 1
    return [
        Tally(
            kind=kind,
            given=sum(states.values()),
            used=states.get("combined", 0) + states.get("calibrated", 0),
            left_out=states.get("left_out", 0),
            failed=states.get("failed", 0),
        )
        for kind, states in sorted(counts.items())
    ]


def _made(products: Iterable[Combination]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for row in products:
        counts[row.kind] = counts.get(row.kind, 0) + 1
    words = {"calibrated": "calibrated light"}
    return [(words.get(kind, kind.replace("_", " ")), count) for kind, count in counts.items()]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # taken away since


def _master(session: Session, row: Combination, picture: str | None) -> MasterCard:
    inputs = queries.input_exposures(session, row.id) or queries.input_products(session, row.id)
    purpose = [row.filter or ""] if row.kind in ("master_flat", "master_dark") else []
    if row.kind == "master_dark" and row.exptime is not None:
        purpose.append(f"{row.exptime:g} s")
    if row.ccd_temp is not None:
        purpose.append(f"{row.ccd_temp:.1f} °C")
    return MasterCard(
        name=Path(row.path).name,
        kind=row.kind.replace("_", " ").capitalize(),
        what_for=", ".join(part for part in purpose if part),
        refused=row.rejected,
        frames=len(inputs),
        taken=row.date_obs,
        measured=_measured(row),
        notes=list(row.quality.get("notes", ())),
        picture=picture,
    )


def _measured(row: Combination) -> list[tuple[str, str]]:
    found = []
    for name, label, style, in_adu in _MEASURED:
        value = row.quality.get(name)
        if isinstance(value, int | float):
            unit = " ADU" if in_adu and row.kind not in _DIMENSIONLESS else ""
            found.append((label, style.format(value) + unit))
    return found


def _picture(path: Path) -> str | None:
    try:
        content = thumbnail(path)
    except CalibrationError:
        return None  # the page says that there is none
    return "data:image/jpeg;base64," + base64.b64encode(content).decode("ascii")


def _frame(
    row: Exposure,
    product: Combination | None,
    places: Sequence[Place],
    meanings: Mapping[int, str],
) -> FrameRow:
    measured: Mapping[str, Any] = product.quality if product else {}
    return FrameRow(
        name=name_within(places, Path(row.path)),
        kind=row.image_type or "unknown",
        object=row.object,
        filter=row.filter,
        exptime=row.exptime,
        taken=row.date_obs,
        state=row.state.replace("_", " "),
        code=row.code,
        meaning=meanings.get(row.code, "") if row.code else "",
        error=row.error,
        product=Path(product.path).name if product else None,
        preview=_preview(Path(product.path)) if product else None,
        sky=measured.get("sky_level"),
        sky_noise=measured.get("sky_noise"),
        unit="e⁻" if measured.get("unit") == "electron" else "ADU",
        fwhm=measured.get("fwhm"),
        # Those of a master are not the frame's own.
        choices=_choices(product.parameters.get("masters", {}))
        if product is not None and product.kind == "calibrated"
        else [],
    )


def _preview(product: Path) -> str | None:
    picture = product.with_suffix(".png")
    # "./" in front: no name of a file is taken for a scheme.
    return f"./{quote(picture.name)}" if picture.is_file() else None


def _choices(explained: Mapping[str, Any]) -> list[Choice]:
    return [
        Choice(
            role=role,
            master=choice.get("master"),
            why=choice.get("why", ""),
            notes=list(choice.get("notes", ())),
            refused=list(choice.get("refused", ())),
        )
        for role, choice in explained.items()
    ]


def _versions() -> list[tuple[str, str]]:
    found: Sequence[tuple[str, str]] = [
        ("toros", toros.__version__),
        ("Python", platform.python_version()),
    ]
    return [*found, *((name, _version(name)) for name in _LIBRARIES)]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
