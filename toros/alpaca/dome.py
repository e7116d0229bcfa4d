"""The dome: azimuth and shutter, each read back from the hardware."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from alpaca.dome import ShutterState

from toros.alpaca.answers import is_not_connected
from toros.alpaca.device import AlpacaDevice, number, optional, truth
from toros.alpaca.http import Limits
from toros.alpaca.members import Dome as DomeMembers
from toros.alpaca.waiting import initiate, wait_until
from toros.common.clock import Clock
from toros.common.config import Device
from toros.common.errors import Cancelled, DeviceError, DeviceRefused, ReadBackMismatch

_log = logging.getLogger(__name__)

Shutter = Literal["open", "closed", "opening", "closing", "error", "unknown"]

SLEW_TIMEOUT_S = 180.0
SHUTTER_TIMEOUT_S = 180.0
ARRIVED_DEG = 1.0
# A shutter that was told to close moves within this (observatory seconds).
STARTS_WITHIN_S = 10.0

_SHUTTERS: dict[int, Shutter] = {
    ShutterState.shutterOpen: "open",
    ShutterState.shutterClosed: "closed",
    ShutterState.shutterOpening: "opening",
    ShutterState.shutterClosing: "closing",
    ShutterState.shutterError: "error",
}


@dataclass(frozen=True)
class DomeState:
    """What a dome reads. `azim_deg` is None for a roof that does not turn."""

    azim_deg: float | None
    shutter: Shutter
    slewing: bool
    at_park: bool
    at_home: bool


class Dome(AlpacaDevice[DomeMembers]):
    """A dome or roof. Use `open_dome`."""

    def __init__(self, address: Device | None, clock: Clock, limits: Limits | None = None) -> None:
        super().__init__("dome", DomeMembers, address, clock, limits)
        self._tells_all = True  # until it refuses DeviceState, which came with Platform 7

    def state(self) -> DomeState:
        """Return where the dome stands and what it does, in one question where it can be."""
        told = self._device_state()
        azim_deg = number(told["azimuth"], "dome azimuth") if "azimuth" in told else self.azimuth()
        shutter = _shutter(told["shutterstatus"]) if "shutterstatus" in told else self.shutter()
        return DomeState(
            azim_deg=azim_deg,
            shutter=shutter,
            slewing=self._is("Slewing", told),
            at_park=self._is("AtPark", told),
            at_home=self._is("AtHome", told),
        )

    def _is(self, member: str, told: dict[str, Any]) -> bool:
        name = member.lower()
        if name in told:
            return truth(told[name], f"dome {name}")
        return bool(optional(lambda: truth(self._link.get(name), f"dome {name}")))

    def _device_state(self) -> dict[str, Any]:
        """Return the DeviceState of Platform 7 by lower-case names; empty where there is none."""
        if not self._tells_all:
            return {}
        try:
            told = self._link.get("devicestate")
            return {str(entry["Name"]).lower(): entry["Value"] for entry in told}
        except DeviceRefused as error:
            if is_not_connected(error):
                raise
            self._tells_all = False
        except (TypeError, KeyError) as error:
            raise DeviceError("dome devicestate: the answer is not a list of values.") from error
        return {}

    def shutter(self) -> Shutter:
        """Return the state of the shutter; "unknown" if the dome does not know one."""
        found = optional(lambda: self._link.get("shutterstatus"))
        return "unknown" if found is None else _shutter(found)

    def azimuth(self) -> float | None:
        """Return the azimuth of the aperture, degrees; None if the roof does not turn."""
        return optional(lambda: number(self._members.Azimuth, "dome azimuth"))

    def turns(self) -> bool:
        """Return whether the dome has an azimuth that can be set."""
        return bool(optional(lambda: truth(self._members.CanSetAzimuth, "dome cansetazimuth")))

    def parks(self) -> bool:
        """Return whether the dome has a park position."""
        return bool(optional(lambda: truth(self._members.CanPark, "dome canpark")))

    def slew_azimuth(
        self,
        azim_deg: float,
        timeout_s: float = SLEW_TIMEOUT_S,
        tolerance_deg: float = ARRIVED_DEG,
        cancelled: threading.Event | None = None,
    ) -> None:
        """Turn the aperture to an azimuth, and wait until it reads there.

        A cancelled wait leaves the dome turning: AbortSlew would stop a closing shutter too.
        """
        azim_deg = _azimuth(azim_deg)
        initiate(lambda: self._members.SlewToAzimuth(azim_deg), "turning of the dome")

        def arrived() -> bool:
            azimuth = self.azimuth()
            if azimuth is None or _apart(azimuth, azim_deg) > tolerance_deg:
                return False
            # Slewing is also true while the shutter moves, which is no concern of the azimuth.
            moving = truth(self._members.Slewing, "dome slewing")
            return not moving or self.shutter() in ("opening", "closing")

        wait_until(
            arrived,
            clock=self._clock,
            timeout_s=timeout_s,
            what=f"the dome to turn to {azim_deg:.1f}°",
            cancelled=cancelled,
        )

    def open_shutter(
        self, timeout_s: float = SHUTTER_TIMEOUT_S, cancelled: threading.Event | None = None
    ) -> None:
        """Open the shutter, and wait until it reads open.

        A cancelled opening leaves the shutter moving, for whoever cancelled it to close.
        """
        if cancelled is not None and cancelled.is_set():
            raise Cancelled("cancelled before the shutter was opened.")
        initiate(self._members.OpenShutter, "opening of the shutter")

        def opened() -> bool:
            found = self.shutter()
            if found == "error":
                raise ReadBackMismatch("the shutter reports an error.")
            return found == "open"

        wait_until(
            opened,
            clock=self._clock,
            timeout_s=timeout_s,
            what="the shutter to read open",
            cancelled=cancelled,
        )

    def close_shutter(
        self,
        timeout_s: float = SHUTTER_TIMEOUT_S,
        clear_way: Callable[[], object] | None = None,
    ) -> None:
        """Close the shutter, and wait until it reads closed.

        A command that was lost is given again, but only when the hardware reads that it is not
        being obeyed: to close is the one command that cannot be given too often. `clear_way` is
        called before: what stopped the shutter may have moved what can stand in its way.
        """
        self._start_closing()
        told = self._clock.monotonic()

        def closed() -> bool:
            nonlocal told
            found = self.shutter()
            if found == "closing":
                told = self._clock.monotonic()
            elif found != "closed" and self._clock.monotonic() - told > STARTS_WITHIN_S:
                _log.warning("the shutter reads %s: it is told to close again", found)
                if clear_way is not None:
                    clear_way()
                self._start_closing()
                told = self._clock.monotonic()
            return found == "closed"

        wait_until(
            closed, clock=self._clock, timeout_s=timeout_s, what="the shutter to read closed"
        )

    def _start_closing(self) -> None:
        def close() -> None:
            initiate(self._members.CloseShutter, "closing of the shutter")

        try:
            close()
        except DeviceRefused:
            # Some drivers refuse to turn a moving shutter round: stop it, then close.
            self._members.AbortSlew()
            close()
        except DeviceError as error:
            # The connection broke, or the answer makes no sense: the command may have arrived.
            _log.warning("closing of the shutter: %s The reading will decide.", error)

    def park(self, timeout_s: float = SLEW_TIMEOUT_S) -> None:
        """Park the dome, and wait until it reads parked."""
        initiate(self._members.Park, "park of the dome")
        wait_until(
            lambda: truth(self._members.AtPark, "dome atpark"),
            clock=self._clock,
            timeout_s=timeout_s,
            what="the dome to park",
        )

    def sync(self, azim_deg: float) -> None:
        """Tell the dome that its aperture stands at an azimuth, and read it back."""
        azim_deg = _azimuth(azim_deg)
        self._members.SyncToAzimuth(azim_deg)
        azimuth = self.azimuth()
        if azimuth is None or _apart(azimuth, azim_deg) > ARRIVED_DEG:
            raise ReadBackMismatch(f"the dome was set to {azim_deg:.1f}° but reads {azimuth}.")

    def abort(self) -> None:
        """Stop whatever moves."""
        self._members.AbortSlew()


def _shutter(found: Any) -> Shutter:
    """Return the name of a state; "unknown" for what is in no specification."""
    # JSON's true equals 1, which is "closed".
    known = isinstance(found, int) and not isinstance(found, bool)
    return _SHUTTERS.get(found, "unknown") if known else "unknown"


def _azimuth(degrees: float) -> float:
    # The remainder of a tiny negative number is 360.0 itself, which devices refuse.
    return degrees % 360.0 % 360.0


def _apart(first_deg: float, second_deg: float) -> float:
    return abs((first_deg - second_deg + 180.0) % 360.0 - 180.0)


def open_dome(address: Device | None, clock: Clock, limits: Limits | None = None) -> Dome:
    """Return the dome at `address`, or the only one that discovery finds. Connects when used."""
    return Dome(address, clock, limits)
