"""Whether a new master may be used: it is judged against the nearest good one of its kind."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from toros.archive import queries
from toros.archive.models import Combination
from toros.common.config.preprocessor import PreprocessorSettings
from toros.common.errors import MasterRefused, MixedShapes, UnreadableFile
from toros.imaging.headers import ExposureInfo, read_exposure
from toros.imaging.matching import is_bias_subtracted
from toros.preprocessor.run import Problem
from toros.preprocessor.steps.choosing import Offer, Offers, Role, choose_all, options_from

if TYPE_CHECKING:
    from toros.imaging.validation import Change

log = logging.getLogger(__name__)

# Tells a refusal by this module from one by a person, which stands.
_REFUSED = "Refused when it was made: "


@dataclass(frozen=True)
class Verdict:
    """What the comparison of a new master says.

    Parameters
    ----------
    previous : pathlib.Path
        The master that it was compared with.
    reason : str, optional
        Why it must not be used; None where it may.
    """

    previous: Path
    change: Change
    reason: str | None

    @property
    def quality(self) -> dict[str, Any]:
        """What the archive keeps of it; the numbers are metrics."""
        return {
            "compared_with": self.previous.name,
            "changed_fraction": self.change.fraction,
            "median_change": self.change.median,
            "refused": self.reason is not None,
        }


def judge(
    master: Path, role: Role, previous: Iterable[Offer], settings: PreprocessorSettings
) -> Verdict | None:
    """Compare a new master with the nearest of `previous` that matches it.

    The first master of its kind has none, and is taken as it is: None.
    """
    info = read_exposure(master)
    options = replace(options_from(settings), scale_darks=False)
    alike = tuple(offer for offer in previous if _comparable(info, role, offer, settings))
    chosen = choose_all(info, {role: Offers(others=alike)}, options)[0].path
    if chosen is None:
        return None
    from toros.imaging.validation import change_of

    tolerance = (
        settings.validation_tolerance_flat if role == "flat" else settings.validation_tolerance_adu
    )
    try:
        change = change_of(master, chosen, sigma=settings.validation_sigma, tolerance=tolerance)
    except (UnreadableFile, MixedShapes) as error:
        log.warning("%s cannot be compared with %s: %s", master.name, chosen.name, error)
        return None
    if change.fraction <= settings.validation_max_fraction:
        return Verdict(chosen, change, None)
    return Verdict(chosen, change, _reason(master, chosen, change, settings))


def _comparable(
    info: ExposureInfo, role: Role, offer: Offer, settings: PreprocessorSettings
) -> bool:
    try:
        other = read_exposure(offer.path)
    except UnreadableFile:
        return False  # the choice of masters says so
    if role == "dark":
        return is_bias_subtracted(info) == is_bias_subtracted(other)
    if role == "bias" and None not in (info.temperature_c, other.temperature_c):
        apart = abs((info.temperature_c or 0.0) - (other.temperature_c or 0.0))
        return apart <= settings.bias_temperature_tolerance
    return True


def _reason(master: Path, old: Path, change: Change, settings: PreprocessorSettings) -> str:
    return (
        f"{master.name} is not used: {100 * change.fraction:.1f} % of its pixels differ from those "
        f"of {old.name} by over {settings.validation_sigma:g} sigma "
        f"(allowed: {100 * settings.validation_max_fraction:g} %). If it is the camera that has "
        f"changed, accept it and reduce the batch again."
    )


def accepted_before(session: Session, path: Path) -> bool:
    """Return whether a person accepted the master at `path` although it was refused."""
    row = queries.product_at(session, path)
    return row is not None and row.rejected is None and bool(row.quality.get("refused"))


def mark(row: Combination, verdict: Verdict | None, *, accepted: bool) -> Problem | None:
    """Record the verdict on a master, and return the problem that people are told, if any.

    What a person rejected or accepted stays so.
    """
    by_a_person = row.rejected is not None and not row.rejected.startswith(_REFUSED)
    if accepted or by_a_person:
        return None
    if verdict is None or verdict.reason is None:
        row.rejected = None
        return None
    row.rejected = f"{_REFUSED}{verdict.reason}"
    return Problem(MasterRefused.code, verdict.reason)
