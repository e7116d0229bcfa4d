"""How the simulated dome behaves; its Alpaca members are listed in `dome.py`."""

from __future__ import annotations

import math

from toros.common.clock import Clock
from toros.common.config.simulator import DomeSettings
from toros.simulator.devices.base import Device
from toros.simulator.errors import InvalidOperation
from toros.simulator.motion import Part, shortest_turn

OPEN, CLOSED, OPENING, CLOSING, ERROR = range(5)
AT_DEG = 0.01


class DomeControl(Device):
    """A dome that turns at a finite rate, or a roof; closed and parked at first.

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

    def __init__(self, clock: Clock, number: int, server_name: str, settings: DomeSettings) -> None:
        super().__init__(clock, number, server_name)
        self.settings = settings
        self.parts = ("azimuth", "shutter")
        self.slipping_parts = ("azimuth",)
        self._park_azimuth = settings.park_azimuth
        # Azimuth is unwrapped: it may go beyond 0 and 360 and is folded when it is read.
        self._turntable = Part(settings.park_azimuth, "park")
        self._shutter = Part(0.0)  # 0 closed, 1 open
        self._shutter_known = True
        self._sync_deg = 0.0

    # Where it is

    def true_azimuth(self, unix: float) -> float:
        """Return the azimuth of the slit, degrees."""
        return self._turntable.value(unix) % 360.0

    def shutter(self, unix: float) -> float:
        """Return how far the shutter is open, 0 to 1."""
        return self._shutter.value(unix)

    def azimuth(self) -> float:
        """Return the azimuth as the dome believes it, degrees."""
        azimuth = (self.true_azimuth(self.clock.unix()) + self._sync_deg) % 360.0
        return 0.0 if azimuth > 360.0 - 1e-9 else azimuth

    def turning(self) -> bool:
        """Return whether the azimuth changes."""
        return self._turntable.moving(self.clock.unix())

    def shutter_status(self) -> int:
        """Return the ShutterState: open, closed, opening, closing or error.

        Error is what a driver says that does not know: stopped half-way, or without power since the
        last full travel.
        """
        now = self.clock.unix()
        ramp = self._shutter.ramp(now)
        if ramp.moving(now):
            return OPENING if ramp.last > ramp.first else CLOSING
        if not self._shutter_known and not ramp.purpose:
            return ERROR
        return {0.0: CLOSED, 1.0: OPEN}.get(ramp.value(now), ERROR)

    def slewing(self) -> bool:
        """Return whether anything moves."""
        return self.turning() or self._shutter.moving(self.clock.unix())

    def at_home(self) -> bool:
        """Return whether the dome rests at the home sensor, brought there by FindHome."""
        return self._at("home", self.settings.home_azimuth)

    def at_park(self) -> bool:
        """Return whether the dome rests at its park position, brought there by Park."""
        return self._at("park", self._park_azimuth)

    def _at(self, purpose: str, azimuth: float) -> bool:
        now = self.clock.unix()
        ramp = self._turntable.ramp(now)
        away = abs(shortest_turn(self.azimuth(), azimuth))
        return not ramp.moving(now) and ramp.purpose == purpose and away < AT_DEG

    # Orders

    def turn(self, azimuth: float, purpose: str = "slew") -> None:
        """Begin to turn to an azimuth, the shorter way."""
        now = self.clock.unix()
        here = self._turntable.value(now)
        goal = here + shortest_turn(here + self._sync_deg, azimuth % 360.0)
        lost = self._turntable.trouble.slip(now)
        self._sync_deg -= lost
        self._turntable.move(now, goal + lost, self.settings.azimuth_rate, purpose)

    def move_shutter(self, goal: float) -> None:
        """Begin to open (1) or close (0) the shutter."""
        now = self.clock.unix()
        self._shutter.move(now, goal, 1.0 / self.settings.shutter_s, "travel")

    def abort(self) -> None:
        """Stop everything where it is."""
        now = self.clock.unix()
        if self.turning():
            self._turntable.rest(now)
        if self._shutter.moving(now):
            self._shutter.rest(now)

    def park(self) -> None:
        """Begin to turn to the park position."""
        self.turn(self._park_azimuth, "park")

    def find_home(self) -> None:
        """Begin to turn to the home sensor, which tells the dome where it is."""
        self._sync_deg = 0.0
        self.turn(self.settings.home_azimuth, "home")

    def set_park(self) -> None:
        """Make the present azimuth the park position; the dome is then at it."""
        self._park_azimuth = self.azimuth()
        if not self.turning():
            self._turntable.rest(self.clock.unix(), purpose="park")

    def sync(self, azimuth: float) -> None:
        """Believe that the slit is at an azimuth."""
        if self.turning():
            raise InvalidOperation("The dome is turning.")
        now = self.clock.unix()
        self._sync_deg = azimuth - self._turntable.value(now)
        self._turntable.rest(now)

    # Trouble

    def jam(self, part: str, until: float) -> None:
        """Let the turntable or the shutter be stuck until then."""
        moving = self._shutter if part == "shutter" else self._turntable
        moving.jam(self.clock.unix(), until)

    def slip(self, part: str, amount: float, until: float) -> None:
        """Let each turn go wrong by `amount` degrees until then."""
        if part == "azimuth":
            self._turntable.trouble.slip_from_now(amount, until)

    def power_cycle(
        self, *, shutter_unknown: bool = False, azimuth_lost: bool = False, **_other: bool
    ) -> None:
        """Stop, and forget where it was parked; perhaps also where shutter and slit are."""
        super().power_cycle()
        now = self.clock.unix()
        self._turntable.rest(now)
        self._shutter.rest(now)
        self._shutter_known = not shutter_unknown
        if azimuth_lost:
            self._sync_deg = -self._turntable.value(now)

    # Light

    def light_fraction(self, unix: float, alt_deg: float, azim_deg: float, beam_m: float) -> float:
        """Return how much of the telescope's beam passes the dome, 0 to 1.

        The telescope is at the centre of the dome. The slit is the strip within half its width of
        the vertical plane through its azimuth; it goes on past the zenith by half its width. An
        open roof is in no one's way.

        Parameters
        ----------
        unix : float
            When.
        alt_deg, azim_deg : float
            Where the telescope points.
        beam_m : float
            Diameter of the beam.
        """
        if self.settings.kind != "slit":
            return self.shutter(unix)
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
