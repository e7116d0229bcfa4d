from __future__ import annotations

import pytest

from tests.conformance.probe import INVALID, NOT_IMPLEMENTED, WRONG_STATE, turn

OPEN, CLOSED, OPENING, CLOSING, ERROR = range(5)
AT_DEG = 1.0
# The flag of each member, and its parameters.
MEMBERS = {
    "FindHome": ("CanFindHome", {}),
    "Park": ("CanPark", {}),
    "SetPark": ("CanSetPark", {}),
    "SlewToAltitude": ("CanSetAltitude", {"Altitude": 45}),
    "SlewToAzimuth": ("CanSetAzimuth", {"Azimuth": 45}),
    "OpenShutter": ("CanSetShutter", {}),
    "CloseShutter": ("CanSetShutter", {}),
    "SyncToAzimuth": ("CanSyncAzimuth", {"Azimuth": 45}),
}


def settle(dome) -> None:
    dome.wait(lambda: not dome.get("Slewing"), "the dome")


@pytest.mark.parametrize("member", MEMBERS)
def test_what_it_cannot_do_is_refused(dome, member):
    flag, parameters = MEMBERS[member]
    if dome.can(flag):
        pytest.skip(f"{flag} is true: tested on its own")
    dome.refuses(member, NOT_IMPLEMENTED, **parameters)


def test_what_it_can_do_can_be_read(dome):
    assert isinstance(dome.get("Slewing"), bool)
    if dome.can("CanSetAzimuth"):
        assert 0.0 <= dome.get("Azimuth") < 360.0
    if dome.can("CanSetAltitude"):
        assert 0.0 <= dome.get("Altitude") <= 90.0
    if dome.can("CanFindHome"):
        assert isinstance(dome.get("AtHome"), bool)
    if dome.can("CanPark"):
        assert isinstance(dome.get("AtPark"), bool)
    if dome.can("CanSetShutter"):
        assert dome.get("ShutterStatus") in range(5)
    else:
        assert dome.error("GET", "ShutterStatus") in (0, NOT_IMPLEMENTED)


def test_slaving(dome):
    assert dome.get("Slaved") is False
    if not dome.can("CanSlave"):
        dome.refuses("Slaved", NOT_IMPLEMENTED, Slaved=True)


@pytest.mark.parametrize("azimuth", [0, 45, 135, 225, 315, 359, 10])
def test_it_turns_to_an_azimuth(dome, azimuth):
    dome.need("CanSetAzimuth")
    dome.put("SlewToAzimuth", Azimuth=azimuth)
    assert dome.get("Slewing") or abs(turn(dome.get("Azimuth"), azimuth)) < AT_DEG
    settle(dome)
    assert abs(turn(dome.get("Azimuth"), azimuth)) < AT_DEG


@pytest.mark.parametrize("azimuth", [-10, 370])
def test_azimuths_that_are_none_are_refused(dome, azimuth):
    dome.need("CanSetAzimuth")
    dome.refuses("SlewToAzimuth", INVALID, Azimuth=azimuth)


@pytest.mark.parametrize("altitude", [-10, 100])
def test_altitudes_that_are_none_are_refused(dome, altitude):
    dome.need("CanSetAltitude")
    dome.refuses("SlewToAltitude", INVALID, Altitude=altitude)


def test_home_is_found(dome):
    dome.need("CanFindHome")
    dome.put("FindHome")
    settle(dome)
    dome.wait(lambda: dome.get("AtHome"), "AtHome")
    if dome.can("CanSetAzimuth"):
        away = (dome.get("Azimuth") + 40.0) % 360.0
        dome.put("SlewToAzimuth", Azimuth=away)
        settle(dome)
        assert dome.get("AtHome") is False


def test_it_parks(dome):
    dome.need("CanPark")
    dome.put("Park")
    settle(dome)
    dome.wait(lambda: dome.get("AtPark"), "AtPark")
    dome.put("Park")
    settle(dome)
    assert dome.get("AtPark") is True
    if dome.can("CanSetAzimuth"):
        away = (dome.get("Azimuth") + 40.0) % 360.0
        dome.put("SlewToAzimuth", Azimuth=away)
        settle(dome)
        assert dome.get("AtPark") is False


def test_the_shutter_shows_where_it_is_going(dome):
    dome.need("CanSetShutter")
    for member, going, end in (
        ("CloseShutter", CLOSING, CLOSED),
        ("OpenShutter", OPENING, OPEN),
        ("CloseShutter", CLOSING, CLOSED),
    ):
        dome.put(member)
        status, slewing = dome.get("ShutterStatus"), dome.get("Slewing")
        assert status in (going, end)
        if status == going and not slewing:
            # It may have arrived between the two questions, and only then.
            assert dome.get("ShutterStatus") == end
        dome.wait(lambda end=end: dome.get("ShutterStatus") == end, "the shutter")
        settle(dome)


def test_an_abort_stops_everything(dome):
    if dome.can("CanSetAzimuth"):
        dome.put("SlewToAzimuth", Azimuth=(dome.get("Azimuth") + 170.0) % 360.0)
    elif dome.can("CanSetShutter"):
        dome.put("OpenShutter")
    dome.put("AbortSlew")
    settle(dome)
    assert dome.get("Slaved") is False
    if dome.can("CanSetShutter"):
        dome.put("CloseShutter")
        dome.wait(lambda: dome.get("ShutterStatus") == CLOSED, "the shutter")


def test_the_azimuth_can_be_synchronised(dome):
    dome.need("CanSyncAzimuth")
    dome.need("CanSetAzimuth")
    dome.put("SlewToAzimuth", Azimuth=50)
    settle(dome)
    here = dome.get("Azimuth")
    for goal in ((here + 2.0) % 360.0, here):
        dome.put("SyncToAzimuth", Azimuth=goal)
        assert abs(turn(dome.get("Azimuth"), goal)) < 0.1
    for bad in (-10, 370):
        dome.refuses("SyncToAzimuth", INVALID, Azimuth=bad)


def test_the_park_position_can_be_changed(dome):
    dome.need("CanSetPark")
    if not dome.server.fresh:
        pytest.skip("the park position of a dome in use is left alone")
    dome.put("SlewToAzimuth", Azimuth=123)
    settle(dome)
    dome.put("SetPark")
    dome.put("SlewToAzimuth", Azimuth=90)
    settle(dome)
    dome.put("Park")
    dome.wait(lambda: dome.get("AtPark"), "AtPark")
    assert dome.get("Azimuth") == pytest.approx(123.0, abs=AT_DEG)


def test_refusals_are_not_silent(dome):
    if not dome.can("CanSlave"):
        assert dome.error("PUT", "Slaved", Slaved=True) in (NOT_IMPLEMENTED, WRONG_STATE)
