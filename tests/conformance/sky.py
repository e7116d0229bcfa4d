"""Plain spherical astronomy, enough to judge a telescope to a degree; nothing of ours."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from tests.conformance.probe import Probe

DEG = math.pi / 180.0


def moment(text: str) -> datetime:
    """Return a UTCDate; without a zone it is UTC."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def sidereal_hours(when: datetime, longitude_deg: float) -> float:
    """Return the local mean sidereal time (Meeus, Astronomical Algorithms, eq. 12.4)."""
    days = when.timestamp() / 86400.0 + 2440587.5 - 2451545.0
    degrees = 280.46061837 + 360.98564736629 * days + longitude_deg
    return degrees % 360.0 / 15.0


def altitude_deg(hour_angle_h: float, dec_deg: float, latitude_deg: float) -> float:
    """Return the altitude of a direction."""
    sine = math.sin(latitude_deg * DEG) * math.sin(dec_deg * DEG) + math.cos(
        latitude_deg * DEG
    ) * math.cos(dec_deg * DEG) * math.cos(hour_angle_h * 15 * DEG)
    return math.asin(max(-1.0, min(1.0, sine))) / DEG


def separation_deg(first: tuple[float, float], last: tuple[float, float]) -> float:
    """Return the angle between two directions of (right ascension h, declination deg)."""
    (ra1, dec1), (ra2, dec2) = ((ra * 15 * DEG, dec * DEG) for ra, dec in (first, last))
    half = (
        math.sin((dec2 - dec1) / 2) ** 2
        + math.cos(dec1) * math.cos(dec2) * math.sin((ra2 - ra1) / 2) ** 2
    )
    return 2 * math.asin(math.sqrt(min(half, 1.0))) / DEG


class Mount:
    """A telescope that has been made ready.

    Parameters
    ----------
    probe : Probe
        The telescope.
    """

    def __init__(self, probe: Probe) -> None:
        self.probe = probe

    def ready(self, *, tracking: bool = True) -> None:
        """Unpark, stop, and track or not."""
        if self.probe.can("CanUnpark"):
            self.probe.put("Unpark")
            self.probe.wait(lambda: not self.probe.get("AtPark"), "the mount to leave its park")
        if self.probe.can("CanSetTracking"):
            self.probe.set("Tracking", tracking)

    def position(self) -> tuple[float, float]:
        return self.probe.get("RightAscension"), self.probe.get("Declination")

    def field(self, hour_angle_h: float) -> tuple[float, float]:
        """Return coordinates at an hour angle that are well above the horizon."""
        latitude = self.probe.get("SiteLatitude")
        ra = (self.probe.get("SiderealTime") - hour_angle_h) % 24.0
        return ra, max(-60.0, min(60.0, 0.6 * latitude))

    def settle(self) -> None:
        self.probe.wait(lambda: not self.probe.get("Slewing"), "the end of the slew")

    def slew(self, hour_angle_h: float) -> tuple[float, float]:
        """Slew to an hour angle and return the coordinates."""
        goal = self.field(hour_angle_h)
        self.probe.put("SlewToCoordinatesAsync", RightAscension=goal[0], Declination=goal[1])
        self.settle()
        return goal

    def now(self) -> datetime:
        return moment(self.probe.get("UTCDate"))

    def pass_seconds(self, seconds: float) -> float:
        """Wait for some seconds of the mount's own clock; return how many it were."""
        start = self.now()
        self.probe.wait(
            lambda: (self.now() - start).total_seconds() >= seconds, "the mount's clock"
        )
        return (self.now() - start).total_seconds()
