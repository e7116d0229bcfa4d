"""Offers the archive's masters to the choice that `toros.imaging.matching` makes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

from sqlalchemy.orm import Session

from toros.archive import queries
from toros.archive.models import Combination, Exposure
from toros.common.config.preprocessor import PreprocessorSettings
from toros.common.errors import (
    CalibrationError,
    NoMasterBias,
    NoMasterDark,
    NoMasterFlat,
    UnreadableFile,
)
from toros.imaging.headers import ExposureInfo, read_exposure
from toros.imaging.matching import (
    Choice,
    is_bias_subtracted,
    match_bias,
    match_dark,
    match_flat,
    match_mask,
    some,
)
from toros.imaging.options import ReductionOptions
from toros.preprocessor.run import Problem, Run

log = logging.getLogger(__name__)

Role = Literal["bias", "dark", "flat", "mask"]
ROLES: tuple[Role, ...] = ("bias", "dark", "flat", "mask")
_KINDS: dict[Role, str] = {
    "bias": "master_bias",
    "dark": "master_dark",
    "flat": "master_flat",
    "mask": "bad_pixel_mask",
}

_MATCH: dict[Role, Callable[[ExposureInfo, Iterable[ExposureInfo], ReductionOptions], Choice]] = {
    "bias": match_bias,
    "dark": match_dark,
    "flat": match_flat,
    "mask": match_mask,
}
_MISSING: dict[Role, type[CalibrationError]] = {
    "bias": NoMasterBias,
    "dark": NoMasterDark,
    "flat": NoMasterFlat,
}


@dataclass(frozen=True)
class Offer:
    """A master in the archive: its file, and the digest of that."""

    id: int
    path: Path
    sha256: str | None = None


@dataclass(frozen=True)
class Offers:
    """The masters of one role: those of the run, and those of other batches."""

    own: tuple[Offer, ...] = ()
    others: tuple[Offer, ...] = ()
    rejected: tuple[str, ...] = ()  # which of the run are not offered, and why


@dataclass(frozen=True)
class Chosen:
    """The master that a frame gets in one role, or None and why."""

    role: Role
    choice: Choice
    offer: Offer | None
    rejected: tuple[str, ...] = ()  # masters that could not be judged, or of the other batches
    in_dark: bool = False  # a bias that is in the dark, and with it is subtracted

    @property
    def path(self) -> Path | None:
        """The master's file."""
        return self.offer.path if self.offer else None

    @property
    def error(self) -> CalibrationError | None:
        """What is to be reported when there is none; a light without a mask lacks nothing."""
        if self.offer is not None or self.in_dark or self.role not in _MISSING:
            return None
        passed_over = f" Not used: {some(self.rejected)}." if self.rejected else ""
        return _MISSING[self.role](self.choice.why + passed_over)


def offers_for(
    session: Session, run: Run, roles: Iterable[Role], frames: Sequence[Exposure]
) -> list[dict[Role, Offers]]:
    """Return, for each of `frames`, the masters that it may choose from in each role."""
    wanted = tuple(roles)
    own = {
        role: _offers(
            queries.masters_of_run(session, _KINDS[role], run.file_batch_id, run.generation)
        )
        for role in wanted
    }
    rejected = {role: _rejected(session, run, role) for role in wanted}
    return [
        {
            role: Offers(own[role], _others(session, run, role, frame), rejected[role])
            for role in wanted
        }
        for frame in frames
    ]


def _rejected(session: Session, run: Run, role: Role) -> tuple[str, ...]:
    found = queries.rejected_of_run(session, _KINDS[role], run.file_batch_id, run.generation)
    return tuple(f"{Path(master.path).name}: rejected: {master.rejected}" for master in found)


def previous_for(session: Session, run: Run, role: Role, like: Exposure) -> tuple[Offer, ...]:
    """Return the masters of other batches that a new one is judged against."""
    return _others(session, run, role, like) if run.settings.validate_masters else ()


def _others(session: Session, run: Run, role: Role, like: Exposure) -> tuple[Offer, ...]:
    if not run.settings.masters_from_other_batches:
        return ()
    age = timedelta(days=run.settings.masters_max_age_days)
    return _offers(queries.masters_of_others(session, _KINDS[role], like, run.file_batch_id, age))


def _offers(masters: Iterable[Combination]) -> tuple[Offer, ...]:
    return tuple(Offer(master.id, Path(master.path), master.sha256) for master in masters)


def choose_all(
    frame: ExposureInfo, offers: Mapping[Role, Offers], options: ReductionOptions
) -> tuple[Chosen, ...]:
    """Choose a master for `frame` in each role that is offered."""
    chosen: list[Chosen] = []
    for role, offered in offers.items():
        # A dark that still holds the bias would subtract it a second time.
        twice = role == "dark" and any(c.role == "bias" and c.offer for c in chosen)
        found = _choose(role, frame, offered, options, bias_subtracted=twice)
        chosen.append(replace(found, rejected=(*offered.rejected, *found.rejected)))
    holds = any(c.role == "dark" and _holds_bias(c.choice.chosen) for c in chosen)
    return tuple(replace(c, in_dark=holds and c.role == "bias") for c in chosen)


