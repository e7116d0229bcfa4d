"""How the simulated mount moves: paths over time, and what it takes to fly them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from toros.simulator.astrometry import Observer, between, separation_deg
from toros.simulator.motion import Timeline, Trouble

Direction = tuple[float, float]

SIDEREAL_ARCSEC_S = 15.041067
# Sidereal, lunar, solar and King: DriveRates of the Telescope interface.
DRIVE_ARCSEC_S = (15.041067, 14.685, 15.0, 15.0369)
SIDEREAL_SECOND = 0.9972695663


@dataclass(frozen=True)
class Hold:
    """Standing still on the ground: a horizontal direction, degrees."""

    alt_deg: float
    azim_deg: float

    def horizontal(self, _observer: Observer, _unix: float) -> Direction:
        """Return altitude and azimuth."""
        return self.alt_deg, self.azim_deg

    def equatorial(self, observer: Observer, unix: float) -> Direction:
        """Return right ascension and declination."""
        return observer.radec(unix, self.alt_deg, self.azim_deg)


@dataclass(frozen=True)
class Track:
    """Moving over the sky at constant rates (none: following a star); degrees and seconds."""

    ra_deg: float
    dec_deg: float
    start_unix: float = 0.0
    ra_rate: float = 0.0
    dec_rate: float = 0.0

    def equatorial(self, _observer: Observer, unix: float) -> Direction:
        """Return right ascension and declination."""
        elapsed = unix - self.start_unix
        dec = self.dec_deg + self.dec_rate * elapsed
        return (self.ra_deg + self.ra_rate * elapsed) % 360.0, min(max(dec, -90.0), 90.0)

    def horizontal(self, observer: Observer, unix: float) -> Direction:
        """Return altitude and azimuth."""
        return observer.altaz(unix, *self.equatorial(observer, unix))


@dataclass(frozen=True)
class Slew:
    """Flying from where it stood along a great circle to where the goal is by then."""

    origin: Direction
    goal: Hold | Track
    start_unix: float
    end_unix: float

    def horizontal(self, observer: Observer, unix: float) -> Direction:
        """Return altitude and azimuth."""
        length = max(self.end_unix - self.start_unix, 1e-6)
        fraction = min(max((unix - self.start_unix) / length, 0.0), 1.0)
        return between(self.origin, self.goal.horizontal(observer, unix), fraction)

    def equatorial(self, observer: Observer, unix: float) -> Direction:
        """Return right ascension and declination."""
        return observer.radec(unix, *self.horizontal(observer, unix))


@dataclass(frozen=True)
class Pose:
    """What the mount does during one stretch of time."""

    path: Hold | Track | Slew
    tracking: bool = False
    slewing: bool = False
    parked: bool = False
    at_home: bool = False
    guiding: bool = False
    west: bool = False  # a German mount west of its pier, looking east


@dataclass
class Rates:
    """The rates that a tracking mount adds to the stars' own."""

    drive: int = 0
    ra_s: float = 0.0  # seconds of right ascension per sidereal second
    dec_arcsec_s: float = 0.0
    axis_deg_s: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def ra_deg_s(self) -> float:
        """Return the drift in right ascension of the tracking alone."""
        lag = (SIDEREAL_ARCSEC_S - DRIVE_ARCSEC_S[self.drive]) / 3600.0
        return lag + self.ra_s * 15.0 / 3600.0 / SIDEREAL_SECOND

    def dec_deg_s(self) -> float:
        """Return the drift in declination of the tracking alone."""
        return self.dec_arcsec_s / 3600.0


@dataclass(frozen=True)
class Pulse:
    """A guide pulse: an axis, a rate in degrees per second, and when it ends."""

    axis: int
    rate: float
    end_unix: float


