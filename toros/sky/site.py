"""Where the observatory stands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astropy.coordinates import EarthLocation


@dataclass(frozen=True)
class Site:
    """A place on the Earth.

    Parameters
    ----------
    name : str
        What people call it.
    latitude_deg, longitude_deg : float
        Geodetic (WGS84) coordinates, longitude positive to the east.
    elevation_m : float
        Height above the ellipsoid.
    """

    name: str
    latitude_deg: float
    longitude_deg: float
    elevation_m: float = 0.0

    @cached_property
    def location(self) -> EarthLocation:
        """The same place for astropy."""
        from astropy import units as u
        from astropy.coordinates import EarthLocation

        return EarthLocation.from_geodetic(
            self.longitude_deg * u.deg, self.latitude_deg * u.deg, self.elevation_m * u.m
        )