def _holds_bias(dark: ExposureInfo | None) -> bool:
    return dark is not None and not is_bias_subtracted(dark)


def _choose(
    role: Role,
    frame: ExposureInfo,
    offers: Offers,
    options: ReductionOptions,
    *,
    bias_subtracted: bool,
) -> Chosen:
    """Choose a master of the frame's own batch, else one of another."""
    own = _choose_from(role, frame, offers.own, options, bias_subtracted)
    if own.offer is not None or not offers.others:
        return own
    other = _choose_from(role, frame, offers.others, options, bias_subtracted)
    better, worse = (other, own) if other.offer or not offers.own else (own, other)
    refused = (reason.rstrip(".") for _candidate, reason in worse.choice.refused)
    return replace(better, rejected=(*better.rejected, *worse.rejected, *refused))


def _choose_from(
    role: Role,
    frame: ExposureInfo,
    offers: Sequence[Offer],
    options: ReductionOptions,
    bias_subtracted: bool,
) -> Chosen:
    by_path: dict[Path, Offer] = {}
    candidates, passed_over = [], []
    for offer in offers:
        try:
            candidate = read_exposure(offer.path)
        except UnreadableFile as error:
            log.warning("A master in the archive cannot be used: %s", error)
            passed_over.append(f"{offer.path.name}: {error.message.rstrip('.')}")
            continue
        if bias_subtracted and not is_bias_subtracted(candidate):
            passed_over.append(f"{offer.path.name}: its bias is not subtracted, the frame's is")
            continue
        candidates.append(candidate)
        by_path[offer.path] = offer
    choice = _MATCH[role](frame, candidates, options)
    chosen = choice.chosen
    taken = by_path[chosen.path] if chosen is not None else None
    return Chosen(role, choice, taken, tuple(passed_over))


def missing(chosen: Iterable[Chosen]) -> Problem | None:
    """Return the problem of a product for which masters were missing, None if none was."""
    errors = [error for found in chosen if (error := found.error) is not None]
    if not errors:
        return None
    return Problem(errors[0].code, " ".join(error.message for error in errors))


def used(chosen: Iterable[Chosen]) -> tuple[tuple[str, int], ...]:
    """Return role and id of each master that was taken."""
    return tuple((found.role, found.offer.id) for found in chosen if found.offer is not None)


def explained(chosen: Iterable[Chosen]) -> dict[str, dict[str, object]]:
    """Return, for the archive, which master was taken, and why that one and not others.

    The digest says what it was: its file may be made anew, with other settings, for another batch.
    """
    return {
        found.role: {
            "master": found.path.name if found.path else None,
            "sha256": found.offer.sha256 if found.offer else None,
            "why": found.choice.why,
            "notes": [*found.choice.notes, *(["The dark holds it."] if found.in_dark else [])],
            "dark_scale": found.choice.dark_scale if found.role == "dark" else None,
            "refused": [
                *(reason for _candidate, reason in found.choice.refused),
                *found.rejected,
            ],
        }
        for found in chosen
    }


def options_from(settings: PreprocessorSettings, instrument: str | None = None) -> ReductionOptions:
    """Return the choices of the configuration for a camera as `toros.imaging` takes them."""
    linearity = next((one for one in settings.linearity if one.instrument == instrument), None)
    return ReductionOptions(
        combine=settings.combine,
        sigma_low=settings.sigma_clip_low,
        sigma_high=settings.sigma_clip_high,
        min_frames_to_clip=settings.min_frames_to_clip,
        exptime_tolerance_s=settings.exptime_tolerance_s,
        dark_temperature_tolerance_c=settings.temperature_tolerance,
        scale_darks=settings.scale_darks,
        max_dark_scale=settings.max_dark_scale,
        memory_limit_bytes=settings.memory_limit_mb * 1024**2,
        gain_e_adu=settings.gain,
        read_noise_e=settings.read_noise,
        overscan=settings.overscan,
        overscan_degree=settings.overscan_degree,
        linearity=linearity.coefficients if linearity else (),
        leave_out_odd_frames=settings.leave_out_odd_frames,
        mask_bleeding=settings.mask_bleeding,
        read_out_axis=settings.read_out_axis,
        cosmic_rays=settings.cosmic_rays,
        cosmic_ray_sigma=settings.cosmic_ray_sigma,
        cosmic_ray_contrast=settings.cosmic_ray_contrast,
        compression=settings.compression,
        quantise_level=settings.quantise_level,
    )


def fringe_for(settings: PreprocessorSettings, frame: ExposureInfo) -> Path | None:
    """Return the fringe frame that is configured for a frame's camera and filter."""
    wanted = (frame.instrument, frame.filter)
    found = (one.path for one in settings.fringe_frames if (one.instrument, one.filter) == wanted)
    return next(found, None)
