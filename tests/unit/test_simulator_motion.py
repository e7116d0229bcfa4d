from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toros.common.clock import Clock
from toros.common.config.simulator import DomeSettings
from toros.simulator.astrometry import Observer, between, separation_deg
from toros.simulator.devices.dome import Dome, disc_within
from toros.simulator.devices.mount import SIDEREAL_ARCSEC_S, Hold, Mount, Pose
from toros.simulator.motion import Ramp, Timeline, shortest_turn

MACON = Observer(-24.6226, -67.3218, 4650.0)
NIGHT = 1503014400.0
degrees = st.floats(-1000.0, 1000.0)


def test_a_timeline_remembers_what_was_in_force():
    line = Timeline("rest")
    line.command(10.0, "slew")
    line.then(20.0, "track")
    assert [line.at(unix) for unix in (9.9, 10.0, 19.9, 20.0, 1e9)] == [
        *("rest", "slew", "slew", "track", "track")
    ]


def test_a_new_command_cancels_what_was_planned_but_not_the_past():
    line = Timeline("rest")
    line.command(10.0, "slew")
    line.then(20.0, "track")
    line.command(15.0, "stop")
    assert [line.at(unix) for unix in (12.0, 16.0, 30.0)] == ["slew", "stop", "stop"]


def test_a_timeline_does_not_grow_without_end():
    line = Timeline(0)
    for unix in range(5000):
        line.command(float(unix), unix)
    assert len(line._segments) < 1000
    assert line.at(4999.5) == 4999


@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.floats(0.01, 100.0), st.floats(0, 1e5))
def test_a_ramp_stays_between_its_ends_and_arrives(first, last, rate, after):
    ramp = Ramp(NIGHT, first, last, rate)
    value = ramp.value(NIGHT + after)
    assert min(first, last) - 1e-6 <= value <= max(first, last) + 1e-6
    assert ramp.value(ramp.end_unix) == last


@given(degrees, degrees)
def test_the_shorter_turn_arrives_and_is_at_most_half_a_circle(first, last):
    turn = shortest_turn(first, last)
    assert -180.0 < turn <= 180.0
    assert math.isclose(math.remainder(first + turn - last, 360.0), 0.0, abs_tol=1e-8)


def test_horizontal_coordinates_agree_with_astropy():
    from astropy import units as u
    from astropy.coordinates import AltAz, EarthLocation, SkyCoord
    from astropy.time import Time
    from astropy.utils import iers

    place = EarthLocation(
        lon=MACON.longitude_deg * u.deg,
        lat=MACON.latitude_deg * u.deg,
        height=MACON.elevation_m * u.m,
    )
    with iers.conf.set_temp("auto_download", False):
        frame = AltAz(obstime=Time(NIGHT, format="unix"), location=place)
        for ra, dec in ((197.45, -23.38), (10.0, 40.0), (300.0, -85.0)):
            want = SkyCoord(ra, dec, unit="deg").transform_to(frame)
            alt, azim = MACON.altaz(NIGHT, ra, dec)
            # UT1 by the whole day and no polar motion: under an arcsecond.
            assert separation_deg(azim, alt, want.az.deg, want.alt.deg) < 1.0 / 3600.0
        time = Time(NIGHT, format="unix", location=place)
        sidereal = time.sidereal_time("apparent").deg
    assert MACON.sidereal_time_deg(NIGHT) == pytest.approx(sidereal, abs=1e-4)


@given(st.floats(0, 359.99), st.floats(-89, 89))
def test_horizontal_and_back(ra, dec):
    alt, azim = MACON.altaz(NIGHT, ra, dec)
    back = MACON.radec(NIGHT, alt, azim)
    assert separation_deg(ra, dec, *back) < 1e-6


@given(st.floats(0, 1), st.floats(-80, 80), st.floats(0, 359), st.floats(-80, 80))
def test_a_slew_flies_the_great_circle(fraction, alt, azim, other):
    first, last = (alt, azim), (other, (azim + 50.0) % 360.0)
    here = between(first, last, fraction)
    whole = separation_deg(first[1], first[0], last[1], last[0])
    assert separation_deg(first[1], first[0], here[1], here[0]) == pytest.approx(
        fraction * whole, abs=1e-5
    )


def test_a_mount_slews_at_its_rate_then_tracks():
    mount = Mount(MACON, Pose(Hold(30.0, 180.0)), slew_rate_deg_s=2.0, settle_s=3.0)
    ra, dec = 250.0, -30.0
    alt, azim = MACON.altaz(NIGHT, ra, dec)
    angle = separation_deg(180.0, 30.0, azim, alt)
    goal = mount.tracked(NIGHT, ra, dec)
    end = mount.slew(NIGHT, Pose(goal, tracking=True))
    assert end - NIGHT == pytest.approx(angle / 2.0 + 3.0)
    assert mount.pose(NIGHT + 0.01).slewing
    assert mount.pose(end).tracking
    assert not mount.pose(end).slewing
    assert separation_deg(*mount.equatorial(end + 3600.0), ra, dec) < 1e-9


def test_a_standing_mount_drifts_at_the_sidereal_rate():
    mount = Mount(MACON, Pose(Hold(40.0, 90.0)), 2.0, 0.0)
    first, last = mount.equatorial(NIGHT), mount.equatorial(NIGHT + 100.0)
    drift = math.remainder(last[0] - first[0], 360.0) * 3600.0 / 100.0
    assert drift == pytest.approx(SIDEREAL_ARCSEC_S, rel=1e-3)


def make_dome() -> Dome:
    clock = Clock(start=NIGHT, anchor=0.0, rate=1e-9)  # a clock that stands still
    return Dome(clock, 0, "test", DomeSettings(park_azimuth=100.0))


def test_a_closed_shutter_passes_no_light():
    assert make_dome().light_fraction(NIGHT, 45.0, 100.0, 0.6) == 0.0


def test_light_falls_off_as_the_slit_turns_away():
    dome = make_dome()
    dome.move_shutter(1.0)
    later = NIGHT + 1000.0
    light = [
        dome.light_fraction(later, 45.0, 100.0 + turn, 0.6) for turn in (0, 5, 15, 36, 60, 180)
    ]
    assert light[0] == light[1] == 1.0
    assert 0.0 < light[2] < 1.0
    assert light[3:] == [0.0, 0.0, 0.0]
    assert (
        dome.light_fraction(later, 89.0, 280.0, 0.6) == 1.0
    )  # near the zenith any azimuth will do


def test_the_clipped_disc_agrees_with_its_geometry():
    assert disc_within(-2.0, 1.0) == 0.0
    assert disc_within(0.0, 1.0) == pytest.approx(0.5)
    assert disc_within(0.5, 1.0) == pytest.approx(1 - (math.pi / 3 - math.sqrt(3) / 4) / math.pi)
    assert disc_within(2.0, 1.0) == 1.0
