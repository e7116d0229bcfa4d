"""The choice of masters for a frame: explicit criteria, and a reason for every refusal.

CONTRACT §6: masters are matched by instrument, shape, binning, gain and read-out mode; darks also
by exposure time and temperature within a tolerance, flats by filter; a master that holds the bias,
by whether the overscan was subtracted and by the camera's offset setting. Two windows of a
detector have not the same pixels, whatever their shape, nor have two cameras of one model: where
both tell a serial number, it is the same. A bias does not depend on temperature enough to be
refused for it, but one of the same temperature is preferred.

A property that one side does not tell is not known to differ: the master is taken with a note,
after those that tell it. The instrument and the shape must be the same, known or not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from toros.imaging.headers import ExposureInfo
from toros.imaging.options import ReductionOptions
from toros.imaging.pedestals import other_pedestal

_DEFAULTS = ReductionOptions()
_GAIN_RELATIVE = 1e-3
_MOST_REASONS = 6


@dataclass(frozen=True)
class Choice:
    """Which master a frame gets, and why.

    Parameters
    ----------
    chosen : ExposureInfo, optional
        The master; None where none matches.
    why : str
        One sentence: why this one, or why none.
    notes : tuple of str
        What is not as it should be although the master is taken.
    dark_scale : float
        By how much a master dark is scaled: the frame's exposure time over the master's.
    refused : tuple
        Each other candidate, with the reason.
    """

    chosen: ExposureInfo | None
    why: str
    notes: tuple[str, ...] = ()
    dark_scale: float = 1.0
    refused: tuple[tuple[ExposureInfo, str], ...] = ()


@dataclass(frozen=True)
class _Fit:
    candidate: ExposureInfo
    notes: tuple[str, ...] = ()
    dark_scale: float = 1.0
    # Smaller is better; the time between frame and master decides last.
    rank: tuple[float, ...] = field(default=())


_Judge = Callable[[ExposureInfo, ExposureInfo], "_Fit | str"]


def match_bias(
    frame: ExposureInfo,
    candidates: Iterable[ExposureInfo],
    options: ReductionOptions = _DEFAULTS,
) -> Choice:
    """Choose a master bias for `frame`."""

    def judge(frame: ExposureInfo, candidate: ExposureInfo) -> _Fit | str:
        unlike = other_pedestal(frame, candidate, options)
        if unlike is not None:
            return unlike
        apart = _temperature_difference(frame, candidate)
        if apart is None or apart <= options.dark_temperature_tolerance_c:
            return _Fit(candidate, rank=(0.0, 0.0))
        note = f"The master bias was taken at a temperature {apart:.1f} °C away."
        return _Fit(candidate, (note,), rank=(1.0, apart))

    return _choose("bias", frame, candidates, judge)


def match_dark(
    frame: ExposureInfo,
    candidates: Iterable[ExposureInfo],
    options: ReductionOptions = _DEFAULTS,
) -> Choice:
    """Choose a master dark for `frame`; `Choice.dark_scale` is not 1 where it must be scaled."""
    return _choose("dark", frame, candidates, lambda f, c: _judge_dark(f, c, options))


def match_flat(
    frame: ExposureInfo,
    candidates: Iterable[ExposureInfo],
    options: ReductionOptions = _DEFAULTS,
) -> Choice:
    """Choose a master flat for `frame`."""

    def judge(frame: ExposureInfo, candidate: ExposureInfo) -> _Fit | str:
        if frame.filter == candidate.filter:
            notes = () if frame.filter else ("The filter of frame and master flat is unknown.",)
            return _Fit(candidate, notes, rank=(0.0,))
        return f"its filter is {candidate.filter or 'unknown'}, not {frame.filter or 'unknown'}"

    return _choose("flat", frame, candidates, judge)


def match_mask(
    frame: ExposureInfo,
    candidates: Iterable[ExposureInfo],
    options: ReductionOptions = _DEFAULTS,
) -> Choice:
    """Choose a bad-pixel mask for `frame`: the nearest in time of its camera set-up."""
    return _choose("defects", frame, candidates, lambda _, candidate: _Fit(candidate))


def is_bias_subtracted(master_dark: ExposureInfo) -> bool:
    """Return whether a master dark says that its bias is subtracted."""
    name = master_dark.header.get("BIASCOR")
    return isinstance(name, str) and name.strip().upper() not in ("", "NONE")


def dark_scale(
    exptime_s: float | None, master: ExposureInfo, options: ReductionOptions
) -> float | str:
    """Return by how much `master` must be scaled for an exposure of `exptime_s`, or why it cannot.

    A dark scales with its exposure time only once its bias is subtracted.
    """
    if exptime_s is None or master.exptime_s is None:
        return "the exposure time is unknown"
    if abs(exptime_s - master.exptime_s) <= options.exptime_tolerance_s:
        return 1.0
    times = f"its exposure time is {master.exptime_s:g} s, not {exptime_s:g} s"
    scale = exptime_s / master.exptime_s if master.exptime_s > 0 else math.inf
    obstacle = ""
    if not options.scale_darks:
        obstacle = "and darks are not scaled"
    elif not is_bias_subtracted(master):
        obstacle = "and it cannot be scaled: its bias is not subtracted"
    elif scale > options.max_dark_scale:
        obstacle = f"and it would be scaled up by {scale:.3g}, more than is allowed"
    return f"{times}, {obstacle}" if obstacle else scale


def _judge_dark(
    frame: ExposureInfo, candidate: ExposureInfo, options: ReductionOptions
) -> _Fit | str:
    unlike = None if is_bias_subtracted(candidate) else other_pedestal(frame, candidate, options)
    if unlike is not None:
        return unlike
    notes: list[str] = []
    apart = _temperature_difference(frame, candidate)
    if apart is None:
        notes.append("The temperature of the frame or of the master dark is unknown.")
    elif apart > options.dark_temperature_tolerance_c:
        return (
            f"its temperature is {candidate.temperature_c:.1f} °C, "
            f"not {frame.temperature_c:.1f} °C "
            f"(tolerance {options.dark_temperature_tolerance_c:g} °C)"
        )
    scale = dark_scale(frame.exptime_s, candidate, options)
    if isinstance(scale, str):
        return scale
    if scale != 1.0:
        notes.append(f"The master dark of {candidate.exptime_s:g} s is scaled by {scale:.4g}.")
    other_filter = bool(candidate.filter) and candidate.filter != frame.filter
    if other_filter:
        notes.append(f"The master dark was taken with the filter {candidate.filter}.")
    # Scaling down makes a dark better, scaling up worse.
    distance = abs(math.log(scale)) * (3.0 if scale > 1 else 1.0) if scale > 0 else math.inf
    return _Fit(
        candidate, tuple(notes), scale, rank=(distance, float(apart is None), float(other_filter))
    )


def _choose(
    kind: str, frame: ExposureInfo, candidates: Iterable[ExposureInfo], judge: _Judge
) -> Choice:
    fits: list[_Fit] = []
    refused: list[tuple[ExposureInfo, str]] = []
    for candidate in candidates:
        common = _common(kind, frame, candidate)
        verdict = common if isinstance(common, str) else judge(frame, candidate)
        if isinstance(verdict, str):
            refused.append((candidate, f"{candidate.path.name}: {verdict}."))
        elif not isinstance(common, str):
            rank = (*verdict.rank, float(len(common)), _days_apart(frame, candidate))
            notes = (*common, *verdict.notes)
            fits.append(_Fit(candidate, notes, verdict.dark_scale, rank))
    # The path breaks ties, so that the same candidates always give the same choice.
    fits.sort(key=lambda fit: (fit.rank, str(fit.candidate.path)))
    name = "bad-pixel mask" if kind == "defects" else f"master {kind}"
    if not fits:
        why = some([reason.rstrip(".") for _, reason in refused])
        return Choice(
            None,
            f"No {name} matches ({why})." if why else f"There is no {name}.",
            refused=tuple(refused),
        )
    best, *others = fits
    file = best.candidate.path.name
    refused += [(fit.candidate, _second(fit, file)) for fit in others]
    why = f"{file} matches"
    why += f" best of {len(fits)}." if others else "."
    return Choice(best.candidate, why, best.notes, best.dark_scale, tuple(refused))


def some(reasons: Sequence[str]) -> str:
    """Return the first of many reasons in one text: a month of other nights would fill a header."""
    more = len(reasons) - _MOST_REASONS
    said = "; ".join(reasons[:_MOST_REASONS])
    return f"{said}; and {more} more" if more > 0 else said


def _second(fit: _Fit, best: str) -> str:
    return f"{fit.candidate.path.name}: matches, but {best} is nearer."


def _common(kind: str, frame: ExposureInfo, candidate: ExposureInfo) -> tuple[str, ...] | str:
    """Return notes on what both must share, or why the candidate is refused."""
    if candidate.image_type is not None and candidate.image_type != kind:
        return f"it is a {candidate.image_type}, not a {kind}"
    if frame.instrument != candidate.instrument:
        names = [info.instrument or "unknown" for info in (candidate, frame)]
        return f"its instrument is {names[0]}, not {names[1]}"
    if frame.serial and candidate.serial and frame.serial != candidate.serial:
        return f"its camera has the serial number {candidate.serial}, not {frame.serial}"
    if frame.shape != candidate.shape:
        return f"its size is {_size(candidate)}, not {_size(frame)}"
    notes = []
    for what, ours, theirs, same in (
        ("binning", frame.binning, candidate.binning, frame.binning == candidate.binning),
        (
            "origin on the detector",
            frame.window,
            candidate.window,
            frame.window == candidate.window,
        ),
        ("gain", frame.gain_e_adu, candidate.gain_e_adu, _close(frame, candidate)),
        (
            "gain setting",
            frame.gain_setting,
            candidate.gain_setting,
            frame.gain_setting == candidate.gain_setting,
        ),
        (
            "read-out mode",
            frame.read_out_mode,
            candidate.read_out_mode,
            frame.read_out_mode == candidate.read_out_mode,
        ),
    ):
        if ours is None and theirs is None:
            continue
        if ours is None or theirs is None:
            notes.append(f"The {what} of the {'frame' if ours is None else 'master'} is unknown.")
        elif not same:
            return f"its {what} is {theirs}, not {ours}"
    return tuple(notes)


def _close(frame: ExposureInfo, candidate: ExposureInfo) -> bool:
    ours, theirs = frame.gain_e_adu, candidate.gain_e_adu
    if ours is None or theirs is None:
        return False
    return math.isclose(ours, theirs, rel_tol=_GAIN_RELATIVE)


def _size(info: ExposureInfo) -> str:
    if info.shape is None:
        return "unknown"
    height, width = info.shape
    return f"{width}×{height}"


def _temperature_difference(frame: ExposureInfo, candidate: ExposureInfo) -> float | None:
    if frame.temperature_c is None or candidate.temperature_c is None:
        return None
    return abs(frame.temperature_c - candidate.temperature_c)


def _days_apart(frame: ExposureInfo, candidate: ExposureInfo) -> float:
    if frame.date_obs is None or candidate.date_obs is None:
        return math.inf
    return abs((frame.date_obs - candidate.date_obs).total_seconds()) / 86400