class Mount:
    """The motion of the mount.

    Parameters
    ----------
    observer : Observer
        The place.
    pose : Pose
        How it stands at first.
    slew_rate_deg_s, settle_s : float
        How fast it slews, and how long it settles.
    """

    def __init__(
        self, observer: Observer, pose: Pose, slew_rate_deg_s: float, settle_s: float
    ) -> None:
        self.observer = observer
        self.slew_rate_deg_s = slew_rate_deg_s
        self.settle_s = settle_s
        self.rates = Rates()
        self.trouble = Trouble()
        self._timeline = Timeline(pose)
        self._pulses: list[Pulse] = []

    def pose(self, unix: float) -> Pose:
        """Return what the mount does at `unix`."""
        return self._timeline.at(unix)

    def equatorial(self, unix: float) -> Direction:
        """Return where it points: right ascension and declination."""
        return self.pose(unix).path.equatorial(self.observer, unix)

    def horizontal(self, unix: float) -> Direction:
        """Return where it points: altitude and azimuth."""
        return self.pose(unix).path.horizontal(self.observer, unix)

    def slew(self, unix: float, arrived: Pose, *, west: bool = False) -> float:
        """Slew to the path of `arrived`, then be in that pose; return when it arrives.

        The tracking of `arrived` is in force from the start. A German mount that changes sides
        turns half a circle more.
        """
        if isinstance(arrived.path, Slew):
            raise TypeError("A slew cannot end in a slew.")
        origin = self.horizontal(unix)
        there = arrived.path.horizontal(self.observer, unix)
        angle = separation_deg(origin[1], origin[0], there[1], there[0])
        if west != self.pose(unix).west:
            angle = max(angle, 180.0)
        end = unix + angle / self.slew_rate_deg_s + self.settle_s
        path: Slew | Hold = Slew(origin, arrived.path, unix, end)
        if self.trouble.stuck(unix):
            # The motors run for as long as they should; the telescope stays, and is nowhere.
            path, arrived = Hold(*origin), Pose(Hold(*origin), tracking=arrived.tracking, west=west)
        flying = Pose(path, tracking=arrived.tracking, slewing=True, west=west)
        self._timeline.command(unix, flying)
        self._timeline.then(end, arrived)
        self._pulses.clear()
        return end

    def follow(self, unix: float, *, tracking: bool) -> None:
        """From here on track, or stand still; axis rates that are set move it as well."""
        west = self.pose(unix).west
        axes = self.rates.axis_deg_s
        self._pulses.clear()
        ra, dec = self.equatorial(unix)
        moving = any(axes)
        path: Hold | Track
        if self.trouble.stuck(unix):
            path = Hold(*self.horizontal(unix))
        elif tracking:
            ra_rate, dec_rate = self.rates.ra_deg_s(), self.rates.dec_deg_s()
            path = Track(ra, dec, unix, ra_rate + axes[0], dec_rate + axes[1])
        elif moving:
            path = Track(ra, dec, unix, SIDEREAL_ARCSEC_S / 3600.0 + axes[0], axes[1])
        else:
            path = Hold(*self.horizontal(unix))
        self._timeline.command(unix, Pose(path, tracking=tracking, slewing=moving, west=west))

    def tracked(self, unix: float, ra_deg: float, dec_deg: float) -> Track:
        """Return the path that tracks a direction from `unix` on."""
        rates = self.rates
        return Track(ra_deg, dec_deg, unix, rates.ra_deg_s(), rates.dec_deg_s())

    def guide(self, unix: float, axis: int, rate: float, seconds: float) -> None:
        """Add a rate (degrees per second) to an axis of the tracking mount for some seconds.

        The axes are guided independently; a second pulse on the same axis replaces the first.
        """
        if self.trouble.stuck(unix):
            return
        running = [p for p in self._pulses if p.end_unix > unix and p.axis != axis]
        self._pulses = sorted(
            [*running, Pulse(axis, rate, unix + seconds)], key=lambda pulse: pulse.end_unix
        )
        west = self.pose(unix).west
        here, start = self.equatorial(unix), unix
        for number, ending in enumerate(self._pulses):
            path = self._guided(here, start, self._pulses[number:])
            pose = Pose(path, tracking=True, guiding=True, west=west)
            (self._timeline.then if number else self._timeline.command)(start, pose)
            here, start = path.equatorial(self.observer, ending.end_unix), ending.end_unix
        after = Pose(self._guided(here, start, []), tracking=True, west=west)
        self._timeline.then(start, after)

    def _guided(self, here: Direction, unix: float, pulses: list[Pulse]) -> Track:
        ra_rate, dec_rate = self.rates.ra_deg_s(), self.rates.dec_deg_s()
        ra_rate += sum(pulse.rate for pulse in pulses if pulse.axis == 0)
        dec_rate += sum(pulse.rate for pulse in pulses if pulse.axis == 1)
        return Track(*here, unix, ra_rate, dec_rate)

    def jam(self, unix: float, until: float) -> None:
        """Let the mount be stuck from now until then; it says that it tracks if it did."""
        pose = self.pose(unix)
        self.trouble.stuck_until = until
        self._pulses.clear()
        if until <= unix:
            if not pose.parked:
                self.follow(unix, tracking=pose.tracking)
            return
        if isinstance(pose.path, Slew):
            here = Hold(*self.horizontal(unix))
            self._timeline.command(unix, replace(pose, path=here, guiding=False))
            self._timeline.then(pose.path.end_unix, Pose(here, pose.tracking, west=pose.west))
        elif not pose.parked:
            self.follow(unix, tracking=pose.tracking)
