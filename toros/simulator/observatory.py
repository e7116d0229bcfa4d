"""The simulated observatory: its devices, its sky and its weather, on one clock."""

from __future__ import annotations

from typing import Protocol

from toros.common.clock import Clock
from toros.common.config.simulator import SimulatorSettings
from toros.simulator.astrometry import Observer
from toros.simulator.detector import Detector
from toros.simulator.devices.base import Device
from toros.simulator.devices.camera import Camera
from toros.simulator.devices.dome import Dome
from toros.simulator.devices.filter_wheel import FilterWheel
from toros.simulator.devices.focuser import Focuser
from toros.simulator.devices.observing_conditions import ObservingConditions
from toros.simulator.devices.safety_monitor import SafetyMonitor
from toros.simulator.devices.telescope import Telescope
from toros.simulator.scene import Scene
from toros.simulator.weather import Weather


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


class Observatory:
    """One device of each kind, number 0, around one sky; `Surroundings` of its camera.

    Parameters
    ----------
    settings : SimulatorSettings
        What the observatory is like.
    clock : Clock
        The observatory's time.
    site : Place
        Where it stands.
    """

    def __init__(self, settings: SimulatorSettings, clock: Clock, site: Place) -> None:
        self.settings = settings
        self.clock = clock
        self.observer = Observer(site.latitude, site.longitude, site.elevation)
        self.weather = Weather(settings.weather, clock)
        self.scene = Scene(settings)
        self.detector = Detector(settings)
        common = (clock, 0, settings.server_name)
        self.telescope = Telescope(*common, settings.mount, self.observer)
        self.dome = Dome(*common, settings.dome)
        self.filter_wheel = FilterWheel(*common, settings.filters, settings.filter_change_s)
        self.focuser = Focuser(*common, settings.focuser, self.weather)
        self.camera = Camera(*common, self.scene, self.detector, self)
        self.safety_monitor = SafetyMonitor(*common, self.weather)
        self.conditions = ObservingConditions(*common, settings, self.weather, self.observer)
        listed: tuple[Device, ...] = (
            *(self.telescope, self.dome, self.camera, self.filter_wheel, self.focuser),
            *(self.safety_monitor, self.conditions),
        )
        self.devices = {(device.kind, device.number): device for device in listed}

    def pointing(self, unix: float) -> tuple[float, float, float, float]:
        """Return where the telescope really points: ra, dec, alt and azim, degrees."""
        mount = self.telescope.mount
        return (*mount.equatorial(unix), *mount.horizontal(unix))

    def light_fraction(self, unix: float) -> float:
        """Return how much of the beam passes the dome, 0 to 1."""
        alt, azim = self.telescope.mount.horizontal(unix)
        return self.dome.light_fraction(unix, alt, azim, self.settings.mount.aperture_m)

    def filter_index(self, unix: float) -> int:
        """Return which filter is in the beam."""
        return self.filter_wheel.index(unix)

    def filter_name(self, unix: float) -> str:
        """Return the name of the filter in the beam."""
        return self.settings.filters[self.filter_index(unix)].name

    def defocus_arcsec(self, unix: float) -> float:
        """Return the blur from being out of focus, arcseconds."""
        focuser = self.settings.focuser
        best = focuser.best_position + self.settings.filters[self.filter_index(unix)].focus_offset
        return focuser.blur_arcsec_per_step * abs(self.focuser.true_position(unix) - best)

    def transparency(self, _unix: float) -> float:
        """Return how much starlight the clouds let through now, 0 to 1."""
        return self.weather.transparency()

    def close(self) -> None:
        """Stop what still runs."""
        self.camera.close()
