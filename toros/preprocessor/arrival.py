"""Before the first step: what each source of a file batch holds, and where its files will be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from toros.common.errors import (
    CalibrationError,
    NoFilesFound,
    SourceGone,
    SourceNotAllowed,
    TorosError,
    TransferIncomplete,
    WrongChecksum,
)
from toros.imaging.headers import read_exposure
from toros.preprocessor.checksums import split_digest
from toros.preprocessor.engine import said
from toros.preprocessor.gathering import Gatherer
from toros.preprocessor.places import Incoming, Place, own_name
from toros.preprocessor.run import Run
from toros.preprocessor.sources import frames_in, is_archive, is_web, require_frame

log = logging.getLogger(__name__)

# How many frames are looked at for the date of the night, where they must be fetched for it.
_FETCHED_FOR_DATE = 5
# Where a batch goes: given the night of its first frame, the folder of each source, the products'.
Settle = Callable[[datetime | None], tuple[Sequence[Path], Path]]


def arrive(run: Run, gatherer: Gatherer, *, known: bool, anew: bool) -> Run:
    """Return `run` with what each of its places will bring.

    A source that cannot be had is recorded as a problem of the batch, and the others go on.

    Parameters
    ----------
    gatherer : Gatherer
        Looks into the sources.
    known : bool
        Whether all that the sources held has been brought here before.
    anew : bool
        Whether the batch is reduced again from its raw files, rather than taken up.

    Raises
    ------
    CalibrationError
        When no source can be had and none of its frames is here.
    """
    places, errors = [], []
    for place in run.places:
        run.raise_if_cancelled()
        try:
            incoming = _incoming(place, run, gatherer, known=known, anew=anew)
        except CalibrationError as error:
            log.warning("%s", error)
            errors.append(error)
            incoming = (Incoming(name=own_name(place.source), error=error),)
        except OSError as error:
            gatherer.clean(())  # what fills the disk helps nobody
            raise said(place.source, error) from error
        places.append(replace(place, incoming=incoming))
    if errors and not any(_holds(place) for place in places):
        raise errors[0]
    return replace(run, places=tuple(places))


def _incoming(
    place: Place, run: Run, gatherer: Gatherer, *, known: bool, anew: bool
) -> tuple[Incoming, ...]:
    if place.in_place:
        require_frame(place.folder, leave_out=run.products if run.products.name else None)
        return ()
    fixed = is_archive(split_digest(place.source).address)
    if known and (fixed or (anew and is_web(place.source))):
        return ()  # its frames are here; an archive file has no others later
    return gatherer.gather(place.source)


def _holds(place: Place) -> bool:
    """Return whether a place has a frame, or may get one."""
    if any(one.error is None for one in place.incoming):
        return True
    try:
        return bool(place.folder.name and frames_in(place.folder))
    except NoFilesFound:
        return False


def in_place(places: Sequence[Place], reads: Callable[[str], bool]) -> tuple[Place, ...]:
    """Return the places of a new batch: those whose source is read where it is have a folder."""
    return tuple(
        replace(place, folder=Path(place.source)) if reads(place.source) else place
        for place in places
    )


def settle(run: Run, gatherer: Gatherer, where: Settle) -> Run:
    """Return `run` with its folders, which the night of its first frame decides.

    Raises
    ------
    TransferIncomplete
        When the first frames must be fetched, and the server does not answer.
    """
    moment, places = first_dated(run.places, gatherer)
    folders, products = where(moment)
    placed = [replace(p, folder=f) for p, f in zip(places, folders, strict=True)]
    return replace(run, places=tuple(placed), products=products)


def first_dated(
    places: Sequence[Place], gatherer: Gatherer
) -> tuple[datetime | None, tuple[Place, ...]]:
    """Return when the first frame with a date was taken, and the places.

    A frame that was fetched to know it waits in the staging folder, and is not fetched again.
    """
    found = list(places)
    fetched, broken = 0, None
    for index, place in enumerate(places):
        for number, one in enumerate(_candidates(place)):
            if one.path is None:
                fetched += 1
                if fetched > _FETCHED_FOR_DATE:
                    break
                try:
                    one = _fetched(one, gatherer, f"{index}-{number}")  # noqa: PLW2901
                except (SourceGone, SourceNotAllowed, TransferIncomplete, WrongChecksum) as error:
                    broken = error if isinstance(error, TransferIncomplete) else broken
                    continue  # the step that copies records it
                rest = [one if o.name == one.name else o for o in found[index].incoming]
                found[index] = replace(found[index], incoming=tuple(rest))
            moment = date_of(one.path)
            if moment is not None:
                return moment, tuple(found)
    if broken is not None:
        raise broken
    return None, tuple(found)


def _candidates(place: Place) -> Iterator[Incoming]:
    if place.in_place:
        yield from (Incoming(name=path.name, path=path) for path in frames_in(place.folder))
    yield from (one for one in place.incoming if one.error is None)


def _fetched(one: Incoming, gatherer: Gatherer, label: str) -> Incoming:
    if one.url is None:
        return one
    target = gatherer.staging / "first" / label / Path(one.name).name
    if not target.exists():
        gatherer.web.fetch(one.url, target, one.sha256)
    return replace(one, url=None, path=target, staged=True)


def date_of(path: Path | None) -> datetime | None:
    """Return when a frame was exposed, None where nobody can tell."""
    try:
        return read_exposure(path).date_obs if path is not None else None
    except TorosError:
        return None  # the ingest step records what is wrong with it
