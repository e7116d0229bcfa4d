"""What the camera must know of the rest of the observatory."""

from __future__ import annotations

from typing import Protocol

from toros.simulator.astrometry import Observer


class Surroundings(Protocol):
    """The observatory at any moment, as far as light goes."""

    @property
    def observer(self) -> Observer:
        """The place."""
        ...

    def pointing(self, unix: float) -> tuple[float, float, float, float]:
        """Return ra, dec, alt and azim of the telescope, degrees."""
        ...

    def light_fraction(self, unix: float) -> float:
        """Return how much of the beam passes the dome, 0 to 1."""
        ...

    def panel_electrons_s(self, unix: float) -> float:
        """Return the light of the flat panel on each pixel, electrons per second."""
        ...

    def filter_index(self, unix: float) -> int:
        """Return which filter is in the beam."""
        ...

    def filter_name(self, unix: float) -> str:
        """Return the name of the filter in the beam."""
        ...

    def defocus_arcsec(self, unix: float) -> float:
        """Return the blur (FWHM) from being out of focus."""
        ...

    def transparency(self, unix: float) -> float:
        """Return how much starlight the clouds let through, 0 to 1."""
        ...
