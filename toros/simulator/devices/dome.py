"""The dome as Alpaca clients see it: IDomeV3, of a dome with a slit or of a roof."""

from __future__ import annotations

from toros.common.clock import Clock
from toros.common.config.simulator import DomeSettings
from toros.simulator.devices.base import COMMON
from toros.simulator.devices.dome_control import DomeControl, disc_within
from toros.simulator.members import absent, boolean, constant, read, real, write

__all__ = ["Dome", "disc_within"]

_AZIMUTH = {"Azimuth": real(0, below=360)}

_SHUTTER = COMMON.joined(
    [
        constant(CanSetShutter=True, CanSetAltitude=False, CanSlave=False, Slaved=False),
        absent("Altitude"),
        absent("SlewToAltitude", "PUT", Altitude=real()),
        absent("Slaved", "PUT", Slaved=boolean()),
        read("ShutterStatus", DomeControl.shutter_status),
        read("Slewing", DomeControl.slewing),
        write("AbortSlew", DomeControl.abort),
        write("OpenShutter", lambda dome: dome.move_shutter(1.0)),
        write("CloseShutter", lambda dome: dome.move_shutter(0.0)),
    ]
)
_TURNING = _SHUTTER.joined(
    [
        constant(CanFindHome=True, CanPark=True, CanSetAzimuth=True, CanSetPark=True),
        constant(CanSyncAzimuth=True),
        read("AtHome", DomeControl.at_home),
        read("AtPark", DomeControl.at_park),
        read("Azimuth", DomeControl.azimuth),
        write("FindHome", DomeControl.find_home),
        write("Park", DomeControl.park),
        write("SetPark", DomeControl.set_park),
        write("SlewToAzimuth", DomeControl.turn, **_AZIMUTH),
        write("SyncToAzimuth", DomeControl.sync, **_AZIMUTH),
    ]
)
_ROOF = _SHUTTER.joined(
    [
        constant(CanFindHome=False, CanPark=False, CanSetAzimuth=False, CanSetPark=False),
        constant(CanSyncAzimuth=False),
        [absent(name) for name in ("AtHome", "AtPark", "Azimuth")],
        [absent(name, "PUT") for name in ("FindHome", "Park", "SetPark")],
        [absent(name, "PUT", **_AZIMUTH) for name in ("SlewToAzimuth", "SyncToAzimuth")],
    ]
)


class Dome(DomeControl):
    """The dome as Alpaca clients see it."""

    kind = "dome"
    type_name = "Dome"
    interface_version = 3
    description = "A simulated dome"
    operational = ("AtHome", "AtPark", "Azimuth", "ShutterStatus", "Slewing")
    table = _TURNING

    def __init__(self, clock: Clock, number: int, server_name: str, settings: DomeSettings) -> None:
        super().__init__(clock, number, server_name, settings)
        if settings.kind != "slit":
            self.table = _ROOF
            self.parts, self.slipping_parts = ("shutter",), ()
