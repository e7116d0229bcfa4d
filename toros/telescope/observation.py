"""One observation: point, put the dome in place, expose, and count only what is sound."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from toros.alpaca import MountState
from toros.archive.models import Observation
from toros.archive.stages import ON_TARGET, SLEWING
from toros.common.errors import (
    Cancelled,
    DeviceError,
    DeviceUnreachable,
    DomeNotReady,
    Interrupted,
    NotObservable,
    NotSafe,
    PeerError,
    PeerTimeout,
    PeerUnreachable,
    ReadBackMismatch,
    TorosError,
)
from toros.telescope import target_queue
from toros.telescope.ahead import slew_on
from toros.telescope.frames import Purpose, expose, keep
from toros.telescope.meridian import ready_for
from toros.telescope.motion import check_dome, point
from toros.telescope.pointing import altaz_at, horizon_at, separation_deg, why_not_now
from toros.telescope.stages import record_stage
from toros.telescope.state import Running, Telescope

log = logging.getLogger(__name__)


class Ending(StrEnum):
    """How an attempt at an observation ended."""

    DONE = "done"
    AGAIN = "again"  # it failed, and is tried once more
    FAILED = "failed"
    STOPPED = "stopped"  # something more urgent came up; nothing is held against it


@dataclass(frozen=True)
class Outcome:
    """The end of an attempt, and why."""

    ending: Ending
    reason: str = ""
    cause: TorosError | None = None


def observe(telescope: Telescope, observation_id: int, *, until: datetime | None = None) -> Outcome:
    """Take the frames that an entry of the queue still wants, and record how it ended.

    `until` is when it gives way to what is planned then, with the frames that it has.
    """
    with telescope.sessions.begin() as session:
        row = session.get_one(Observation, observation_id)
        if row.state not in target_queue.OPEN:
            return Outcome(Ending.STOPPED, row.reason)  # cancelled since it was chosen
        row.state, row.attempts = target_queue.RUNNING, row.attempts + 1
    log.info("Observation of %s begins: attempt %d.", row.name, row.attempts)
    telescope.running = Running(row.id, row.priority, row.exptime, until=until)
    try:
        _check_choice(telescope)
        _frames(telescope, row, telescope.running)
    except (Interrupted, Cancelled) as error:
        cause = telescope.interrupt.cause or error.message
        outcome = Outcome(Ending.STOPPED, cause, error)
    except (NotSafe, NotObservable) as error:
        outcome = Outcome(Ending.STOPPED, error.message, error)
    except (DeviceError, DomeNotReady, PeerError) as error:
        outcome = _failure(error, last=row.attempts >= telescope.settings.attempts)
    else:
        outcome = Outcome(Ending.DONE)
    finally:
        telescope.running = None
    _conclude(telescope, observation_id, outcome)
    return outcome


def _check_choice(telescope: Telescope) -> None:
    """Begin nothing that was chosen before the last order came."""
    if telescope.reconsider.is_set():
        raise Interrupted("an order came while it was prepared: what is best is chosen anew")


def _failure(error: TorosError, *, last: bool) -> Outcome:
    """Return the outcome of an attempt in which something failed.

    What fails because a device or the dome is away would fail for every target: that is not held
    against this one, and the night holds.
    """
    if not last:
        return Outcome(Ending.AGAIN, error.message, error)
    away = isinstance(error, DeviceUnreachable | PeerUnreachable | PeerTimeout)
    return Outcome(Ending.STOPPED if away else Ending.FAILED, error.message, error)


def _conclude(telescope: Telescope, observation_id: int, outcome: Outcome) -> None:
    """Write the outcome into the queue and the archive's events."""
    now = telescope.clock.now()
    with telescope.sessions.begin() as session:
        row = session.get_one(Observation, observation_id)
        # Somebody may have cancelled it meanwhile: that stands.
        running = row.state == target_queue.RUNNING
        row.reason = outcome.reason
        if outcome.cause is not None:
            row.code = outcome.cause.code
        if outcome.ending is Ending.DONE:
            row.code = 0
        if outcome.ending is Ending.STOPPED:
            row.attempts = max(row.attempts - 1, 0)
        if running:
            row.state = {
                Ending.DONE: target_queue.DONE,
                Ending.FAILED: target_queue.FAILED,
            }.get(outcome.ending, target_queue.QUEUED)
            if outcome.ending in (Ending.DONE, Ending.FAILED):
                row.finished = now
    bad = outcome.ending in (Ending.FAILED, Ending.AGAIN)
    said = f": {outcome.reason}" if outcome.reason else ""
    telescope.record(
        "observation",
        f"{row.name}: {outcome.ending.value}, {row.taken} of {row.count} frames{said}",
        level="error" if bad else "info",
        code=row.code if bad else 0,
        data={"observation": row.id, "target": row.name, "taken": row.taken, "alert": row.alert},
    )


