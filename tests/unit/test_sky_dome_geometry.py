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
    clearance,
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
@settings(max_examples=300)
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


def _passes(points: np.ndarray, azim_deg: float, half_m: float) -> np.ndarray:
    """Turn the dome so that its slit looks north; return which points of it lie in the slit."""
    turn = Rotation.from_euler("z", azim_deg, degrees=True)
    across, along, _ = turn.apply(points).T
    return (np.abs(across) <= half_m) & (along >= -half_m)


def _rays(geometry: DomeGeometry, tube: np.ndarray, pointing: np.ndarray) -> np.ndarray:
    """March rays of the beam's cross-section, rim and inside, until they leave the sphere."""
    across = Rotation.align_vectors([pointing], [[0.0, 0.0, 1.0]])[0]
    angle, radius = np.meshgrid(np.linspace(0, 2 * np.pi, 90), [0.3, 0.7, 1.0])
    disc = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=-1)
    rays = tube + across.apply((geometry.beam_m / 2 * radius[..., None] * disc).reshape(-1, 3))
    low, high = np.zeros(len(rays)), np.full(len(rays), 3 * geometry.radius_m)
    for _ in range(60):
        middle = (low + high) / 2
        inside = np.linalg.norm(rays + middle[:, None] * pointing, axis=1) < geometry.radius_m
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return rays + low[:, None] * pointing


PIERS = st.floats(-0.4, 0.4)


@given(
    latitude=st.floats(-80, 80),
    hour_angle=st.floats(-89, 89),
    dec=st.floats(-85, 85),
    side=st.sampled_from(PierSide),
    place=st.tuples(PIERS, PIERS, PIERS),
    axis=st.floats(0.01, 0.6),
    beam=st.floats(0.2, 1.0),
    spare=st.floats(0.05, 0.8),
    at=st.floats(-1, 1),
)
@settings(max_examples=150)
def test_the_whole_beam_passes_wherever_the_slit_is_clear_and_not_beyond(
    latitude, hour_angle, dec, side, place, axis, beam, spare, at
) -> None:
    geometry = DomeGeometry(2.5, beam + spare, *place, german_axis_m=axis, beam_m=beam)
    tube, pointing = _by_turning_the_mount(geometry, latitude, hour_angle, dec, side)
    alt = np.degrees(np.arctan2(pointing[2], np.hypot(pointing[0], pointing[1])))
    azim = np.degrees(np.arctan2(pointing[0], pointing[1]))
    found = clearance(geometry, latitude, alt, azim, side)
    best, play = float(found.azim_deg[0]), float(found.half_deg[0])
    if play < 0:
        return  # seen from far beside the centre, the slit can be too narrow for any azimuth
    points = _rays(geometry, tube, pointing)
    half = geometry.slit_width_m / 2
    assert _passes(points, best + at * play * (1 - 1e-9), half).all()
    if play < 60:
        for beyond in (-2.0, 2.0):
            assert not _passes(points, best + np.copysign(play, beyond) + beyond, half).all()


def test_a_centred_mount_has_the_same_play_to_either_side() -> None:
    geometry = DomeGeometry(radius_m=2.5, slit_width_m=1.4, beam_m=0.6)
    found = clearance(geometry, -24.6, [0, 30, 60, 89.9], [10, 100, 200, 350])
    assert found.azim_deg[:3] == pytest.approx([10, 100, 200])
    assert np.all(np.diff(found.half_deg) > 0)
    assert found.half_deg[3] == 180
    # At the horizon the rim of the beam leaves at the height of the centre, 0.3 m aside.
    aside = np.degrees(np.arcsin(0.7 / 2.5) - np.arcsin(0.3 / 2.5))
    assert found.half_deg[0] == pytest.approx(aside, abs=0.05)
    assert clearance(DomeGeometry(slit_width_m=0.5), 0, 10, 0).half_deg[0] < 0


def test_an_altazimuth_mount_carries_its_tube_to_the_right() -> None:
    geometry = DomeGeometry(altaz_axis_m=0.5)
    east = np.degrees(np.arcsin(0.5 / 2.5))
    for azim in (0.0, 90.0, 222.0):
        assert aperture_azimuth(geometry, 40, 0, azim) == pytest.approx((azim + east) % 360)


def test_a_mount_outside_the_dome_is_said() -> None:
    with pytest.raises(ValueError, match="outside the dome"):
        aperture(DomeGeometry(pier_east_m=5, pier_north_m=5), 0, 80, 0)
