"""What VizieR answers: a VOTable, whole or not, or that it could not."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from typing import Any
from xml.parsers.expat import ExpatError

import numpy as np
import numpy.typing as npt

log = logging.getLogger(__name__)


def table_of(content: bytes) -> Any:
    """Return the table of an answer.

    astroquery's own reading takes VizieR's "no connection" and an answer cut at a limit for tables
    without rows, or with all of them.

    Raises
    ------
    ValueError
        If it is no VOTable, says of itself that it failed or is not whole, or has no row.
    """
    import warnings

    from astropy.io import votable

    if not content.lstrip().startswith(b"<?xml"):
        raise ValueError(f"the answer is no VOTable but begins with {content[:40]!r}")
    with warnings.catch_warnings():
        # VizieR writes names and units that are not those of the standard.
        warnings.simplefilter("ignore")
        try:
            tree = votable.parse(io.BytesIO(content), verify="ignore")
        except (ValueError, SyntaxError, LookupError, OSError, ExpatError) as error:
            raise ValueError(f"the answer is no whole VOTable: {error}") from error
        _require_whole(tree)
        for table in tree.iter_tables():
            if len(table.array):
                return table.to_table(use_names_over_ids=True)
    raise ValueError("the answer has no row")


def _require_whole(tree: Any) -> None:
    notes = [*tree.infos]
    for resource in tree.resources:
        notes += resource.infos
        for table in resource.tables:
            notes += table.infos
    errors = [note.value.strip() for note in notes if note.name == "Error" and note.value.strip()]
    states = [note for note in notes if note.name == "QUERY_STATUS" and note.value != "OK"]
    if errors or states:
        said = errors[0] if errors else " ".join((states[0].content or states[0].value).split())
        raise ValueError(f"it says: {said}")


def column_of(table: Any, name: str, *, needed: bool) -> npt.NDArray[Any]:
    """Return a column without a mask: text that is empty, or numbers that are NaN.

    One that is not there and not `needed` is all NaN.

    Raises
    ------
    ValueError
        If it is needed and not there.
    """
    spelt = _spelt(name, table.colnames)
    if spelt is None and needed:
        raise ValueError(f"the answer has no column {name}; it has {', '.join(table.colnames)}")
    if spelt is None:
        log.warning("VizieR's answer has no column %s.", name)
        return np.full(len(table), np.nan)
    column = table[spelt]
    if column.dtype.kind in "SUO":
        return np.asarray(np.ma.filled(column, ""))
    return np.asarray(np.ma.filled(np.ma.asarray(column).astype(np.float64), np.nan))


def _spelt(name: str, present: Sequence[str]) -> str | None:
    """Return how a column is called: what is no identifier is changed on some ways."""
    plain = "".join(letter if letter.isalnum() else "_" for letter in name)
    # VizieR's FITS says M_star for M*.
    spellings = (name, plain, f"_{plain}", name.replace("*", "_star"))
    return next((spelt for spelt in spellings if spelt in present), None)
