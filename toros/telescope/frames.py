"""Taking one frame: expose, write the raw file, record it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from toros.alpaca import Frame, MountState
from toros.archive.models import Exposure, Observation
from toros.sky.night import local_mean_noon
from toros.telescope.rawfits import RawFrame, write_raw
from toros.telescope.state import Telescope

RAW, LEFT_OUT = "raw", "left_out"


@dataclass(frozen=True, kw_only=True)
class Purpose:
    """What a frame is for: what its header says beside what the camera tells."""

    image_type: str
    exptime_s: float
    filter: str | None = None
    object: str | None = None
    binning: int = 1
    target_ra_deg: float | None = None
    target_dec_deg: float | None = None
    alert: str | None = None
    order: str | None = None
    observation_id: int | None = None


@dataclass(frozen=True)
class Taken:
    """A frame that was read out, not yet written."""

    frame: Frame
    purpose: Purpose
    median_adu: float
    mount: MountState | None = None


def expose(
    telescope: Telescope,
    purpose: Purpose,
    exposed: Callable[[MountState], None] = lambda _mount: None,
) -> Taken:
    """Expose and read out one frame.

    With the dome open, the mount is read when the exposure is over, and `exposed` is called with
    what it reads, before the frame is fetched.

    Raises
    ------
    Interrupted
        When something more urgent came up meanwhile.
    DeviceError
        When the camera fails.
    """
    telescope.interrupt.check()
    light = purpose.image_type not in ("bias", "dark")
    mount: MountState | None = None

    def over() -> None:
        nonlocal mount
        mount = telescope.devices.mount.state()
        exposed(mount)

    frame = telescope.devices.camera.expose(
        purpose.exptime_s,
        light=light,
        binning=purpose.binning,
        cancelled=telescope.interrupt.event,
        exposed=over if light else None,
    )
    # A sixteenth of the pixels is plenty for a level.
    return Taken(frame, purpose, float(np.median(frame.pixels[::4, ::4])), mount)


def keep(telescope: Telescope, taken: Taken, *, fault: str = "") -> Path:
    """Write the raw file and record it; return its path.

    The exposure's row and, for a light, the count of its observation commit together. A frame
    with a `fault` is kept, but counted for nothing.
    """
    purpose = taken.purpose
    raw = replace(_raw_frame(telescope, taken), fault=fault)
    path = write_raw(
        telescope.config.data.raw.absolute(),
        telescope.tonight(),
        raw,
        telescope.instrument(),
        telescope.site,
    )
    with telescope.sessions.begin() as session:
        session.add(_row(telescope, raw, path, purpose.observation_id, fault))
        if purpose.observation_id is not None and not fault:
            observation = session.get_one(Observation, purpose.observation_id)
            observation.taken += 1
    if purpose.image_type == "bias":
        telescope.bias_level_adu = taken.median_adu
    return path


def take(telescope: Telescope, purpose: Purpose) -> Path:
    """Expose, write and record one frame; return the path of its raw file."""
    return keep(telescope, expose(telescope, purpose))


def _raw_frame(telescope: Telescope, taken: Taken) -> RawFrame:
    frame, purpose = taken.frame, taken.purpose
    raw = RawFrame(
        pixels=frame.pixels,
        image_type=purpose.image_type,
        start=frame.start,
        exptime_s=frame.exptime_s,
        binning=frame.binning,
        ccd_temp_c=frame.ccd_temp_c,
        filter=purpose.filter,
        object=purpose.object,
        target_ra_deg=purpose.target_ra_deg,
        target_dec_deg=purpose.target_dec_deg,
        alert=purpose.alert,
        order=purpose.order,
        observation_id=purpose.observation_id,
    )
    if purpose.image_type in ("bias", "dark"):
        return raw
    mount = taken.mount or telescope.devices.mount.state()
    focuser = telescope.devices.focuser
    return replace(
        raw,
        ra_deg=mount.ra_deg,
        dec_deg=mount.dec_deg,
        side_of_pier=mount.side_of_pier,
        focus_position=focuser.position() if focuser else None,
        focus_temperature_c=focuser.temperature() if focuser else None,
        weather=telescope.air.at(frame.start.timestamp()) if telescope.air else {},
    )


def _row(
    telescope: Telescope, raw: RawFrame, path: Path, observation_id: int | None, fault: str
) -> Exposure:
    instrument = telescope.instrument()
    return Exposure(
        path=str(path),
        image_type=raw.image_type,
        exptime=raw.exptime_s,
        filter=raw.filter,
        gain=instrument.gain_e_adu,
        read_noise=instrument.read_noise_e,
        ccd_temp=raw.ccd_temp_c,
        binning_x=raw.binning,
        binning_y=raw.binning,
        naxis1=raw.pixels.shape[1],
        naxis2=raw.pixels.shape[0],
        date_obs=raw.start,
        ra=raw.ra_deg,
        dec=raw.dec_deg,
        instrument=instrument.camera,
        read_out_mode=instrument.read_out_mode,
        object=raw.object,
        state=LEFT_OUT if fault else RAW,
        error=fault or None,
        observation_id=observation_id,
        alert=raw.alert,
    )


def night_counts(
    telescope: Telescope, session: Session, night: date
) -> dict[tuple[str, float, str | None], int]:
    """Return how many frames of each image type, exposure time and filter a night has."""
    first, last = night_span(telescope, night)
    folder = telescope.config.data.raw.absolute() / f"{night:%Y%m%d}"
    query = (
        select(Exposure.image_type, Exposure.exptime, Exposure.filter, func.count())
        .where(
            Exposure.date_obs >= first,
            Exposure.date_obs < last,
            Exposure.path.startswith(str(folder), autoescape=True),
            Exposure.state != LEFT_OUT,
        )
        .group_by(Exposure.image_type, Exposure.exptime, Exposure.filter)
    )
    return {
        (image_type or "", exptime or 0.0, band): number
        for image_type, exptime, band, number in session.execute(query)
    }


def night_span(telescope: Telescope, night: date) -> tuple[datetime, datetime]:
    """Return the local noons between which a night lies."""
    noon = local_mean_noon(telescope.site, night)
    return noon, noon + timedelta(days=1)
