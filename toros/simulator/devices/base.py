"""What every Alpaca device has: its name, its connection and its state."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from toros import __version__
from toros.common.clock import Clock, iso
from toros.simulator.errors import ActionNotImplemented, AlpacaError, NotConnected
from toros.simulator.members import MemberTable, absent, always, boolean, read, text, write

CONNECT_S = 0.2


class Device:
    """A simulated Alpaca device.

    Parameters
    ----------
    clock : Clock
        The observatory's time: everything that moves is a function of it.
    number : int
        Device number on the server.
    server_name : str
        From which the unique id is made.
    """

    kind: ClassVar[str]  # as in the URL: lower case
    type_name: ClassVar[str]  # as in the management API
    interface_version: ClassVar[int]
    description: ClassVar[str]
    operational: ClassVar[tuple[str, ...]]  # the members of DeviceState
    table: ClassVar[MemberTable]

    def __init__(self, clock: Clock, number: int, server_name: str) -> None:
        self.clock = clock
        self.number = number
        self.name = f"{server_name} {self.type_name} {number}"
        self.unique_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"toros:{server_name}/{self.name}"))
        self._connected = False
        self._changes_until = float("-inf")

    @property
    def connecting(self) -> bool:
        """Whether a Connect or Disconnect is under way."""
        return self.clock.unix() < self._changes_until

    @property
    def connected(self) -> bool:
        """Whether the device is connected."""
        return self._connected and not self.connecting

    def connect(self) -> None:
        """Begin to connect."""
        if not self._connected:
            self._connected = True
            self._changes_until = self.clock.unix() + CONNECT_S

    def disconnect(self) -> None:
        """Begin to disconnect."""
        if self._connected:
            self._connected = False
            self._changes_until = self.clock.unix() + CONNECT_S

    def set_connected(self, connected: bool) -> None:
        """Connect or disconnect at once (the older way)."""
        self._connected = connected
        self._changes_until = float("-inf")

    def require_connection(self) -> None:
        """Raise `NotConnected` unless the device is connected."""
        if not self.connected:
            raise NotConnected(f"{self.name} is not connected.")

    def device_state(self) -> list[dict[str, Any]]:
        """Return the operational properties that have a value now, and the time."""
        self.require_connection()
        state: list[dict[str, Any]] = []
        for name in self.operational:
            member = self.table.find(name.lower(), "GET")
            if member is None:
                raise LookupError(f"{self.type_name} has no member {name}")
            try:
                state.append({"Name": name, "Value": member.answer(self)})
            except AlpacaError:
                continue  # the specification: what has no value now is left out
        state.append({"Name": "TimeStamp", "Value": iso(self.clock.now())})
        return state

    def action(self, name: str, _parameters: str) -> str:
        """Do an action beyond the interface; there is none."""
        raise ActionNotImplemented(f"{self.type_name} has no action {name!r}.")


COMMON = MemberTable(
    [
        always(
            read("Name", lambda device: device.name),
            read("Description", lambda device: device.description),
            read("DriverInfo", lambda _device: "TOROS simulator, BSD-3-Clause"),
            read("DriverVersion", lambda _device: __version__),
            read("InterfaceVersion", lambda device: device.interface_version),
            read("SupportedActions", lambda _device: []),
            read("Connected", lambda device: device.connected),
            write("Connected", Device.set_connected, Connected=boolean()),
            read("Connecting", lambda device: device.connecting),
            write("Connect", Device.connect),
            write("Disconnect", Device.disconnect),
            read("DeviceState", Device.device_state),
        ),
        write("Action", Device.action, Action=text(), Parameters=text(required=False)),
        absent("CommandBlind", "PUT", Command=text(), Raw=boolean()),
        absent("CommandBool", "PUT", Command=text(), Raw=boolean()),
        absent("CommandString", "PUT", Command=text(), Raw=boolean()),
    ]
)
