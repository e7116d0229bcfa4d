"""alpyca's device classes, whose members speak through our link.

alpyca 3.1 knows every member of every interface and its enumerations. Its transport is not
used: one lock of the whole process is held during each of its calls, so that a hung camera
stops the mount; an interface version that failed to be read once is kept for good; and
Connect() after a restart of the server does nothing.
"""

from __future__ import annotations

from typing import Any

from alpaca import camera, dome, filterwheel, focuser, observingconditions, safetymonitor, telescope

from toros.alpaca.link import Link


class _Careful:
    """The two methods that every member of alpyca goes through."""

    def __init__(self, link: Link) -> None:
        # alpyca's own constructor only sets up its transport.
        self._link = link

    def _get(self, attribute: str, tmo: float = 0.0, **params: Any) -> Any:
        del tmo  # the link has its limits
        return self._link.get(attribute, **params)

    def _put(self, attribute: str, tmo: float = 0.0, **form: Any) -> dict[str, Any]:
        del tmo
        return self._link.put(attribute, **form)


class Telescope(_Careful, telescope.Telescope):  # type: ignore[misc]
    """The members of a telescope."""


class Dome(_Careful, dome.Dome):  # type: ignore[misc]
    """The members of a dome."""


class Camera(_Careful, camera.Camera):  # type: ignore[misc]
    """The members of a camera."""


class FilterWheel(_Careful, filterwheel.FilterWheel):  # type: ignore[misc]
    """The members of a filter wheel."""


class Focuser(_Careful, focuser.Focuser):  # type: ignore[misc]
    """The members of a focuser."""


class SafetyMonitor(_Careful, safetymonitor.SafetyMonitor):  # type: ignore[misc]
    """The members of a safety monitor."""


class ObservingConditions(_Careful, observingconditions.ObservingConditions):  # type: ignore[misc]
    """The members of a weather station."""
