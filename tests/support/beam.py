"""The telescope's beam, built from the mount's axes by turning them: no formula of ours.

The frame is east, north, up, metres, with its origin at the centre of the dome's sphere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

UP, EAST = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])


@dataclass(frozen=True)
class Pier:
    """Where the mount stands, and how far its tube is off its polar axis."""

    latitude_deg: float
    place: tuple[float, float, float]
    german_axis_m: float
    west: bool  # tube west of the pier


def direction(alt_deg: float, azim_deg: float) -> np.ndarray:
    """Start looking north at the horizon; tilt up, then turn east."""
    tilt = Rotation.from_rotvec(np.radians(alt_deg) * EAST)
    turn = Rotation.from_rotvec(-np.radians(azim_deg) * UP)
    return turn.apply(tilt.apply([0.0, 1.0, 0.0]))


def tube(pier: Pier, pointing: np.ndarray) -> np.ndarray:
    """Turn the mount from the meridian about its polar axis until it can look there."""
    tilt = Rotation.from_rotvec(np.radians(pier.latitude_deg) * EAST)
    pole = tilt.apply([0.0, 1.0, 0.0])
    meridian = tilt.apply(UP)  # where the equator meets the meridian
    hour_angle = np.arctan2(-pointing @ EAST, pointing @ meridian)
    arm = (-EAST if pier.west else EAST) * pier.german_axis_m
    return np.array(pier.place) + Rotation.from_rotvec(-hour_angle * pole).apply(arm)


def passed(
    origin: np.ndarray,
    pointing: np.ndarray,
    *,
    beam_m: float,
    radius_m: float,
    slit_width_m: float,
    slit_azim_deg: float,
) -> float:
    """Return the part of the beam, 0 to 1, that leaves the dome through its slit."""
    shape = (radius_m, slit_width_m, slit_azim_deg)
    if _through(origin, pointing, np.array([beam_m / 2]), *shape).all():
        return 1.0  # the rim passes, and with it all within
    # Rays at the middles of rings of equal area.
    rings = beam_m / 2 * np.sqrt((np.arange(12) + 0.5) / 12)
    return float(np.mean(_through(origin, pointing, rings, *shape)))


def _through(
    origin: np.ndarray,
    pointing: np.ndarray,
    rings_m: np.ndarray,
    radius_m: float,
    slit_width_m: float,
    slit_azim_deg: float,
) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    across, height = (np.outer(rings_m, turn(angle)).ravel() for turn in (np.cos, np.sin))
    to_beam, _ = Rotation.align_vectors([pointing], [UP])
    rays = origin + to_beam.apply(np.stack([across, height, np.zeros_like(across)], axis=1))
    low, high = np.zeros(len(rays)), np.full(len(rays), 3 * radius_m)
    for _ in range(40):
        middle = (low + high) / 2
        inside = np.linalg.norm(rays + middle[:, None] * pointing, axis=1) < radius_m
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    holes = Rotation.from_euler("z", slit_azim_deg, degrees=True).apply(
        rays + low[:, None] * pointing
    )
    half = slit_width_m / 2
    passes: np.ndarray = (np.abs(holes[:, 0]) <= half) & (holes[:, 1] >= -half)
    return passes
