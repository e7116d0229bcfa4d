"""Settings of the simulator module: an observatory in software.

The defaults describe a 0.6 m telescope with a cooled CCD. Rates are per second of the observatory's
clock, so that the same observatory works at any speed.
"""

from __future__ import annotations

from datetime import datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from toros.common.config.section import Section

Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class FilterSettings(Section):
    """One filter of the simulated wheel."""

    name: str = Field(min_length=1, description="Name, as in the FILTER card.")
    zero_point_mag: float = Field(
        default=23.1, description="Magnitude that gives 1 electron per second above the atmosphere."
    )
    sky_mag: float = Field(
        default=21.2, description="Moonless night sky at the zenith, mag per square arcsecond."
    )
    extinction_mag: float = Field(default=0.1, ge=0, description="Extinction, mag per airmass.")
    colour_term: float = Field(
        default=0.0, description="Magnitude in this filter minus r, per magnitude of g - r."
    )
    focus_offset: int = Field(default=0, description="Change of best focus, focuser steps.")


class TransientSettings(Section):
    """A point source that is not in any catalogue."""

    name: str = Field(min_length=1, description="Name of the transient.")
    ra: float = Field(ge=0, lt=360, description="Right ascension, ICRS degrees.")
    dec: float = Field(ge=-90, le=90, description="Declination, ICRS degrees.")
    magnitude: float = Field(default=17.5, description="r magnitude at `start`.")
    colour: float = Field(default=0.5, description="g - r, mag.")
    start: datetime | None = Field(
        default=None, description="When it appears (UTC); left out: it was always there."
    )
    fade_mag_per_day: float = Field(default=0.0, description="How fast it fades after `start`.")


class MountSettings(Section):
    """The simulated mount and telescope."""

    kind: Literal["fork", "german"] = Field(
        default="fork", description="fork: no side of pier; german: flips at the meridian."
    )
    slew_rate: Positive = Field(default=4.0, description="Degrees per second.")
    settle_s: float = Field(default=2.0, ge=0, description="Settling after a slew, seconds.")
    altitude_limit: float = Field(
        default=5.0, ge=-90, lt=90, description="Slews below this altitude are refused, degrees."
    )
    park_altitude: float = Field(default=30.0, ge=0, le=90, description="Park position, degrees.")
    park_azimuth: float = Field(default=180.0, ge=0, lt=360, description="Park position, degrees.")
    aperture_m: Positive = Field(default=0.6, description="Diameter of the aperture, metres.")
    focal_length_m: Positive = Field(default=1.16, description="Focal length, metres.")


class DomeSettings(Section):
    """The simulated dome. The mount stands at its centre."""

    kind: Literal["slit", "roof", "clamshell"] = Field(
        default="slit", description="slit: turns; roof, clamshell: only open and close."
    )
    azimuth_rate: Positive = Field(default=3.0, description="Degrees per second.")
    shutter_s: Positive = Field(default=30.0, description="Time to open or close, seconds.")
    park_azimuth: float = Field(default=180.0, ge=0, lt=360, description="Park position, degrees.")
    home_azimuth: float = Field(default=0.0, ge=0, lt=360, description="Home sensor, degrees.")
    radius_m: Positive = Field(default=2.5, description="Radius of the dome, metres.")
    slit_width_m: Positive = Field(default=1.4, description="Width of the slit, metres.")


