"""A telescope: what it is, where it stands, where it can be told to go."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.conformance.probe import (
    INVALID,
    NOT_IMPLEMENTED,
    NOT_SET,
    PARKED,
    WRONG_STATE,
    Probe,
    is_number,
)
from tests.conformance.sky import Mount, altitude_deg, moment, separation_deg, sidereal_hours

ARRIVED_DEG = 10.0 / 3600.0
FLAGS = (
    *("CanFindHome", "CanPark", "CanPulseGuide", "CanSetDeclinationRate", "CanSetGuideRates"),
    *("CanSetPark", "CanSetPierSide", "CanSetRightAscensionRate", "CanSetTracking", "CanSlew"),
    *("CanSlewAltAz", "CanSlewAltAzAsync", "CanSlewAsync", "CanSync", "CanSyncAltAz", "CanUnpark"),
)
SITE = {
    "SiteLatitude": (10.0, (-91, 91)),
    "SiteLongitude": (20.0, (-181, 181)),
    "SiteElevation": (1000.0, (-301, 10001)),
}


@pytest.fixture
def mount(telescope: Probe) -> Iterator[Mount]:
    """A mount that tracks; afterwards it neither slews nor is parked."""
    mount = Mount(telescope)
    mount.ready()
    yield mount
    mount.ready()
    telescope.put("AbortSlew")
    mount.settle()


def test_flags_agree_with_each_other(telescope):
    flags = {flag: telescope.can(flag) for flag in FLAGS}
    assert flags["CanSlew"] == flags["CanSlewAsync"]
    assert flags["CanSlewAltAz"] == flags["CanSlewAltAzAsync"]
    assert flags["CanPark"] or not flags["CanUnpark"]


def test_what_it_is(telescope):
    assert telescope.get("AlignmentMode") in range(3)
    assert telescope.get("EquatorialSystem") in range(5)
    for member in ("ApertureArea", "ApertureDiameter", "FocalLength"):
        assert telescope.error("GET", member) in (0, NOT_IMPLEMENTED)
    if telescope.implements("DoesRefraction"):
        assert isinstance(telescope.get("DoesRefraction"), bool)


def test_where_it_points(telescope):
    assert 0.0 <= telescope.get("RightAscension") < 24.0
    assert -90.0 <= telescope.get("Declination") <= 90.0
    assert -90.0 <= telescope.get("Altitude") <= 90.0
    assert 0.0 <= telescope.get("Azimuth") < 360.0
    for member in ("AtHome", "AtPark", "Slewing", "Tracking"):
        assert isinstance(telescope.get(member), bool)


@pytest.mark.parametrize("member", SITE)
def test_the_site_is_kept_within_bounds(telescope, member):
    value, beyond = SITE[member]
    before = telescope.get(member)
    assert is_number(before)
    if telescope.error("PUT", member, **{member: before}) == NOT_IMPLEMENTED:
        pytest.skip("the site cannot be set")
    telescope.refuses_values(member, beyond)
    try:
        telescope.roundtrip(member, value, 1e-6)
    finally:
        telescope.roundtrip(member, before, 1e-6)


def test_its_clock_is_utc(telescope):
    text = telescope.get("UTCDate")
    before = moment(text)
    assert text.endswith(("Z", "+00:00"))
    later = before + timedelta(hours=1)
    form = later.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if telescope.error("PUT", "UTCDate", UTCDate=form) == NOT_IMPLEMENTED:
        pytest.skip("its clock cannot be set")
    ahead = (moment(telescope.get("UTCDate")) - later).total_seconds()
    assert 0.0 <= ahead < 600.0
    back = moment(telescope.get("UTCDate")) - timedelta(hours=1)
    telescope.set("UTCDate", back.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    assert telescope.raw("PUT", "utcdate", data={"UTCDate": "yesterday"}).status_code in (200, 400)
    assert telescope.error("PUT", "UTCDate", UTCDate="yesterday") == INVALID


def test_sidereal_time_follows_from_date_and_longitude(telescope):
    mount = Mount(telescope)
    before = sidereal_hours(mount.now(), telescope.get("SiteLongitude"))
    told = telescope.get("SiderealTime")
    after = sidereal_hours(mount.now(), telescope.get("SiteLongitude"))
    assert 0.0 <= told < 24.0
    slack = 5.0 / 3600.0
    late, early = (math.remainder(told - edge, 24.0) for edge in (before, after))
    assert late > -slack
    assert early < slack


def test_settling_time(telescope):
    if not telescope.implements("SlewSettleTime"):
        pytest.skip("no settling time")
    before = telescope.get("SlewSettleTime")
    telescope.refuses("SlewSettleTime", INVALID, SlewSettleTime=-1)
    telescope.roundtrip("SlewSettleTime", before)


@pytest.mark.parametrize(
    ("member", "value", "beyond"),
    [("TargetRightAscension", 5.5, (-1, 25)), ("TargetDeclination", 10.5, (-91, 91))],
)
def test_targets(telescope, member, value, beyond):
    telescope.need("CanSlewAsync")
    before = telescope.error("GET", member)
    assert before in (0, NOT_SET, WRONG_STATE)
    telescope.refuses_values(member, beyond)
    telescope.roundtrip(member, value, 1e-6)


def test_a_fresh_mount_has_no_target(server):
    if not server.fresh:
        pytest.skip("the mount may have been used")
    for number in server.numbers("telescope"):
        probe = Probe(server, "telescope", number)
        server.request("POST", "/simulator/v1/restart", json={})
        probe.ensure_connected()
        for member in ("TargetRightAscension", "TargetDeclination"):
            probe.refuses(member, NOT_SET, verb="GET")


@pytest.mark.parametrize("hours", [-3.0, 3.0])
def test_it_slews_to_coordinates(telescope, mount, hours):
    telescope.need("CanSlewAsync")
    ra, dec = mount.field(hours)
    telescope.put("SlewToCoordinatesAsync", RightAscension=ra, Declination=dec)
    assert telescope.get("Slewing") or separation_deg(mount.position(), (ra, dec)) < ARRIVED_DEG
    assert telescope.get("TargetRightAscension") == pytest.approx(ra, abs=1e-6)
    assert telescope.get("TargetDeclination") == pytest.approx(dec, abs=1e-6)
    mount.settle()
    assert separation_deg(mount.position(), (ra, dec)) < ARRIVED_DEG
    assert telescope.get("Tracking") is True


def test_horizontal_and_equatorial_position_agree(telescope, mount):
    telescope.need("CanSlewAsync")
    mount.slew(2.0)
    ra, dec = mount.position()
    hours = telescope.get("SiderealTime") - ra
    expected = altitude_deg(hours, dec, telescope.get("SiteLatitude"))
    # A degree: the mount may speak of another equinox, and its clock runs between the questions.
    assert telescope.get("Altitude") == pytest.approx(expected, abs=1.0)


def test_it_slews_to_its_target(telescope, mount):
    telescope.need("CanSlewAsync")
    ra, dec = mount.field(-1.0)
    telescope.set("TargetRightAscension", ra)
    telescope.set("TargetDeclination", dec)
    telescope.put("SlewToTargetAsync")
    mount.settle()
    assert separation_deg(mount.position(), (ra, dec)) < ARRIVED_DEG


@pytest.mark.parametrize(("ra", "dec"), [(-1, 0), (25, 0), (12, -100), (12, 100)])
def test_coordinates_that_are_none_are_refused(telescope, mount, ra, dec):
    telescope.need("CanSlewAsync")
    for member in ("SlewToCoordinatesAsync", "SyncToCoordinates"):
        if member.startswith("Sync") and not telescope.can("CanSync"):
            continue
        telescope.refuses(member, INVALID, RightAscension=ra, Declination=dec)
    assert telescope.get("Slewing") is False


def test_it_slews_to_a_direction(telescope, mount):
    telescope.need("CanSlewAltAzAsync")
    mount.ready(tracking=False)
    for azimuth in (150.0, 210.0):
        telescope.put("SlewToAltAzAsync", Azimuth=azimuth, Altitude=50.0)
        mount.settle()
        assert telescope.get("Altitude") == pytest.approx(50.0, abs=0.1)
        assert telescope.get("Azimuth") == pytest.approx(azimuth, abs=0.1)
    for azimuth, altitude in ((-10, 45), (370, 45), (180, -100), (180, 100)):
        telescope.refuses("SlewToAltAzAsync", INVALID, Azimuth=azimuth, Altitude=altitude)


def test_an_abort_ends_a_slew(telescope, mount):
    telescope.need("CanSlewAsync")
    mount.slew(3.0)
    ra, dec = mount.field(-3.0)
    telescope.put("SlewToCoordinatesAsync", RightAscension=ra, Declination=dec)
    telescope.put("AbortSlew")
    mount.settle()
    assert telescope.get("Slewing") is False


def test_it_can_be_synchronised(telescope, mount):
    telescope.need("CanSync")
    telescope.need("CanSlewAsync")
    ra, dec = mount.slew(1.0)
    shifted = ((ra + 2.0 / 60.0) % 24.0, dec + 0.5)
    telescope.put("SyncToCoordinates", RightAscension=shifted[0], Declination=shifted[1])
    assert separation_deg(mount.position(), shifted) < ARRIVED_DEG
    assert telescope.get("TargetRightAscension") == pytest.approx(shifted[0], abs=1e-6)
    telescope.put("SyncToCoordinates", RightAscension=ra, Declination=dec)
    assert separation_deg(mount.position(), (ra, dec)) < ARRIVED_DEG


def test_it_parks_and_then_does_not_move(telescope, mount):
    telescope.need("CanPark")
    telescope.put("Park")
    telescope.wait(lambda: telescope.get("AtPark"), "the park position")
    mount.settle()
    telescope.put("Park")
    telescope.wait(lambda: telescope.get("AtPark"), "the park position")
    ra, dec = mount.field(0.0)
    refused = {
        "CanSlewAsync": ("SlewToCoordinatesAsync", {"RightAscension": ra, "Declination": dec}),
        "CanSync": ("SyncToCoordinates", {"RightAscension": ra, "Declination": dec}),
        "CanPulseGuide": ("PulseGuide", {"Direction": 0, "Duration": 0}),
        "CanFindHome": ("FindHome", {}),
    }
    for flag, (member, form) in refused.items():
        if telescope.can(flag):
            telescope.refuses(member, PARKED, **form)
    if telescope.get("CanMoveAxis", Axis=0):
        telescope.refuses("MoveAxis", PARKED, Axis=0, Rate=0)
    telescope.refuses("AbortSlew", PARKED)
    if telescope.can("CanUnpark"):
        telescope.put("Unpark")
        telescope.wait(lambda: not telescope.get("AtPark"), "the mount to leave its park")
        telescope.put("Unpark")
        assert telescope.get("AtPark") is False
    else:
        telescope.refuses("Unpark", NOT_IMPLEMENTED)


def test_home_is_not_the_park_position(telescope, mount):
    telescope.need("CanFindHome")
    telescope.put("FindHome")
    telescope.wait(lambda: telescope.get("AtHome"), "home")
    mount.settle()
    assert telescope.get("AtPark") is False
