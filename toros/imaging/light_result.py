"""What came of a light."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from toros.imaging.light_status import (
    Doubt,
    Status,
    doubt_of_exposure,
    doubt_of_sky,
    status_card,
)


@dataclass(frozen=True)
class CalibratedResult:
    """What came of a light.

    Parameters
    ----------
    path, source : pathlib.Path
        The calibrated image, and the raw frame.
    unit : str
        ``"electron"``, or ``"adu"`` where the gain is unknown.
    bias, dark, flat : pathlib.Path, optional
        The masters that were used.
    dark_scale : float
        By how much the master dark was scaled.
    gain_e_adu, read_noise_e : float, optional
        What the uncertainty comes from.
    sky_level, sky_noise : float
        Median of the sky and its scatter per pixel [unit].
    saturated, masked : int
        Number of saturated pixels, and of all that are masked.
    complete : bool
        Whether no master was missing.
    exptime_s : float, optional
        Exposure time, as its header tells it [s].
    fwhm : float, optional
        Full width at half maximum of its stars [pixel]; None where too few stand alone.
    fwhm_stars : int
        Of how many that is the median.
    bad_pixels, fringe : pathlib.Path, optional
        The bad-pixel mask and the fringe frame that were used.
    fringe_amplitude : float, optional
        How much of the fringe frame was subtracted.
    bled, cosmic_rays : int
        Number of pixels in bleed trails, and of those that cosmic rays were replaced in.
    data_sums : tuple of int
        DATASUM of the image, of UNCERT and of MASK.
    notes : tuple of str
        What a person should know; also in the file's HISTORY.
    """

    path: Path
    source: Path
    unit: str
    bias: Path | None
    dark: Path | None
    flat: Path | None
    dark_scale: float
    gain_e_adu: float | None
    read_noise_e: float | None
    sky_level: float
    sky_noise: float
    saturated: int
    masked: int
    complete: bool
    exptime_s: float | None = None
    fwhm: float | None = None
    fwhm_stars: int = 0
    bad_pixels: Path | None = None
    fringe: Path | None = None
    fringe_amplitude: float | None = None
    bled: int = 0
    cosmic_rays: int = 0
    data_sums: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """Why it may not be what it seems."""
        found = (
            doubt_of_sky(self.source.name, self.unit, self.sky_level, self.sky_noise),
            doubt_of_exposure(self.exptime_s, has_dark=self.dark is not None),
        )
        return tuple(doubt for doubt in found if doubt is not None)

    @property
    def status(self) -> tuple[Status, str]:
        """STATUS of its header, and what it means."""
        return status_card(complete=self.complete, doubts=self.doubts)