class CameraSettings(Section):
    """The simulated camera and its detector."""

    width: int = Field(default=1024, ge=32, le=16384, description="Pixels along x.")
    height: int = Field(default=1024, ge=32, le=16384, description="Pixels along y.")
    pixel_size_um: Positive = Field(default=9.0, description="Pixel size, micrometres.")
    pixel_scale_arcsec: Positive = Field(default=1.6, description="Arcseconds per pixel.")
    rotation: float = Field(
        default=0.0, description="Position angle of the +y axis, degrees north through east."
    )
    gain_e_adu: Positive = Field(default=1.5, description="Electrons per ADU at the default gain.")
    full_well_e: Positive = Field(default=95000.0, description="Full well, electrons.")
    read_noise_e: float = Field(default=6.0, ge=0, description="Read noise, electrons rms.")
    bias_adu: float = Field(default=1000.0, ge=0, description="Mean bias level, ADU.")
    bias_columns_adu: float = Field(
        default=4.0, ge=0, description="Column-to-column structure of the bias, ADU rms."
    )
    dark_e_s: float = Field(
        default=0.02, ge=0, description="Dark current at -20 °C, electrons per second and pixel."
    )
    dark_doubling_c: Positive = Field(
        default=6.3, description="Warming that doubles the dark current, °C."
    )
    hot_pixels: Fraction = Field(default=4e-4, description="Fraction of the pixels that are hot.")
    hot_pixel_e_s: Positive = Field(
        default=20.0, description="Typical dark current of a hot pixel at -20 °C, e/s."
    )
    pixel_response_rms: float = Field(
        default=0.008, ge=0, lt=0.2, description="Pixel-to-pixel response, rms."
    )
    vignetting: float = Field(
        default=0.25, ge=0, lt=0.9, description="Light lost in the corners by vignetting."
    )
    dust_rings: int = Field(default=6, ge=0, description="Dust rings seen through each filter.")
    cosmic_rays_per_cm2_s: float = Field(
        default=0.08, ge=0, description="Cosmic-ray hits (at 4650 m), per cm² and second."
    )
    readout_s: float = Field(default=3.0, ge=0, description="Read-out time, seconds.")
    ambient_c: float = Field(default=2.0, description="Temperature of the uncooled sensor, °C.")
    cooling_c_s: Positive = Field(default=0.5, description="Rate of the cooler, °C per second.")
    cooling_depth_c: Positive = Field(default=50.0, description="Cooling below ambient, °C.")


class FocuserSettings(Section):
    """The simulated focuser."""

    max_step: int = Field(default=20000, ge=1, description="Largest position, steps.")
    best_position: int = Field(default=10000, ge=0, description="Position of best focus, steps.")
    rate: Positive = Field(default=400.0, description="Steps per second.")
    blur_arcsec_per_step: float = Field(
        default=0.004, ge=0, description="Blur (FWHM) per step away from best focus, arcseconds."
    )


class CoverSettings(Section):
    """The simulated cover of the telescope, with a panel that lights it for flats."""

    open_at_start: bool = Field(default=True, description="Whether it is open at start.")
    travel_s: Positive = Field(default=8.0, description="Time to open or close, seconds.")
    warm_up_s: float = Field(
        default=3.0, ge=0, description="Time until the panel shines evenly, seconds."
    )
    max_brightness: int = Field(default=255, ge=1, description="Largest brightness, steps.")
    panel_e_s: Positive = Field(
        default=5000.0, description="Light at the largest brightness, electrons/s and pixel."
    )


class FurtherSettings(Section):
    """Further devices of each kind, with the numbers 1, 2, … in this order.

    Camera n looks through mount n, dome n, filter wheel n, focuser n and cover n where there is
    one, else through number 0. The weather is the same for all.
    """

    mounts: tuple[MountSettings, ...] = Field(default=(), description="Further mounts.")
    domes: tuple[DomeSettings, ...] = Field(default=(), description="Further domes.")
    cameras: tuple[CameraSettings, ...] = Field(default=(), description="Further cameras.")
    focusers: tuple[FocuserSettings, ...] = Field(default=(), description="Further focusers.")
    covers: tuple[CoverSettings, ...] = Field(default=(), description="Further covers.")
    filter_wheels: int = Field(
        default=0, ge=0, le=16, description="Further filter wheels, with the same filters."
    )
    safety_monitors: int = Field(default=0, ge=0, le=16, description="Further safety monitors.")
    weather_stations: int = Field(default=0, ge=0, le=16, description="Further weather stations.")


