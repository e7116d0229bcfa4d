"""The dome: IDomeV3 with a rotating azimuth and a shutter over a slit."""

from __future__ import annotations

import math

from toros.common.clock import Clock
from toros.common.config.simulator import DomeSettings
from toros.simulator.devices.base import COMMON, Device
from toros.simulator.errors import InvalidOperation
from toros.simulator.members import absent, boolean, constant, read, real, write
from toros.simulator.motion import Ramp, Timeline, shortest_turn

OPEN, CLOSED, OPENING, CLOSING, ERROR = range(5)
AT_DEG = 0.01


class Dome(Device):
    """A dome that turns at a finite rate; closed and parked at first.

    Parameters
    ----------
    clock : Clock
        The observatory's time.
    number : int
        Device number.
    server_name : str
        Name of the server.
    settings : DomeSettings
        Rates and sizes.
    """

    kind = "dome"
    type_name = "Dome"
    interface_version = 3
    description = "A simulated dome with a slit"
    operational = ("AtHome", "AtPark", "Azimuth", "ShutterStatus", "Slewing")

    def __init__(self, clock: Clock, number: int, server_name: str, settings: DomeSettings) -> None:
        super().__init__(clock, number, server_name)
        self.settings = settings
        self._park_azimuth = settings.park_azimuth
        # Azimuth is unwrapped: it may go beyond 0 and 360 and is folded when it is read.
        self._azimuth = Timeline(Ramp.still(settings.park_azimuth, "park"))
        self._shutter = Timeline(Ramp.still(0.0))  # 0 closed, 1 open
        self._sync_deg = 0.0

    # Where it is

    def true_azimuth(self, unix: float) -> float:
        """Return the azimuth of the slit, degrees."""
        return self._azimuth.at(unix).value(unix) % 360.0

    def shutter(self, unix: float) -> float:
        """Return how far the shutter is open, 0 to 1."""
        return self._shutter.at(unix).value(unix)

    def azimuth(self) -> float:
        """Return the azimuth as the dome believes it, degrees."""
        azimuth = (self.true_azimuth(self.clock.unix()) + self._sync_deg) % 360.0
        return 0.0 if azimuth > 360.0 - 1e-9 else azimuth

    def turning(self) -> bool:
        """Return whether the azimuth changes."""
        now = self.clock.unix()
        return self._azimuth.at(now).moving(now)

    def shutter_status(self) -> int:
        """Return the ShutterState: open, closed, opening, closing or error (stopped half-way)."""
        now = self.clock.unix()
        ramp = self._shutter.at(now)
        if ramp.moving(now):
            return OPENING if ramp.last > ramp.first else CLOSING
        return {0.0: CLOSED, 1.0: OPEN}.get(ramp.value(now), ERROR)

    def slewing(self) -> bool:
        """Return whether anything moves."""
        return self.turning() or self.shutter_status() in (OPENING, CLOSING)

    def at(self, purpose: str, azimuth: float) -> bool:
        """Return whether the dome rests where a move of that purpose brought it."""
        now = self.clock.unix()
        ramp = self._azimuth.at(now)
        away = abs(shortest_turn(self.azimuth(), azimuth))
        return not ramp.moving(now) and ramp.purpose == purpose and away < AT_DEG

    # Orders

    def turn(self, azimuth: float, purpose: str = "slew") -> None:
        """Begin to turn to an azimuth, the shorter way."""
        now = self.clock.unix()
        here = self._azimuth.at(now).value(now)
        goal = here + shortest_turn(here + self._sync_deg, azimuth % 360.0)
        self._azimuth.command(now, Ramp(now, here, goal, self.settings.azimuth_rate, purpose))

    def move_shutter(self, goal: float) -> None:
        """Begin to open (1) or close (0) the shutter."""
        now = self.clock.unix()
        here = self.shutter(now)
        self._shutter.command(now, Ramp(now, here, goal, 1.0 / self.settings.shutter_s))

    def abort(self) -> None:
        """Stop everything where it is."""
        now = self.clock.unix()
        if self.turning():
            self._azimuth.command(now, Ramp.still(self._azimuth.at(now).value(now)))
        if self.shutter_status() in (OPENING, CLOSING):
            self._shutter.command(now, Ramp.still(self.shutter(now)))

    def park(self) -> None:
        """Begin to turn to the park position."""
        self.turn(self._park_azimuth, "park")

    def find_home(self) -> None:
        """Begin to turn to the home sensor."""
        self.turn(self.settings.home_azimuth, "home")

    def set_park(self) -> None:
        """Make the present azimuth the park position; the dome is then at it."""
        self._park_azimuth = self.azimuth()
        if not self.turning():
            now = self.clock.unix()
            self._azimuth.command(now, Ramp.still(self._azimuth.at(now).value(now), "park"))

    def sync(self, azimuth: float) -> None:
        """Believe that the slit is at an azimuth."""
        if self.turning():
            raise InvalidOperation("The dome is turning.")
        now = self.clock.unix()
        self._sync_deg = azimuth - self._azimuth.at(now).value(now)
        self._azimuth.command(now, Ramp.still(self._azimuth.at(now).value(now)))

    def set_slaved(self, slaved: bool) -> None:
        """Refuse to follow the telescope by itself."""
        if slaved:
            raise InvalidOperation("This dome cannot be slaved.")

    # Light

    def light_fraction(self, unix: float, alt_deg: float, azim_deg: float, beam_m: float) -> float:
        """Return how much of the telescope's beam passes the slit, 0 to 1.

        The telescope is at the centre of the dome. The slit is the strip within half its width of
        the vertical plane through its azimuth; it goes on past the zenith by half its width.

        Parameters
        ----------
        unix : float
            When.
        alt_deg, azim_deg : float
            Where the telescope points.
        beam_m : float
            Diameter of the beam.
        """
        radius, half = self.settings.radius_m, 0.5 * self.settings.slit_width_m
        turn = math.radians(azim_deg - self.true_azimuth(unix))
        across = radius * math.cos(math.radians(alt_deg)) * math.sin(turn)
        along = radius * math.cos(math.radians(alt_deg)) * math.cos(turn)
        if along < -half:
            return 0.0
        passed = disc_within(half - across, 0.5 * beam_m) - disc_within(-half - across, beam_m / 2)
        return passed * self.shutter(unix)