def _frames(telescope: Telescope, row: Observation, running: Running) -> None:
    band = point(
        telescope,
        row.ra,
        row.dec,
        filter_name=row.filter,
        commanded=lambda: record_stage(telescope, row, SLEWING),
    )
    record_stage(telescope, row, ON_TARGET)
    purpose = Purpose(
        image_type="light",
        exptime_s=row.exptime,
        filter=band,
        object=row.name,
        binning=row.binning,
        target_ra_deg=row.ra,
        target_dec_deg=row.dec,
        alert=row.alert,
        order=row.work_order,
        observation_id=row.id,
    )
    for number in range(row.taken + 1, row.count + 1):
        telescope.doing = f"{row.name}, frame {number} of {row.count}"
        _check_wanted(telescope, running)
        _check_limits(telescope, row)
        ready_for(telescope, row.ra, row.dec, row.exptime)
        check_dome(telescope, row.ra, row.dec)
        telescope.doing = f"{row.name}, frame {number} of {row.count}"
        running.exposing_since = telescope.clock.unix()
        fault = ""

        def exposed(mount: MountState, number: int = number) -> None:
            nonlocal fault
            fault = _fault(telescope, mount, row.ra, row.dec)
            if not fault and number == row.count:
                slew_on(telescope, row.id)

        taken = expose(telescope, purpose, exposed)
        running.exposing_since = None
        keep(telescope, taken, fault=fault)
        if fault:
            raise ReadBackMismatch(f"the frame is not counted: {fault}")


def _check_wanted(telescope: Telescope, running: Running) -> None:
    """Stop between two frames when the entry was cancelled or something more urgent came up."""
    if running.yield_to:
        raise Interrupted(f"gave way to {running.yield_to}")
    frame_s = running.exptime_s + telescope.settings.frame_overhead_s
    if running.until and telescope.clock.unix() + frame_s > running.until.timestamp():
        # To the nearest second: the times of a plan may be some microseconds off.
        then = running.until + timedelta(seconds=0.5)
        raise Interrupted(f"gave way to what is planned from {then:%H:%M:%S} UTC on")
    with telescope.sessions() as session:
        row = session.get_one(Observation, running.observation_id)
    if row.state == target_queue.CANCELLED:
        raise Cancelled(row.reason or "the observation was cancelled")


def _check_limits(telescope: Telescope, row: Observation) -> None:
    """Refuse a frame that would break a limit before its end."""
    now = telescope.clock.unix()
    end = now + row.exptime + telescope.settings.frame_overhead_s
    limits = target_queue.limits_of(row, telescope.settings)
    why = why_not_now(telescope.site, now, end, row.ra, row.dec, limits, row.expires)
    altitude, azimuth = altaz_at(telescope.site, end, row.ra, row.dec)
    mask = horizon_at(azimuth, telescope.settings)
    if not why and altitude < mask:
        why = f"altitude falls to {altitude:.1f}°, below the horizon of {mask:g}° there"
    if why:
        raise NotObservable(f"{row.name}: {why}")


def _fault(telescope: Telescope, state: MountState, ra_deg: float, dec_deg: float) -> str:
    """Return what was wrong during the exposure that has just ended; empty if nothing."""
    if not state.tracking:
        return "the mount was not tracking"
    off = separation_deg(state.ra_deg, state.dec_deg, ra_deg, dec_deg)
    if off > telescope.settings.pointing_tolerance_deg:
        return f"the mount reads {off:.3f}° from the target"
    view = telescope.look_at_dome()
    if not view.open:
        return f"the dome was not open to the end: its shutter reads {view.shutter}"
    return ""