class WeatherSettings(Section):
    """The weather at start; it can be changed while the simulator runs."""

    safe: bool | None = Field(
        default=None, description="What the safety monitor says; left out: from the values."
    )
    cloud_cover: float = Field(default=0.0, ge=0, le=100, description="Per cent.")
    humidity: float = Field(default=25.0, ge=0, le=100, description="Per cent.")
    pressure: float = Field(default=580.0, gt=0, description="hPa, at the site.")
    rain_rate: float = Field(default=0.0, ge=0, description="mm per hour.")
    sky_temperature: float = Field(default=-35.0, description="°C.")
    temperature: float = Field(default=2.0, description="°C.")
    wind_direction: float = Field(default=290.0, ge=0, le=360, description="Degrees from north.")
    wind_gust: float = Field(default=6.0, ge=0, description="Metres per second.")
    wind_speed: float = Field(default=4.0, ge=0, description="Metres per second.")
    humidity_limit: float = Field(default=90.0, description="Unsafe above, per cent.")
    wind_limit: float = Field(default=15.0, description="Unsafe above (gusts), m/s.")
    cloud_limit: float = Field(default=80.0, description="Unsafe above, per cent.")


_FILTERS = (
    FilterSettings(
        name="g",
        zero_point_mag=23.3,
        sky_mag=21.9,
        extinction_mag=0.16,
        colour_term=1.0,
        focus_offset=30,
    ),
    FilterSettings(name="r", zero_point_mag=23.1, sky_mag=21.2, extinction_mag=0.09),
    FilterSettings(
        name="i",
        zero_point_mag=22.7,
        sky_mag=20.3,
        extinction_mag=0.06,
        colour_term=-0.4,
        focus_offset=-20,
    ),
    FilterSettings(name="clear", zero_point_mag=24.4, sky_mag=21.3, extinction_mag=0.11),
)


class SimulatorSettings(Section):
    """Settings of the simulator module."""

    seed: int = Field(default=2017, ge=0, description="Seed of everything that is random.")
    server_name: str = Field(default="TOROS simulator", description="Name told to clients.")
    discovery: bool = Field(default=True, description="Answer Alpaca discovery.")
    discovery_port: int = Field(default=32227, ge=0, le=65535, description="UDP port of discovery.")
    discovery_host: IPv4Address = Field(
        default=IPv4Address("127.0.0.1"),
        description="Address on which discovery listens; 0.0.0.0 for all.",
    )
    seeing_arcsec: Positive = Field(
        default=3.6, description="Image quality (FWHM) at the zenith and best focus, arcseconds."
    )
    moffat_beta: float = Field(default=3.5, gt=1, description="Shape of the Moffat profile.")
    faintest_mag: float = Field(
        default=20.5, ge=8, le=22, description="Faintest stars of the procedural sky, r mag."
    )
    real_stars: bool = Field(
        default=True,
        description="Show the stars of Debian's astrometry-data-tycho2-* packages, if installed.",
    )
    star_folder: Path = Field(
        default=Path("/usr/share/astrometry"), description="Where those packages put them."
    )
    galaxies: bool = Field(default=True, description="Draw the galaxies of OpenNGC.")
    transients: tuple[TransientSettings, ...] = Field(
        default=(), description="Point sources added to the sky."
    )
    filters: tuple[FilterSettings, ...] = Field(
        default=_FILTERS, min_length=1, description="Filters of the wheel, in order."
    )
    filter_change_s: Positive = Field(default=4.0, description="Time per filter step, seconds.")
    mount: MountSettings = Field(default=MountSettings(), description="Mount and telescope.")
    dome: DomeSettings = Field(default=DomeSettings(), description="Dome.")
    camera: CameraSettings = Field(default=CameraSettings(), description="Camera and detector.")
    focuser: FocuserSettings = Field(default=FocuserSettings(), description="Focuser.")
    cover: CoverSettings = Field(default=CoverSettings(), description="Cover and flat panel.")
    weather: WeatherSettings = Field(default=WeatherSettings(), description="Weather at start.")
    further: FurtherSettings = Field(
        default=FurtherSettings(), description="Further devices of each kind."
    )

    def filter(self, name: str) -> FilterSettings:
        """Return the filter called `name`; raise `KeyError` if the wheel has none."""
        for entry in self.filters:
            if entry.name == name:
                return entry
        raise KeyError(name)


def full_frame(settings: SimulatorSettings) -> SimulatorSettings:
    """Return `settings` with the camera of the real instrument: 10560² pixels of 0.5″."""
    camera = settings.camera.model_copy(
        update={"width": 10560, "height": 10560, "pixel_scale_arcsec": 0.5}
    )
    return settings.model_copy(update={"camera": camera, "seeing_arcsec": 1.4})