def disc_within(edge: float, radius: float) -> float:
    """Return the fraction of a disc around the origin that lies at abscissae below `edge`."""
    t = min(max(edge / radius, -1.0), 1.0)
    return 0.5 + (math.asin(t) + t * math.sqrt(1.0 - t * t)) / math.pi


Dome.table = COMMON.joined(
    [
        constant(CanFindHome=True, CanPark=True, CanSetAzimuth=True, CanSetPark=True),
        constant(CanSetShutter=True, CanSyncAzimuth=True, CanSetAltitude=False, CanSlave=False),
        constant(Slaved=False),
        absent("Altitude"),
        read("AtHome", lambda dome: dome.at("home", dome.settings.home_azimuth)),
        read("AtPark", lambda dome: dome.at("park", dome._park_azimuth)),
        read("Azimuth", Dome.azimuth),
        read("ShutterStatus", Dome.shutter_status),
        read("Slewing", Dome.slewing),
        absent("Slaved", "PUT", Slaved=boolean()),
        write("AbortSlew", Dome.abort),
        write("OpenShutter", lambda dome: dome.move_shutter(1.0)),
        write("CloseShutter", lambda dome: dome.move_shutter(0.0)),
        write("FindHome", Dome.find_home),
        write("Park", Dome.park),
        write("SetPark", Dome.set_park),
        write("SlewToAzimuth", Dome.turn, Azimuth=real(0, below=360)),
        absent("SlewToAltitude", "PUT", Altitude=real()),
        write("SyncToAzimuth", Dome.sync, Azimuth=real(0, below=360)),
    ]
)
