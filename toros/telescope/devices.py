"""The devices of the telescope."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from toros.alpaca import (
    Camera,
    FilterWheel,
    Focuser,
    Mount,
    open_camera,
    open_filter_wheel,
    open_focuser,
    open_mount,
)
from toros.common.clock import Clock
from toros.common.config import Config, Device
from toros.common.errors import DeviceError, DeviceUnreachable

log = logging.getLogger(__name__)

D = TypeVar("D", bound=FilterWheel | Focuser)


class Devices:
    """Mount, camera, and a filter wheel and a focuser where there are any.

    Nothing is sent to a device before it is used. A wheel or a focuser that the configuration
    leaves out is looked for once; an observatory may have none.
    """

    def __init__(self, config: Config, clock: Clock) -> None:
        named = config.devices
        self.mount: Mount = open_mount(named.mount, clock)
        self.camera: Camera = open_camera(named.camera, clock)
        self._wheel = _Maybe(
            open_filter_wheel(named.filter_wheel, clock), named.filter_wheel, lambda d: d.names()
        )
        self._focuser = _Maybe(
            open_focuser(named.focuser, clock), named.focuser, lambda d: d.position()
        )

    @property
    def filter_wheel(self) -> FilterWheel | None:
        """The filter wheel, None if there is none."""
        return self._wheel.get()

    @property
    def focuser(self) -> Focuser | None:
        """The focuser, None if there is none."""
        return self._focuser.get()

    def select_filter(self, name: str | None, timeout_s: float) -> str | None:
        """Bring a filter into the beam, the wheel's first if `name` is None; return its name.

        Without a wheel the name is returned as it was asked for: one filter that is always there.
        """
        wheel = self.filter_wheel
        if wheel is None:
            return name
        wheel.select(name or wheel.names()[0], timeout_s)
        return wheel.current() or name

    def check(self) -> dict[str, str]:
        """Ask each device something, and return what is wrong by its name; empty if nothing is."""
        asked: dict[str, Callable[[], object]] = {
            "mount": self.mount.state,
            "camera": self.camera.describe,
            "filter wheel": lambda: self.filter_wheel and self.filter_wheel.current(),
            "focuser": lambda: self.focuser and self.focuser.position(),
        }
        troubles = {}
        for name, ask in asked.items():
            try:
                ask()
            except DeviceError as error:
                troubles[name] = error.message
        return troubles

    def close(self) -> None:
        """Let go of the connections."""
        self.mount.close()
        self.camera.close()
        self._wheel.device.close()
        self._focuser.device.close()


class _Maybe(Generic[D]):
    """A device that the configuration may leave out and that may not exist."""

    def __init__(self, device: D, address: Device | None, ask: Callable[[D], object]) -> None:
        self.device = device
        self._ask = ask
        self._exists: bool | None = None if address is None else True

    def get(self) -> D | None:
        if self._exists is None:
            try:
                self._ask(self.device)
                self._exists = True
            except DeviceUnreachable as error:
                log.warning("Going on without it: %s", error)
                self._exists = False
        return self.device if self._exists else None
