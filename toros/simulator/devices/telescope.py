"""The telescope: ITelescopeV4 of a fork or a German equatorial mount that speaks J2000."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from toros.simulator.devices.base import COMMON
from toros.simulator.devices.telescope_control import TelescopeControl
from toros.simulator.members import (
    Wait,
    absent,
    boolean,
    constant,
    integer,
    moment,
    read,
    real,
    write,
)

POLAR, GERMAN = 1, 2
J2000 = 2


def _then_wait(begin: Callable[..., None]) -> Callable[..., Wait]:
    """Return the blocking form of a method that begins a slew."""

    def both(device: TelescopeControl, *values: Any) -> Wait:
        begin(device, *values)
        return device.wait_for_slew()

    return both


_CAN = (
    *("CanFindHome", "CanPark", "CanPulseGuide", "CanSetDeclinationRate", "CanSetGuideRates"),
    *("CanSetPark", "CanSetRightAscensionRate", "CanSetTracking", "CanSlew", "CanSlewAsync"),
    *("CanSlewAltAz", "CanSlewAltAzAsync", "CanSync", "CanSyncAltAz", "CanUnpark"),
)
_EQUATORIAL = {"RightAscension": real(0, below=24), "Declination": real(-90, 90)}
_HORIZONTAL = {"Azimuth": real(0, 360), "Altitude": real(-90, 90)}

_TABLE = COMMON.joined(
    [
        constant(**dict.fromkeys(_CAN, True)),
        constant(CanSetPierSide=False, DoesRefraction=False),
        constant(EquatorialSystem=J2000, TrackingRates=[0, 1, 2, 3]),
        read("AlignmentMode", lambda t: GERMAN if t.german else POLAR),
        read("ApertureDiameter", lambda t: t.settings.aperture_m),
        read("ApertureArea", lambda t: math.pi / 4.0 * t.settings.aperture_m**2),
        read("FocalLength", lambda t: t.settings.focal_length_m),
        read("Altitude", lambda t: t.horizontal()[0]),
        read("Azimuth", lambda t: t.horizontal()[1]),
        read("RightAscension", lambda t: t.equatorial()[0] / 15.0),
        read("Declination", lambda t: t.equatorial()[1]),
        read("AtHome", lambda t: t.pose.at_home),
        read("AtPark", lambda t: t.pose.parked),
        read("Slewing", lambda t: t.pose.slewing),
        read("IsPulseGuiding", lambda t: t.pose.guiding),
        read("Tracking", lambda t: t.pose.tracking),
        write("Tracking", TelescopeControl.set_tracking, Tracking=boolean()),
        read("TrackingRate", lambda t: t.mount.rates.drive),
        write("TrackingRate", TelescopeControl.set_drive, TrackingRate=integer(0, 3)),
        read("RightAscensionRate", lambda t: t.mount.rates.ra_s),
        write(
            "RightAscensionRate",
            lambda t, value: t.set_rate("ra_s", value),
            RightAscensionRate=real(),
        ),
        read("DeclinationRate", lambda t: t.mount.rates.dec_arcsec_s),
        write(
            "DeclinationRate",
            lambda t, value: t.set_rate("dec_arcsec_s", value),
            DeclinationRate=real(),
        ),
        read("GuideRateRightAscension", lambda t: t.guide_rates[0]),
        write(
            "GuideRateRightAscension",
            lambda t, value: t.guide_rates.__setitem__(0, value),
            GuideRateRightAscension=real(0, 1),
        ),
        read("GuideRateDeclination", lambda t: t.guide_rates[1]),
        write(
            "GuideRateDeclination",
            lambda t, value: t.guide_rates.__setitem__(1, value),
            GuideRateDeclination=real(0, 1),
        ),
        absent("DoesRefraction", "PUT", DoesRefraction=boolean()),
        read("SideOfPier", TelescopeControl.side_of_pier),
        absent("SideOfPier", "PUT", SideOfPier=integer(0, 1)),
        read("DestinationSideOfPier", TelescopeControl.destination_side_of_pier, **_EQUATORIAL),
        read("SiderealTime", lambda t: t.observer.sidereal_time_deg(t.clock.unix()) / 15.0 % 24.0),
        read("SiteElevation", lambda t: t.observer.elevation_m),
        write(
            "SiteElevation",
            lambda t, value: t.set_site(elevation_m=value),
            SiteElevation=real(-300, 10000),
        ),
        read("SiteLatitude", lambda t: t.observer.latitude_deg),
        write(
            "SiteLatitude",
            lambda t, value: t.set_site(latitude_deg=value),
            SiteLatitude=real(-90, 90),
        ),
        read("SiteLongitude", lambda t: t.observer.longitude_deg),
        write(
            "SiteLongitude",
            lambda t, value: t.set_site(longitude_deg=value),
            SiteLongitude=real(-180, 180),
        ),
        read("SlewSettleTime", lambda t: round(t.mount.settle_s)),
        write("SlewSettleTime", TelescopeControl.set_settle, SlewSettleTime=integer(0, 3600)),
        read("TargetRightAscension", lambda t: t.target(0)),
        write(
            "TargetRightAscension",
            lambda t, value: t.set_target(0, value),
            TargetRightAscension=_EQUATORIAL["RightAscension"],
        ),
        read("TargetDeclination", lambda t: t.target(1)),
        write(
            "TargetDeclination",
            lambda t, value: t.set_target(1, value),
            TargetDeclination=_EQUATORIAL["Declination"],
        ),
        read("UTCDate", TelescopeControl.utc_date),
        write("UTCDate", TelescopeControl.set_utc_date, UTCDate=moment()),
        read("AxisRates", TelescopeControl.axis_rates, Axis=integer(0, 2)),
        read("CanMoveAxis", lambda _t, axis: axis < 2, Axis=integer(0, 2)),
        write("MoveAxis", TelescopeControl.move_axis, Axis=integer(0, 2), Rate=real()),
        write("AbortSlew", TelescopeControl.abort),
        write("FindHome", TelescopeControl.find_home),
        write("Park", TelescopeControl.park),
        write("Unpark", TelescopeControl.unpark),
        write("SetPark", TelescopeControl.set_park),
        write(
            "PulseGuide",
            TelescopeControl.pulse_guide,
            Direction=integer(0, 3),
            Duration=integer(0, 60000),
        ),
        write("SlewToAltAz", _then_wait(TelescopeControl.slew_altaz), **_HORIZONTAL),
        write("SlewToAltAzAsync", TelescopeControl.slew_altaz, **_HORIZONTAL),
        write("SlewToCoordinates", _then_wait(TelescopeControl.slew), **_EQUATORIAL),
        write("SlewToCoordinatesAsync", TelescopeControl.slew, **_EQUATORIAL),
        write("SlewToTarget", _then_wait(TelescopeControl.slew_to_target)),
        write("SlewToTargetAsync", TelescopeControl.slew_to_target),
        write("SyncToCoordinates", TelescopeControl.sync, **_EQUATORIAL),
        write("SyncToTarget", TelescopeControl.sync_to_target),
        write("SyncToAltAz", TelescopeControl.sync_altaz, **_HORIZONTAL),
    ]
)


class Telescope(TelescopeControl):
    """The telescope as Alpaca clients see it."""

    kind = "telescope"
    type_name = "Telescope"
    interface_version = 4
    description = "A simulated equatorial mount with a telescope"
    operational = (
        *("Altitude", "AtHome", "AtPark", "Azimuth", "Declination", "IsPulseGuiding"),
        *("RightAscension", "SideOfPier", "SiderealTime", "Slewing", "Tracking", "UTCDate"),
    )
    table = _TABLE
