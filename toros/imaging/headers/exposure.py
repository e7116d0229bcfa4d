"""What a FITS header says of an exposure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from toros.common.clock import iso
from toros.common.errors import UnusableFrame
from toros.imaging.headers.layout import Layout


@dataclass(frozen=True, kw_only=True)
class ExposureInfo:
    """One exposure as its header describes it. ``None`` means unknown, never a guess.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    image_type : str, optional
        ``"bias"``, ``"dark"``, ``"flat"``, ``"light"``; also ``"arc"``, ``"focus"``, ``"test"``.
    exptime_s : float, optional
        Exposure time [s].
    filter, instrument, object, read_out_mode : str, optional
        As the capture program spelt them.
    ccd_temp_c, set_temp_c : float, optional
        Measured temperature of the detector, and the set point [°C].
    binning : tuple of int, optional
        (x, y).
    window : tuple of int, optional
        (x, y) of its first pixel on the detector, as the header counts; of a part of it, mostly.
    gain_e_adu : float, optional
        Electrons per ADU. A dimensionless gain setting is never put here.
    gain_setting : float, optional
        The camera's gain setting (or ISO), in its own units.
    offset_setting : float, optional
        The camera's offset setting, which its pedestal goes with.
    read_noise_e : float, optional
        Read noise [e-].
    saturation_adu : float, optional
        Raw level [ADU] from which a pixel is saturated.
    naxis1, naxis2 : int, optional
        Width and height of the image in the file [pixel], overscan included.
    date_obs : datetime.datetime, optional
        Start of the exposure, aware, UTC.
    ra_deg, dec_deg : float, optional
        Where the telescope pointed, ICRS [degree].
    serial : str, optional
        The serial number of the camera.
    layout : Layout, optional
        How the frame is cut from its file or put together from its amplifiers; None where the
        image of the file is the frame as it is.
    processed : str, optional
        Why this is no raw frame any more: a master, or calibrated by the program that took it.
    misread : str, optional
        Why its pixels cannot be the counts of a camera; such a frame is refused.
    decided_by : dict
        For each value that is known, the card (or other evidence) that decided it.
    notes : tuple of str
        What was odd.
    header : dict
        Every card, as JSON-able values.
    """

    path: Path
    image_type: str | None = None
    exptime_s: float | None = None
    filter: str | None = None
    ccd_temp_c: float | None = None
    set_temp_c: float | None = None
    binning: tuple[int, int] | None = None
    window: tuple[int, int] | None = None
    gain_e_adu: float | None = None
    gain_setting: float | None = None
    offset_setting: float | None = None
    read_noise_e: float | None = None
    read_out_mode: str | None = None
    saturation_adu: float | None = None
    naxis1: int | None = None
    naxis2: int | None = None
    date_obs: datetime | None = None
    ra_deg: float | None = None
    dec_deg: float | None = None
    instrument: str | None = None
    object: str | None = None
    serial: str | None = None
    layout: Layout | None = None
    processed: str | None = None
    misread: str | None = None
    decided_by: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    header: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def shape(self) -> tuple[int, int] | None:
        """(height, width) of the frame in pixels, trimmed and put together, as numpy counts."""
        if self.layout is not None:
            return self.layout.shape
        if self.naxis1 is None or self.naxis2 is None:
            return None
        return (self.naxis2, self.naxis1)

    @property
    def temperature_c(self) -> float | None:
        """Temperature of the detector [°C]: as measured, else what it was to be."""
        return self.set_temp_c if self.ccd_temp_c is None else self.ccd_temp_c


def require_counts(info: ExposureInfo) -> None:
    """Raise where the pixels of a raw frame cannot be the counts of a camera.

    Raises
    ------
    UnusableFrame
        If so.
    """
    if info.misread is not None:
        raise UnusableFrame(f"{info.path}: {info.misread}")


def recorded(info: ExposureInfo) -> dict[str, Any]:
    """Return what an archive records of an exposure, under the names of CONTRACT §5."""
    binning_x, binning_y = info.binning or (None, None)
    return {
        "image_type": info.image_type,
        "exptime": info.exptime_s,
        "filter": info.filter,
        "gain": info.gain_e_adu,
        "read_noise": info.read_noise_e,
        "ccd_temp": info.ccd_temp_c,
        "binning_x": binning_x,
        "binning_y": binning_y,
        "naxis1": info.naxis1,
        "naxis2": info.naxis2,
        "date_obs": info.date_obs,
        "ra": info.ra_deg,
        "dec": info.dec_deg,
        "instrument": info.instrument,
        "read_out_mode": info.read_out_mode,
        "object": info.object,
    }


def inspect_json(info: ExposureInfo) -> dict[str, Any]:
    """Return `info` as the ``toros inspect`` document of CONTRACT §1, with a few more keys."""
    return {
        "path": str(info.path),
        "image_type": info.image_type,
        "exptime": info.exptime_s,
        "filter": info.filter,
        "ccd_temp": info.ccd_temp_c,
        "binning": list(info.binning) if info.binning else None,
        "gain": info.gain_e_adu,
        "date_obs": iso(info.date_obs) if info.date_obs else None,
        "ra": info.ra_deg,
        "dec": info.dec_deg,
        "instrument": info.instrument,
        "object": info.object,
        "decided_by": dict(info.decided_by),
        "notes": list(info.notes),
        "naxis1": info.naxis1,
        "naxis2": info.naxis2,
        "window": list(info.window) if info.window else None,
        "set_temp": info.set_temp_c,
        "gain_setting": info.gain_setting,
        "offset_setting": info.offset_setting,
        "read_noise": info.read_noise_e,
        "read_out_mode": info.read_out_mode,
        "saturation": info.saturation_adu,
        "processed": info.processed,
        "shape": list(info.shape) if info.shape else None,
        "amplifiers": len(info.layout.amplifiers) if info.layout else 1,
    }
