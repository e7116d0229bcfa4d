"""One exposure: from where everything stood while the shutter was open to a frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from toros.simulator.astrometry import airmass, separation_deg
from toros.simulator.detector import Detector, Frame
from toros.simulator.projection import Projection
from toros.simulator.readout import Illumination
from toros.simulator.scene import Scene, View
from toros.simulator.sky_brightness import sky_mag
from toros.simulator.surroundings import Surroundings

# The pointing is looked at so often during an exposure; a still telescope needs only one drawing.
SAMPLES = 9
STILL_PX = 0.1


@dataclass(frozen=True)
class Plan:
    """What the camera was asked for.

    Parameters
    ----------
    start_unix, exptime_s : float
        When and how long, observatory seconds.
    light : bool
        Whether the camera's shutter opens.
    binning : tuple of int
        Along x and y.
    window : tuple of int
        Start x, start y, width and height, binned pixels.
    gain_e_adu : float
        Electrons per ADU.
    extra_bias_adu : float
        Added to the bias by the offset.
    ccd_temp_c : float
        Temperature of the sensor.
    """

    start_unix: float
    exptime_s: float
    light: bool
    binning: tuple[int, int]
    window: tuple[int, int, int, int]
    gain_e_adu: float
    extra_bias_adu: float
    ccd_temp_c: float


@dataclass(frozen=True)
class Truth:
    """What really was in front of the camera, for tests."""

    start_unix: float
    exptime_s: float
    light: bool
    filter: str
    ra_deg: float
    dec_deg: float
    alt_deg: float
    azim_deg: float
    trail_arcsec: float
    airmass: float
    fwhm_px: float
    sky_mag: float
    sky_electrons_s: float
    light_fraction: float
    panel_electrons_s: float
    ccd_temp_c: float
    gain_e_adu: float
    wcs: dict[str, str | float]


def take(scene: Scene, detector: Detector, around: Surroundings, plan: Plan) -> tuple[Frame, Truth]:
    """Take an exposure that has ended.

    Parameters
    ----------
    scene : Scene
        The sky.
    detector : Detector
        The detector.
    around : Surroundings
        Telescope, dome, filter wheel, focuser and weather, at any moment of the exposure.
    plan : Plan
        What was asked for.

    Returns
    -------
    frame : array of uint16, shape (height, width)
        ADU.
    truth : Truth
        What it shows.
    """
    rng = np.random.Generator(np.random.SFC64([scene.settings.seed, round(plan.start_unix * 1000)]))
    truth, pieces = look(scene, around, plan)
    level, hot = detector.dark(plan.ccd_temp_c, plan.exptime_s)
    lit = Illumination(
        detector.shape, dark=level, spots=hot.and_also(detector.cosmic_rays(plan.exptime_s, rng))
    )
    if plan.light and truth.panel_electrons_s > 0.0:
        response = detector.response(truth.filter)
        lit = replace(lit, sky=truth.panel_electrons_s * plan.exptime_s, response=response)
    elif plan.light and truth.light_fraction > 0.0 and plan.exptime_s > 0.0:
        view = View(
            scene.projection(truth.ra_deg, truth.dec_deg),
            scene.settings.filter(truth.filter),
            truth.airmass,
            truth.fwhm_px,
            plan.start_unix,
        )
        lit = replace(
            lit,
            light=scene.light(view, pieces),
            scale=around.transparency(plan.start_unix),
            sky=truth.sky_electrons_s * truth.light_fraction * plan.exptime_s,
            response=detector.response(truth.filter),
        )
    frame = detector.read_out(
        lit,
        rng,
        binning=plan.binning,
        window=plan.window,
        gain_e_adu=plan.gain_e_adu,
        extra_bias_adu=plan.extra_bias_adu,
    )
    return frame, truth


def look(
    scene: Scene, around: Surroundings, plan: Plan
) -> tuple[Truth, list[tuple[Projection, float]]]:
    """Return the truth of an exposure, and where the telescope pointed for how many lit seconds."""
    moments = [plan.start_unix + plan.exptime_s * (i + 0.5) / SAMPLES for i in range(SAMPLES)]
    middle = moments[SAMPLES // 2]
    pointings = [around.pointing(moment) for moment in moments]
    fractions = [around.light_fraction(moment) for moment in moments]
    ra, dec, alt, azim = pointings[SAMPLES // 2]
    trail = max(separation_deg(ra, dec, p[0], p[1]) for p in pointings) * 3600.0
    each_s = plan.exptime_s / SAMPLES
    if trail < STILL_PX * scene.settings.camera.pixel_scale_arcsec:
        pieces = [(scene.projection(ra, dec), sum(fractions) * each_s)]
    else:
        pieces = [
            (scene.projection(p[0], p[1]), fraction * each_s)
            for p, fraction in zip(pointings, fractions, strict=True)
        ]
    chosen = scene.settings.filters[around.filter_index(middle)]
    observer = around.observer
    mag = sky_mag(
        chosen.sky_mag,
        chosen.extinction_mag,
        sun_alt_deg=observer.sun_altitude(middle),
        moon=observer.moon(middle),
        direction=(ra, dec, alt),
    )
    mass = airmass(alt)
    truth = Truth(
        start_unix=plan.start_unix,
        exptime_s=plan.exptime_s,
        light=plan.light,
        filter=chosen.name,
        ra_deg=ra,
        dec_deg=dec,
        alt_deg=alt,
        azim_deg=azim,
        trail_arcsec=trail,
        airmass=mass,
        fwhm_px=scene.fwhm_px(mass, around.defocus_arcsec(middle)),
        sky_mag=mag,
        sky_electrons_s=scene.sky_electrons_s(mag, chosen.name),
        light_fraction=sum(fractions) / SAMPLES,
        panel_electrons_s=sum(around.panel_electrons_s(moment) for moment in moments) / SAMPLES,
        ccd_temp_c=plan.ccd_temp_c,
        gain_e_adu=plan.gain_e_adu,
        wcs=scene.projection(ra, dec).cards(),
    )
    return truth, pieces
