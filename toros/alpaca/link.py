"""The link to one device: found, connected and connected again, its reads retried."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from toros.alpaca import answers
from toros.alpaca.http import Http, Limits
from toros.common.clock import Clock
from toros.common.errors import (
    DeviceError,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnreachable,
    ReadBackMismatch,
)

_log = logging.getLogger(__name__)
_machine = Clock()
_Result = TypeVar("_Result")

# The first interface version that has Connect, Disconnect and Connecting (ASCOM Platform 7).
_PLATFORM_7 = {
    "camera": 4,
    "covercalibrator": 2,
    "dome": 3,
    "filterwheel": 3,
    "focuser": 4,
    "observingconditions": 2,
    "safetymonitor": 3,
    "telescope": 4,
}


class Link:
    """Everything that is asked of one device goes through here.

    Nothing is sent before the first question. A link connects by itself, and again after the
    server was restarted or lost the device. Threads may share it; one that hangs holds up no
    other, except while connecting.

    Parameters
    ----------
    kind : str
        The ASCOM device type in lower case, such as ``telescope``.
    locate : callable
        Returns the URL of the device, such as ``http://host:port/api/v1/telescope/0``; asked
        whenever the link is made anew.
    limits : Limits, optional
        Time-outs.
    """

    def __init__(
        self, kind: str, locate: Callable[[Http], str], limits: Limits | None = None
    ) -> None:
        self.kind = kind
        self._locate = locate
        self._limits = limits or Limits()
        self._http = Http(self._limits)
        self._lock = threading.Lock()
        self._url: str | None = None

    def close(self) -> None:
        """Let go of the connections. The device stays as it is."""
        self._http.close()

    def forget(self) -> None:
        """Connect again before the next question."""
        self._url = None

    def get(self, member: str, **params: Any) -> Any:
        """Return the value of a member: read at most `Limits.tries` times."""
        what = f"{self.kind} {member}"
        return self._connected(lambda url: self._read(f"{url}/{member}", params, what))

    def put(self, member: str, **form: Any) -> dict[str, Any]:
        """Send a command, once.

        It is sent a second time only when the device said that it was not connected, that is,
        when it surely did nothing.
        """
        what = f"{self.kind} {member}"

        def send(url: str) -> dict[str, Any]:
            return answers.parse(*self._http.write(f"{url}/{member}", form, what=what), what)

        return self._connected(send)

    def image(self) -> tuple[str, NDArray[np.uint8]]:
        """Return the content type and the bytes of the camera's last image."""
        what = f"{self.kind} imagearray"

        def fetch(url: str) -> tuple[str, NDArray[np.uint8]]:
            status, content_type, content = self._http.image(f"{url}/imagearray", what=what)
            if status != HTTPStatus.OK:
                answers.parse(status, content[:1000].tobytes(), what)
            return content_type, content

        return self._connected(lambda url: self._retried(lambda: fetch(url)))

    def _connected(self, ask: Callable[[str], _Result]) -> _Result:
        url = self._ready()
        try:
            return ask(url)
        except DeviceRefused as error:
            if not answers.is_not_connected(error):
                raise
            _log.warning("%s is no longer connected: connecting again", self.kind)
            self.forget()
        except DeviceUnreachable:
            # The server may come back as another process, which knows nothing of us.
            self.forget()
            raise
        return ask(self._ready())

    def _ready(self) -> str:
        """Return the URL of the device, connected."""
        found = self._url
        if found is not None:
            return found
        with self._alone():
            if self._url is None:
                url = self._locate(self._http)
                self._connect(url)
                self._url = url
            return self._url

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=self._limits.read_s):
            raise DeviceTimeout(f"{self.kind}: still waiting for it to connect.")
        try:
            yield
        finally:
            self._lock.release()

    def _connect(self, url: str) -> None:
        """Connect as the device's interface version wants it, and read it back."""
        if self._read(f"{url}/connected", {}, f"{self.kind} connected") is True:
            return
        if self._interface_version(url) >= _PLATFORM_7[self.kind]:
            self._command(url, "connect", {})
            self._wait_connected(url)
        else:
            self._command(url, "connected", {"Connected": "True"})
        if self._read(f"{url}/connected", {}, f"{self.kind} connected") is not True:
            raise ReadBackMismatch(f"{self.kind}: it does not connect to its hardware.")

    def _interface_version(self, url: str) -> int:
        what = f"{self.kind} interfaceversion"
        try:
            return int(self._read(f"{url}/interfaceversion", {}, what))
        except DeviceRefused:
            return 1  # the oldest drivers do not have the member
        except (TypeError, ValueError) as error:
            raise DeviceError(f"{what}: the answer is no number.") from error

    def _wait_connected(self, url: str) -> None:
        deadline = time.monotonic() + self._limits.device_connect_s
        while self._read(f"{url}/connecting", {}, f"{self.kind} connecting"):
            if time.monotonic() > deadline:
                raise DeviceTimeout(f"{self.kind}: still connecting to its hardware.")
            _machine.sleep(self._limits.pause_s)

    def _command(self, url: str, member: str, form: dict[str, Any]) -> None:
        what = f"{self.kind} {member}"
        limit = self._limits.device_connect_s
        answers.parse(*self._http.write(f"{url}/{member}", form, what=what, timeout_s=limit), what)

    def _read(self, url: str, params: dict[str, Any], what: str) -> Any:
        def ask() -> Any:
            return answers.value_of(
                answers.parse(*self._http.read(url, params, what=what), what), what
            )

        return self._retried(ask)

    def _retried(self, ask: Callable[[], _Result]) -> _Result:
        """Ask again after a lost connection or nonsense; a refusal or a long silence stands."""
        started, tries = time.monotonic(), 1
        while True:
            try:
                return ask()
            except DeviceRefused:
                raise
            except DeviceError:
                # A hung device costs one time-out, not three.
                slow = time.monotonic() - started > self._limits.read_s / 2
                if slow or tries >= self._limits.tries:
                    raise
            tries += 1
            _machine.sleep(self._limits.pause_s)
