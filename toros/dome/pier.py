"""Which side of its pier the mount is on, where that matters to the slit."""

from __future__ import annotations

import logging

from toros.alpaca import Mount
from toros.common.errors import DeviceError
from toros.sky.dome_geometry import PierSide

log = logging.getLogger(__name__)

_SIDES = {"east": PierSide.EAST, "west": PierSide.WEST}


class Pier:
    """Reads a German mount's side of pier.

    Parameters
    ----------
    mount : Mount or None
        The mount; None where its side does not matter.
    """

    def __init__(self, mount: Mount | None) -> None:
        self._mount = mount
        self._told = False

    def side(self) -> PierSide | None:
        """Return the side; None if it does not matter or cannot be known: the normal one."""
        if self._mount is None:
            return None
        try:
            side = self._mount.pier_side()
        except DeviceError as error:
            if not self._told:
                log.warning("The normal side of the pier is taken: %s", error.message)
            self._told = True
            return None
        self._told = False
        return None if side is None else _SIDES[side]

    def slewing(self) -> bool:
        """Return whether the mount is on its way, and its side not settled."""
        if self._mount is None:
            return False
        try:
            return self._mount.slewing()
        except DeviceError:
            return False  # `side` says that it cannot be known
