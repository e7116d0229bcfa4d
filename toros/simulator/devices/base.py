"""What every Alpaca device has: its name, its connection and its state."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from toros import __version__
from toros.common.clock import Clock, iso
from toros.simulator.errors import ActionNotImplemented, AlpacaError, NotConnected
from toros.simulator.members import (
    MemberTable,
    absent,
    always,
    boolean,
    by_client,
    read,
    text,
    write,
)

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
    table: MemberTable

    def __init__(self, clock: Clock, number: int, server_name: str) -> None:
        self.clock = clock
        self.number = number
        self.name = f"{server_name} {self.type_name} {number}"
        self.unique_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"toros:{server_name}/{self.name}"))
        # Each client has its own connection; the hardware is connected while any has one.
        self._clients: set[int] = set()
        self._changes_until = float("-inf")

    @property
    def connecting(self) -> bool:
        """Whether a Connect or Disconnect is under way."""
        return self.clock.unix() < self._changes_until

    @property
    def connected(self) -> bool:
        """Whether any client is connected, and the device with it."""
        return bool(self._clients) and not self.connecting

    def connected_for(self, client_id: int) -> bool:
        """Return whether a client is connected."""
        return client_id in self._clients and not self.connecting

    def connect(self, client_id: int = 0) -> None:
        """Begin to connect a client."""
        if not self._clients:
            self._changes_until = self.clock.unix() + CONNECT_S
        self._clients.add(client_id)

    def disconnect(self, client_id: int = 0) -> None:
        """Begin to disconnect a client."""
        if self._clients == {client_id}:
            self._changes_until = self.clock.unix() + CONNECT_S
        self._clients.discard(client_id)

    def set_connected(self, client_id: int, connected: bool) -> None:
        """Connect or disconnect a client at once (the older way)."""
        (self._clients.add if connected else self._clients.discard)(client_id)
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

    # Trouble, as a test orders it

    parts: tuple[str, ...] = ()  # what can be stuck

    def jam(self, part: str, until: float) -> None:
        """Let a part be stuck until then; a moment that is past lets it go."""
        raise NotImplementedError(f"{type(self).__name__} has no {part}")

    slipping_parts: tuple[str, ...] = ()  # what can lose steps

    def slip(self, part: str, amount: float, until: float) -> None:
        """Let each move of a part go wrong by `amount` until then."""
        raise NotImplementedError(f"{type(self).__name__} has no {part}")

    def power_cycle(self, **_lost: bool) -> None:
        """Forget what a device forgets without power; what is made of metal stays where it is."""
        self._clients.clear()
        self._changes_until = float("-inf")

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
            *by_client(
                read("Connected", Device.connected_for),
                write("Connected", Device.set_connected, Connected=boolean()),
                write("Connect", Device.connect),
                write("Disconnect", Device.disconnect),
            ),
            read("Connecting", lambda device: device.connecting),
            read("DeviceState", Device.device_state),
        ),
        write("Action", Device.action, Action=text(), Parameters=text(required=False)),
        absent("CommandBlind", "PUT", Command=text(), Raw=boolean()),
        absent("CommandBool", "PUT", Command=text(), Raw=boolean()),
        absent("CommandString", "PUT", Command=text(), Raw=boolean()),
    ]
)
