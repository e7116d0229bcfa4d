"""Focus: a run at the start and on a change of temperature, offsets on a change of filter."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toros.alpaca import Focuser
from toros.common.errors import DeviceError
from toros.telescope.frames import Purpose, expose
from toros.telescope.motion import check_dome, point
from toros.telescope.pointing import flat_field
from toros.telescope.scheduler import Floats
from toros.telescope.star_size import BestFocus, best_focus, star_size
from toros.telescope.state import Telescope

log = logging.getLogger(__name__)

# Where a run points: high, and away from the Sun.
HIGH_DEG = 70.0


def wants_run(telescope: Telescope, band: str | None = None) -> str:
    """Return why a focus run is due before an observation in `band`; empty if it is not."""
    memory, settings = telescope.focus, telescope.settings.focus
    focuser = telescope.devices.focuser
    if not settings.enabled or focuser is None:
        return ""
    if not memory.done:
        return "the night begins"
    if _leads_astray(telescope, band):
        return f"no offset is known from filter {memory.filter} to {band}"
    now = focuser.temperature()
    if now is None or memory.temperature_c is None:
        return ""
    change = now - memory.temperature_c
    if abs(change) >= settings.temperature_change_c:
        return f"the temperature changed by {change:+.1f} °C"
    return ""


def _leads_astray(telescope: Telescope, band: str | None) -> bool:
    """Return whether a change of the filter leaves the focus unknown."""
    offsets, before = telescope.settings.focus.filter_offsets, telescope.focus.filter
    if not offsets or band is None or before is None:
        return False
    wheel = telescope.devices.filter_wheel
    first = wheel.names()[:1] if wheel else []
    return not offset_is_known(before, band, [*first, *offsets])


def offset_is_known(before: str, after: str, known: Sequence[str]) -> bool:
    """Return whether the focus of one filter follows from another's.

    `known` are the filters with an offset, and the first, to which the offsets are counted.
    """
    names = {name.casefold() for name in known}
    both = {before.casefold(), after.casefold()}
    return len(both) == 1 or both <= names


def run(telescope: Telescope, why: str, band: str | None = None) -> BestFocus | None:
    """Find the best focus on a field high up, in `band` or the first filter, and leave it there.

    Where it cannot be found the focuser goes back to where it was, and that is recorded. None
    where there is no focuser.
    """
    focuser, memory = telescope.devices.focuser, telescope.focus
    if focuser is None:
        return None
    at = flat_field(telescope.site, telescope.clock.unix(), HIGH_DEG)
    memory.done = True
    telescope.doing = f"focus run: {why}"
    memory.temperature_c = focuser.temperature()
    band = point(telescope, *at, filter_name=band)
    telescope.instrument()
    start = focuser.position()
    positions = _positions(telescope, start)
    try:
        sizes = _sizes(telescope, focuser, positions, band, at)
        found = best_focus(positions, sizes)
    except BaseException:
        # Whatever stopped the run, the stars should not stay large.
        focuser.move(start)
        raise
    focuser.move(start if found.position is None else found.position)
    memory.filter = band
    _tell(telescope, why, band, start, found)
    return found


def _positions(telescope: Telescope, start: int) -> NDArray[np.int64]:
    settings = telescope.settings.focus
    offsets = (np.arange(settings.points) - (settings.points - 1) / 2) * settings.step
    # Upwards, so that the backlash of the gear is always on the same side.
    return np.asarray(np.unique(np.maximum(start + offsets, 0)).astype(np.int64))


def _sizes(
    telescope: Telescope,
    focuser: Focuser,
    positions: NDArray[np.int64],
    band: str | None,
    at: tuple[float, float],
) -> Floats:
    settings = telescope.settings.focus
    sizes = np.full(positions.size, np.nan)
    for number, position in enumerate(positions):
        telescope.doing = f"focus run, frame {number + 1} of {positions.size}"
        check_dome(telescope, *at)
        focuser.move(int(position))
        purpose = Purpose(image_type="focus", exptime_s=settings.exptime_s, filter=band)
        frame = expose(telescope, purpose).frame
        size = star_size(frame.pixels, telescope.max_adu)
        if size.stars >= settings.min_stars:
            sizes[number] = size.diameter_px
    return sizes


def _tell(telescope: Telescope, why: str, band: str | None, start: int, found: BestFocus) -> None:
    data: dict[str, Any] = {"filter": band, "from": start, "position": found.position, "why": why}
    if found.position is None:
        telescope.record(
            "focus",
            f"Focus run ({why}): {found.why_not}; the focuser stays at {start}.",
            level="warning",
            code=DeviceError.code,
            data=data,
        )
    else:
        data["half_flux_diameter_px"] = round(found.diameter_px, 3)
        telescope.record(
            "focus",
            f"Focus run ({why}): {start} → {found.position}, stars of "
            f"{found.diameter_px:.2f} pixels.",
            data=data,
        )
