"""The sky as the camera would see it: the truth that tests compare with.

Examples
--------
>>> from toros.common.config.simulator import SimulatorSettings
>>> scene = Scene(SimulatorSettings())
>>> field = scene.sources(197.45, -23.38, "r")
>>> "NGC4993" in field.name
True
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC

import numpy as np
from numpy.typing import NDArray

from toros.common.config.simulator import FilterSettings, SimulatorSettings, TransientSettings
from toros.simulator.galaxies import COLOUR, Galaxy, add_galaxy, galaxies_near
from toros.simulator.memory import Memory
from toros.simulator.parallel import blocks, in_parallel
from toros.simulator.point_spread import add_stars
from toros.simulator.projection import FloatArray, Projection
from toros.simulator.stars import Stars, joined, stars_near
from toros.simulator.tycho import find_catalogue

# A star just outside the frame still sheds light into it.
MARGIN_DEG = 0.02
DAY_S = 86400.0


@dataclass(frozen=True)
class Sources:
    """What is in a frame, as columns of equal length N.

    Parameters
    ----------
    kind : list of str
        ``star``, ``galaxy`` or ``transient``.
    name : list of str
        Name of a galaxy or transient; empty for a star.
    ra_deg, dec_deg : array
        ICRS.
    x, y : array
        0-based pixel positions (FITS pixel minus one).
    mag : array
        Magnitude in the filter, above the atmosphere.
    electrons_s : array
        Electrons per second on the whole detector, after extinction.
    """

    kind: list[str]
    name: list[str]
    ra_deg: FloatArray
    dec_deg: FloatArray
    x: FloatArray
    y: FloatArray
    mag: FloatArray
    electrons_s: FloatArray

    def __len__(self) -> int:
        return len(self.kind)


@dataclass(frozen=True)
class View:
    """Through what the sky is seen."""

    projection: Projection
    filter: FilterSettings
    airmass: float
    fwhm_px: float
    unix: float | None


class Scene:
    """A fixed sky, seen by the configured telescope and camera.

    Parameters
    ----------
    settings : SimulatorSettings
        The observatory.
    """

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        self._catalogue = find_catalogue(settings.star_folder) if settings.real_stars else None
        self.memory = Memory()

    def projection(self, ra_deg: float, dec_deg: float) -> Projection:
        """Return the projection of the camera pointed at an ICRS direction."""
        camera = self.settings.camera
        return Projection(
            ra_deg,
            dec_deg,
            camera.pixel_scale_arcsec,
            camera.width,
            camera.height,
            camera.rotation,
        )

    def fwhm_px(self, airmass: float = 1.0, blur_arcsec: float = 0.0) -> float:
        """Return the image quality in pixels: seeing ∝ airmass^0.6, and defocus in quadrature."""
        seeing = self.settings.seeing_arcsec * airmass**0.6
        return math.hypot(seeing, blur_arcsec) / self.settings.camera.pixel_scale_arcsec

    def sources(
        self,
        ra_deg: float,
        dec_deg: float,
        filter_name: str,
        *,
        airmass: float = 1.0,
        unix: float | None = None,
    ) -> Sources:
        """Return every source within the frame.

        Parameters
        ----------
        ra_deg, dec_deg : float
            ICRS direction of the centre of the frame.
        filter_name : str
            A filter of the wheel.
        airmass : float
            For the extinction.
        unix : float, optional
            When; left out, transients have the brightness of their start.
        """
        chosen = self.settings.filter(filter_name)
        view = self.projection(ra_deg, dec_deg)
        stars = self._stars(view)
        galaxies = self._galaxies(view)
        shown = self._transients(unix)
        ra = np.concatenate(
            [stars.ra_deg, [g.ra_deg for g in galaxies], [t.ra for t, _ in shown]]
        ).astype(float)
        dec = np.concatenate(
            [stars.dec_deg, [g.dec_deg for g in galaxies], [t.dec for t, _ in shown]]
        ).astype(float)
        mag_r = np.concatenate([stars.mag, [g.mag for g in galaxies], [m for _, m in shown]])
        colour = np.concatenate(
            [stars.colour, [COLOUR] * len(galaxies), [t.colour for t, _ in shown]]
        )
        kind = ["star"] * len(stars.mag) + ["galaxy"] * len(galaxies) + ["transient"] * len(shown)
        name = [""] * len(stars.mag) + [g.name for g in galaxies] + [t.name for t, _ in shown]
        x, y, ahead = view.to_pixels(ra, dec)
        mag = mag_r + chosen.colour_term * colour
        kept = ahead & (x > -0.5) & (x < view.width - 0.5) & (y > -0.5) & (y < view.height - 0.5)
        index = np.flatnonzero(kept)
        return Sources(
            [kind[i] for i in index],
            [name[i] for i in index],
            ra[kept],
            dec[kept],
            x[kept],
            y[kept],
            mag[kept],
            electron_rate(mag[kept], chosen, airmass),
        )

    def light(self, view: View, exposures: list[tuple[Projection, float]]) -> NDArray[np.float32]:
        """Return the electrons of all sources (no sky), shape (height, width).

        Parameters
        ----------
        view : View
            Where the camera points and through what.
        exposures : list of (Projection, float)
            Directions and the seconds spent in each; more than one draws trails.
        """
        centre = view.projection
        image = self._dark((centre.height, centre.width))
        stars, shown = self._stars(centre), self._transients(view.unix)
        ra = np.concatenate([stars.ra_deg, [t.ra for t, _ in shown]])
        dec = np.concatenate([stars.dec_deg, [t.dec for t, _ in shown]])
        colour = np.concatenate([stars.colour, [t.colour for t, _ in shown]])
        mag = np.concatenate([stars.mag, [m for _, m in shown]]) + view.filter.colour_term * colour
        rate = electron_rate(mag, view.filter, view.airmass)
        for projection, seconds in exposures:
            x, y, ahead = projection.to_pixels(ra, dec)
            electrons = np.where(ahead, rate * seconds, 0.0)
            add_stars(image, x, y, electrons, view.fwhm_px, self.settings.moffat_beta)
        total_s = sum(seconds for _, seconds in exposures)
        for galaxy in self._galaxies(centre):
            mag_galaxy = np.array(galaxy.mag + view.filter.colour_term * COLOUR)
            electrons_s = float(electron_rate(mag_galaxy, view.filter, view.airmass))
            add_galaxy(image, centre, galaxy, electrons_s * total_s, view.fwhm_px)
        return image

    def make_ready(self) -> None:
        """Do what the first light costs only once: the memory of its image, the galaxies' list."""
        camera = self.settings.camera
        self.memory.make_ready((camera.height, camera.width), np.float32)
        self._galaxies(self.projection(0.0, 0.0))

    def _dark(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Return an image of zeros."""
        image: NDArray[np.float32] = self.memory.array(shape, np.float32)
        parts = blocks(*shape)

        def clear(number: int) -> None:
            first, last = parts[number]
            image[first:last] = 0.0

        in_parallel(clear, len(parts))
        return image

    def sky_electrons_s(self, mag_arcsec2: float, filter_name: str) -> float:
        """Return the electrons per second and pixel of a sky of the given brightness."""
        zero_point = self.settings.filter(filter_name).zero_point_mag
        area = self.settings.camera.pixel_scale_arcsec**2
        return float(10.0 ** (0.4 * (zero_point - mag_arcsec2)) * area)

    def _stars(self, view: Projection) -> Stars:
        """Return the real stars where a catalogue is installed; those beyond it are made up."""
        circle = (view.ra_deg, view.dec_deg, view.radius_deg + MARGIN_DEG)
        made = stars_near(self.settings.seed, *circle, self.settings.faintest_mag)
        if self._catalogue is None:
            return made
        fainter = made.where(made.mag > self._catalogue.faintest_mag)
        return joined([self._catalogue.near(*circle), fainter])

    def _galaxies(self, view: Projection) -> list[Galaxy]:
        if not self.settings.galaxies:
            return []
        return galaxies_near(view.ra_deg, view.dec_deg, view.radius_deg)

    def _transients(self, unix: float | None) -> list[tuple[TransientSettings, float]]:
        """Return the transients that shine at `unix`, with their r magnitudes."""
        shown = []
        for transient in self.settings.transients:
            age_s = 0.0
            if transient.start is not None and unix is not None:
                start = transient.start
                aware = start if start.tzinfo is not None else start.replace(tzinfo=UTC)
                age_s = unix - aware.timestamp()
            if age_s >= 0.0:
                faded = transient.fade_mag_per_day * age_s / DAY_S
                shown.append((transient, transient.magnitude + faded))
        return shown


def electron_rate(mag: FloatArray, chosen: FilterSettings, airmass: float) -> FloatArray:
    """Return electrons per second of sources of the given magnitudes, after extinction."""
    dimmed = mag + chosen.extinction_mag * airmass
    rate: FloatArray = 10.0 ** (0.4 * (chosen.zero_point_mag - dimmed))
    return rate
