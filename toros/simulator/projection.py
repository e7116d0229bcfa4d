"""From the sky to pixels: the gnomonic (TAN) projection of the camera.

Pixel coordinates are 0-based and integers are pixel centres, so that FITS pixel = ours + 1. The
image is held as ``image[y, x]``; row ``y = 0`` is the first row of a FITS file written from it.
With no rotation north is towards +y and east towards -x: a FITS viewer, which draws y upwards,
shows north up and east to the left. Alpaca sends ``[x][y]``; its clients that draw y downwards show
the same field with north down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Projection:
    """A camera pointed at the sky.

    Parameters
    ----------
    ra_deg, dec_deg : float
        ICRS direction of the centre of the frame.
    scale_arcsec : float
        Arcseconds per pixel.
    width, height : int
        Pixels of the frame.
    rotation_deg : float
        Position angle of the +y axis, north through east.
    """

    ra_deg: float
    dec_deg: float
    scale_arcsec: float
    width: int
    height: int
    rotation_deg: float = 0.0

    @property
    def centre(self) -> tuple[float, float]:
        """The 0-based pixel (x, y) on which the direction falls."""
        return (self.width - 1) / 2.0, (self.height - 1) / 2.0

    @property
    def radius_deg(self) -> float:
        """Angle from the centre to a corner."""
        half = 0.5 * math.hypot(self.width, self.height) * self.scale_arcsec / 3600.0
        return math.degrees(math.atan(math.radians(half)))

    def cd_matrix(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return the CD matrix, degrees per pixel."""
        scale, angle = self.scale_arcsec / 3600.0, math.radians(self.rotation_deg)
        cos, sin = scale * math.cos(angle), scale * math.sin(angle)
        return (-cos, sin), (sin, cos)

    def to_pixels(
        self, ra_deg: ArrayLike, dec_deg: ArrayLike
    ) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
        """Return x, y (0-based) of ICRS directions, and which lie in the hemisphere ahead.

        The formulae are those of the TAN projection in Calabretta & Greisen (2002), sect. 5.1.3.
        """
        ra = np.radians(np.asarray(ra_deg, float) - self.ra_deg)
        dec, dec0 = np.radians(np.asarray(dec_deg, float)), math.radians(self.dec_deg)
        cos_c = math.sin(dec0) * np.sin(dec) + math.cos(dec0) * np.cos(dec) * np.cos(ra)
        ahead = cos_c > 0.05
        safe = np.where(ahead, cos_c, 1.0)
        xi = np.degrees(np.cos(dec) * np.sin(ra) / safe)
        eta = np.degrees(
            (math.cos(dec0) * np.sin(dec) - math.sin(dec0) * np.cos(dec) * np.cos(ra)) / safe
        )
        inverse = np.linalg.inv(np.array(self.cd_matrix()))
        x = inverse[0, 0] * xi + inverse[0, 1] * eta + self.centre[0]
        y = inverse[1, 0] * xi + inverse[1, 1] * eta + self.centre[1]
        return x, y, ahead

    def cards(self) -> dict[str, str | float]:
        """Return the FITS WCS cards that describe this projection."""
        (cd11, cd12), (cd21, cd22) = self.cd_matrix()
        return {
            "CTYPE1": "RA---TAN",
            "CTYPE2": "DEC--TAN",
            "CUNIT1": "deg",
            "CUNIT2": "deg",
            "CRVAL1": self.ra_deg,
            "CRVAL2": self.dec_deg,
            "CRPIX1": self.centre[0] + 1.0,
            "CRPIX2": self.centre[1] + 1.0,
            "CD1_1": cd11,
            "CD1_2": cd12,
            "CD2_1": cd21,
            "CD2_2": cd22,
            "RADESYS": "ICRS",
        }
