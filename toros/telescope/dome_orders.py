"""The dome, moved only by work orders to its front desk."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from toros.common.client import FrontDeskClient
from toros.common.errors import Cancelled, DomeNotReady, PeerError
from toros.common.work_order import OrderStatus

# The reply is fetched in slices, so that an abort need not wait for the slowest shutter.
SLICE_S = 2.0


@dataclass(frozen=True)
class DomeView:
    """What the dome says of itself.

    Attributes
    ----------
    safe : bool
        Whether the dome may be open. A dome that does not say so is not known to be safe.
    trouble : str
        Why it cannot be used as it is; empty if nothing is wrong.
    """

    azim_deg: float | None
    open: bool
    shutter: str
    safe: bool
    moving: bool
    following: bool
    trouble: str

    @classmethod
    def read(cls, answer: object) -> DomeView:
        """Return the view that an answer to `dome_status` gives."""
        if not isinstance(answer, dict):
            return cls.unknown("the dome's status is not a struct")
        connected = bool(answer.get("connected"))
        safe = answer.get("safe") is True and connected
        because = answer.get("unsafe_because") or "the dome does not say that it is safe"
        if isinstance(because, list):
            because = "; ".join(str(each) for each in because)
        azim = answer.get("azim")
        is_open = answer.get("open") is True
        return cls(
            azim_deg=float(azim) if isinstance(azim, int | float) else None,
            open=is_open,
            shutter=str(answer.get("shutter", "open" if is_open else "closed")),
            safe=safe,
            moving=bool(answer.get("moving")),
            following=bool(answer.get("following")),
            trouble="" if safe else (str(because) if connected else "the dome is not connected"),
        )

    @classmethod
    def unknown(cls, trouble: str) -> DomeView:
        """Return the view of a dome that does not answer: nothing is known, so nothing is safe."""
        return cls(None, False, "unknown", False, False, False, trouble)

    @property
    def closed(self) -> bool:
        """Whether the shutter is known to be closed."""
        return not self.open and self.shutter == "closed"


class DomeOrders:
    """Sends work orders to the dome's front desk and insists on their outcome.

    Parameters
    ----------
    client : FrontDeskClient
        Of the dome's front desk.
    wait_s : float
        How long one order may take, in seconds of the machine.
    """

    def __init__(self, client: FrontDeskClient, wait_s: float) -> None:
        self._client = client
        self._wait_s = wait_s

    def view(self) -> DomeView:
        """Return what the dome says of itself; a dome that cannot be asked is unknown."""
        try:
            return DomeView.read(self._client.ask("dome_status", wait=0))
        except PeerError as error:
            return DomeView.unknown(str(error))

    def open(self, stop: threading.Event | None = None) -> None:
        """Open the shutter."""
        self._order("open_dome", stop)

    def close(self) -> None:
        """Close the shutter."""
        self._order("close_dome", None)

    def park(self) -> None:
        """Turn to the park position."""
        self._order("park_position", None)

    def turn_to(self, azim_deg: float, stop: threading.Event | None = None) -> None:
        """Turn the slit to an azimuth and stay there."""
        self._order("set_azim", stop, azim=float(azim_deg))

    def follow(self, ra_deg: float, dec_deg: float, stop: threading.Event | None = None) -> None:
        """Turn the slit to a target and keep it there."""
        self._order("follow", stop, ra=float(ra_deg), dec=float(dec_deg))

    def start_following(self, ra_deg: float, dec_deg: float) -> None:
        """Send the slit on its way to a target, and wait for nothing."""
        self._client.send("follow", id=uuid4().hex, wait=0, ra=float(ra_deg), dec=float(dec_deg))

    def unfollow(self) -> None:
        """Stay where it is."""
        self._order("unfollow", None)

    def _order(self, request: str, stop: threading.Event | None, **fields: Any) -> None:
        """Send one order and wait for its end.

        Raises
        ------
        DomeNotReady
            When the dome refuses, fails, says that it did not arrive, or takes too long.
        Cancelled
            When `stop` is set meanwhile; the dome goes on with what it does.
        PeerUnreachable, PeerTimeout
            When it cannot be told.
        """
        key = uuid4().hex
        waited = 0.0
        while True:
            # The same id and content again only asks what became of the order.
            reply = self._client.send(request, id=key, wait=SLICE_S, **fields)
            waited += SLICE_S
            if reply.status is not OrderStatus.ACCEPTED:
                break
            if stop is not None and stop.is_set():
                raise Cancelled(f"Stopped waiting for the dome's '{request}'.")
            if waited >= self._wait_s:
                raise DomeNotReady(
                    f"The dome has not finished '{request}' after {self._wait_s:g} s."
                )
        if reply.status is not OrderStatus.COMPLETED:
            raise DomeNotReady(
                f"The dome says '{reply.status.value}' to '{request}': "
                f"{reply.message} (code {reply.code})"
            )
        if reply.result is not True:
            raise DomeNotReady(f"The dome did not do '{request}' as its hardware reads back.")
