"""The aperture of the dome, against an independent construction from the mount's own axes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.spatial.transform import Rotation

from toros.sky.dome_geometry import (
    DomeGeometry,
    PierSide,
    aperture,
    aperture_azimuth,
    azimuth_difference,
    azimuth_tolerance,
)

ANGLES = st.floats(-180, 180)


def _by_turning_the_mount(
    geometry: DomeGeometry, latitude: float, hour_angle: float, dec: float, side: PierSide
) -> tuple[np.ndarray, np.ndarray]:
    """Turn a mount about its axes: return where the tube is and where it points (E, N, U).

    The mount starts on the meridian at the equator, tube east of the pier, and is turned by the
    declination about the east axis and by the hour angle about the pole.
    """
    lat = np.radians(latitude)
    pole = np.array([0.0, np.cos(lat), np.sin(lat)])
    pointing = np.array([0.0, -np.sin(lat), np.cos(lat)])
    arm = np.array([1.0, 0.0, 0.0]) * geometry.german_axis_m
    if side is PierSide.WEST:
        arm = -arm
    turn_dec = Rotation.from_rotvec(-np.radians(dec) * np.array([-1.0, 0.0, 0.0]))
    # Turning by +dec about east carries the equator's direction towards the pole.
    if np.dot(turn_dec.apply(pointing), pole) * np.sign(dec or 1.0) < 0:
        turn_dec = turn_dec.inv()
    turn_ha = Rotation.from_rotvec(-np.radians(hour_angle) * pole)
    pier = np.array([geometry.pier_east_m, geometry.pier_north_m, geometry.pier_up_m])
    return pier + turn_ha.apply(arm), turn_ha.apply(turn_dec.apply(pointing))


@given(
    latitude=st.floats(-80, 80),
    hour_angle=st.floats(-89, 89),
    dec=st.floats(-85, 85),
    side=st.sampled_from(PierSide),
    east=st.floats(-0.3, 0.3),
    north=st.floats(-0.3, 0.3),
    up=st.floats(-0.3, 0.3),
    axis=st.floats(0.1, 0.8),
)
@settings(max_examples=300, deadline=None)
def test_agrees_with_a_mount_turned_about_its_axes(
    latitude, hour_angle, dec, side, east, north, up, axis
) -> None:
    geometry = DomeGeometry(
        radius_m=2.5, pier_east_m=east, pier_north_m=north, pier_up_m=up, german_axis_m=axis
    )
    tube, pointing = _by_turning_the_mount(geometry, latitude, hour_angle, dec, side)
    alt = np.degrees(np.arctan2(pointing[2], np.hypot(pointing[0], pointing[1])))
    azim = np.degrees(np.arctan2(pointing[0], pointing[1]))
    found_alt, found_azim = aperture(geometry, latitude, alt, azim, side)
    # March along the beam until it meets the sphere.
    length = brentq(lambda s: np.linalg.norm(tube + s * pointing) - 2.5, 0, 6, xtol=1e-12)
    hole = (tube + length * pointing) / 2.5
    found = np.array(
        [
            np.cos(np.radians(found_alt)) * np.sin(np.radians(found_azim)),
            np.cos(np.radians(found_alt)) * np.cos(np.radians(found_azim)),
            np.sin(np.radians(found_alt)),
        ]
    )
    assert np.allclose(found, hole, atol=1e-9)


@given(alt=st.floats(1, 89), azim=st.floats(0, 359.99), latitude=st.floats(-80, 80))
def test_a_centred_mount_needs_no_correction(alt: float, azim: float, latitude: float) -> None:
    found = aperture_azimuth(DomeGeometry(), latitude, alt, azim)
    assert azimuth_difference(found, azim) == pytest.approx(0, abs=1e-6)


@given(first=st.floats(-720, 720), second=st.floats(-720, 720))
def test_differences_go_the_short_way(first: float, second: float) -> None:
    difference = azimuth_difference(first, second)
    assert -180 <= difference < 180
    turns = (first - second - difference) / 360
    assert turns == pytest.approx(round(turns), abs=1e-9)


def test_the_default_side_depends_on_the_meridian() -> None:
    geometry = DomeGeometry(german_axis_m=0.5)
    west = aperture_azimuth(geometry, -24.6, 60, 280)
    assert west == aperture_azimuth(geometry, -24.6, 60, 280, PierSide.EAST)
    east = aperture_azimuth(geometry, -24.6, 60, 80)
    assert east == aperture_azimuth(geometry, -24.6, 60, 80, PierSide.WEST)


def test_tolerance_grows_towards_the_zenith() -> None:
    geometry = DomeGeometry(radius_m=2.5, slit_width_m=1.2, beam_m=0.6)
    assert azimuth_tolerance(geometry, 0) == pytest.approx(np.degrees(np.arcsin(0.3 / 2.5)))
    assert azimuth_tolerance(geometry, 60) > azimuth_tolerance(geometry, 30)
    assert azimuth_tolerance(geometry, 89.9) == 180
    assert azimuth_tolerance(DomeGeometry(slit_width_m=0.5), 10) == 0


def test_a_mount_outside_the_dome_is_said() -> None:
    with pytest.raises(ValueError, match="outside the dome"):
        aperture(DomeGeometry(pier_east_m=5, pier_north_m=5), 0, 80, 0)
