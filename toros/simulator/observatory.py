"""The simulated observatory: its devices, its sky and its weather, on one clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from toros.common.clock import Clock
from toros.common.config.simulator import SimulatorSettings
from toros.simulator.astrometry import Observer
from toros.simulator.clock import AdjustableClock
from toros.simulator.detector import Detector
from toros.simulator.devices.base import Device
from toros.simulator.devices.camera import Camera
from toros.simulator.devices.cover_calibrator import CoverCalibrator
from toros.simulator.devices.dome import Dome
from toros.simulator.devices.filter_wheel import FilterWheel
from toros.simulator.devices.focuser import Focuser
from toros.simulator.devices.observing_conditions import ObservingConditions
from toros.simulator.devices.safety_monitor import SafetyMonitor
from toros.simulator.devices.telescope import Telescope
from toros.simulator.scene import Scene
from toros.simulator.weather import Weather

T = TypeVar("T")


class Place(Protocol):
    """A site, as the configuration has it: degrees, east positive, and metres."""

    @property
    def latitude(self) -> float:
        """Latitude, degrees."""
        ...

    @property
    def longitude(self) -> float:
        """Longitude, degrees."""
        ...

    @property
    def elevation(self) -> float:
        """Elevation, metres."""
        ...


@dataclass(frozen=True)
class Train:
    """What the light passes on its way to one camera; `Surroundings` of that camera."""

    settings: SimulatorSettings
    observer: Observer
    weather: Weather
    telescope: Telescope
    dome: Dome
    cover: CoverCalibrator
    filter_wheel: FilterWheel
    focuser: Focuser

    def pointing(self, unix: float) -> tuple[float, float, float, float]:
        """Return where the telescope really points: ra, dec, alt and azim, degrees."""
        mount = self.telescope.mount
        return (*mount.equatorial(unix), *mount.horizontal(unix))

    def light_fraction(self, unix: float) -> float:
        """Return how much of the beam passes the dome and the cover, 0 to 1."""
        alt, azim = self.telescope.mount.horizontal(unix)
        aperture_m = self.telescope.settings.aperture_m
        passed = self.dome.light_fraction(unix, alt, azim, aperture_m)
        return passed * self.cover.opening(unix)

    def panel_electrons_s(self, unix: float) -> float:
        """Return the light of the flat panel on each pixel, electrons per second."""
        return self.cover.panel_electrons_s(unix)

    def filter_index(self, unix: float) -> int:
        """Return which filter is in the beam."""
        return self.filter_wheel.index(unix)

    def filter_name(self, unix: float) -> str:
        """Return the name of the filter in the beam."""
        return self.settings.filters[self.filter_index(unix)].name

    def defocus_arcsec(self, unix: float) -> float:
        """Return the blur from being out of focus, arcseconds."""
        focuser = self.focuser.settings
        best = focuser.best_position + self.settings.filters[self.filter_index(unix)].focus_offset
        return focuser.blur_arcsec_per_step * abs(self.focuser.true_position(unix) - best)

    def transparency(self, unix: float) -> float:
        """Return how much starlight the clouds let through, 0 to 1."""
        return self.weather.transparency(unix)


class Observatory:
    """The devices around one sky: one of each kind, and what the settings add.

    Parameters
    ----------
    settings : SimulatorSettings
        What the observatory is like.
    clock : Clock
        The observatory's time at first.
    site : Place
        Where it stands.
    """

    def __init__(self, settings: SimulatorSettings, clock: Clock, site: Place) -> None:
        self.settings = settings
        self.clock = AdjustableClock(clock)
        self.observer = Observer(site.latitude, site.longitude, site.elevation)
        self.weather = Weather(settings.weather, self.clock)
        self.down_until = float("-inf")
        self._make_devices()
        self.cameras = [self._make_camera(number) for number in range(self._cameras)]
        listed: tuple[Sequence[Device], ...] = (
            *(self.telescopes, self.domes, self.cameras, self.filter_wheels, self.focusers),
            *(self.covers, self.safety_monitors, self.stations),
        )
        self.devices = {
            (device.kind, device.number): device for devices in listed for device in devices
        }

    def _make_devices(self) -> None:
        settings, further = self.settings, self.settings.further
        name, clock = settings.server_name, self.clock
        self.telescopes = [
            Telescope(clock, number, name, mount, self.observer)
            for number, mount in enumerate((settings.mount, *further.mounts))
        ]
        self.domes = [
            Dome(clock, number, name, dome)
            for number, dome in enumerate((settings.dome, *further.domes))
        ]
        self.filter_wheels = [
            FilterWheel(clock, number, name, settings.filters, settings.filter_change_s)
            for number in range(1 + further.filter_wheels)
        ]
        self.focusers = [
            Focuser(clock, number, name, focuser, self.weather)
            for number, focuser in enumerate((settings.focuser, *further.focusers))
        ]
        self.covers = [
            CoverCalibrator(clock, number, name, cover)
            for number, cover in enumerate((settings.cover, *further.covers))
        ]
        self.safety_monitors = [
            SafetyMonitor(clock, number, name, self.weather)
            for number in range(1 + further.safety_monitors)
        ]
        self.stations = [
            ObservingConditions(clock, number, name, settings, self.weather, self.observer)
            for number in range(1 + further.weather_stations)
        ]
        self._cameras = 1 + len(further.cameras)

    def _make_camera(self, number: int) -> Camera:
        settings = self.settings
        if number:
            # Another sensor has other hot pixels; the sky above it is the same.
            own = {"camera": settings.further.cameras[number - 1]}
            settings = settings.model_copy(update=own)
        detector = Detector(settings.model_copy(update={"seed": settings.seed + number}))
        return Camera(
            *(self.clock, number, settings.server_name),
            *(Scene(settings), detector, self.train(number)),
        )

    def train(self, number: int) -> Train:
        """Return what camera `number` looks through."""

        def of(devices: Sequence[T]) -> T:
            return devices[number if number < len(devices) else 0]

        return Train(
            self.settings,
            self.observer,
            self.weather,
            of(self.telescopes),
            of(self.domes),
            of(self.covers),
            of(self.filter_wheels),
            of(self.focusers),
        )

    @property
    def telescope(self) -> Telescope:
        """The first telescope."""
        return self.telescopes[0]

    @property
    def dome(self) -> Dome:
        """The first dome."""
        return self.domes[0]

    @property
    def camera(self) -> Camera:
        """The first camera."""
        return self.cameras[0]

    @property
    def scene(self) -> Scene:
        """The sky of the first camera."""
        return self.camera.scene

    @property
    def detector(self) -> Detector:
        """The detector of the first camera."""
        return self.camera.detector

    def pointing(self, unix: float) -> tuple[float, float, float, float]:
        """Return where the first telescope really points: ra, dec, alt and azim, degrees."""
        return self.train(0).pointing(unix)

    def restart(self, down_s: float, **lost: bool) -> None:
        """Let the server be gone for some observatory seconds and come back without its state."""
        self.down_until = self.clock.unix() + down_s
        for device in self.devices.values():
            device.power_cycle(**lost)

    def down(self) -> bool:
        """Return whether the server is gone."""
        return self.clock.unix() < self.down_until

    def close(self) -> None:
        """Stop what still runs."""
        for camera in self.cameras:
            camera.close()
