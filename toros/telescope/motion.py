"""Pointing telescope and dome together, and stopping them."""

from __future__ import annotations

from collections.abc import Callable

from toros.alpaca.waiting import wait_until
from toros.common.errors import (
    Cancelled,
    DeviceError,
    DomeNotReady,
    Interrupted,
    NotSafe,
    PeerError,
    ReadBackMismatch,
)
from toros.common.own_names import value_of
from toros.telescope.pointing import (
    altaz_at,
    azimuth_difference_deg,
    check_pointing,
    separation_deg,
    sun_altitude_at,
)
from toros.telescope.state import Telescope
from toros.telescope.sun_path import SUN_SEEN_DEG, check_way


def point(
    telescope: Telescope,
    ra_deg: float,
    dec_deg: float,
    *,
    filter_name: str | None = None,
    commanded: Callable[[], None] = lambda: None,
) -> str | None:
    """Point telescope and dome at a target, bring the filter in, settle; return the filter.

    The mount, the wheel and the dome move at the same time; all are read back. `commanded` is
    called when the mount has been told to slew.

    Raises
    ------
    NotObservable
        Below the horizon or near the Sun.
    DeviceError, DomeNotReady, PeerError
        When something did not arrive.
    Interrupted, Cancelled
        When the telescope was told to stop; the mount is stopped.
    """
    settings, mount = telescope.settings, telescope.devices.mount
    begun = slew(telescope, ra_deg, dec_deg)
    try:
        if begun:
            commanded()
        band = telescope.devices.select_filter(filter_name, settings.filter_timeout_s)
        follow_filter(telescope, band)
        telescope.dome.follow(ra_deg, dec_deg, telescope.interrupt.event)
        arrive(telescope, ra_deg, dec_deg)
        settle(telescope)
    except (Interrupted, Cancelled):
        mount.abort()
        raise
    return band


def slew(telescope: Telescope, ra_deg: float, dec_deg: float) -> bool:
    """Start a slew: the only way in which the telescope is sent anywhere but to its park.

    Returns
    -------
    bool
        Whether it began now; False where it was sent there ahead, and goes or is there.

    Raises
    ------
    NotObservable
        Below the horizon or near the Sun, at its end or on its way, whoever asks.
    DeviceError, Interrupted
    """
    check_pointing(telescope.site, telescope.clock.unix(), ra_deg, dec_deg, telescope.settings)
    _check_way(telescope, ra_deg, dec_deg)
    telescope.interrupt.check()
    ahead, telescope.ahead = telescope.ahead, None
    if ahead == (ra_deg, dec_deg) and _goes_to(telescope, ra_deg, dec_deg):
        return False
    unpark(telescope)
    telescope.devices.mount.start_slew(ra_deg, dec_deg)
    telescope.pointed = (ra_deg, dec_deg)
    return True


def _check_way(telescope: Telescope, ra_deg: float, dec_deg: float) -> None:
    """Refuse a slew past the Sun; at night the mount is not even asked where it is."""
    unix = telescope.clock.unix()
    if sun_altitude_at(telescope.site, unix) > SUN_SEEN_DEG:
        state = telescope.devices.mount.state()
        here = (state.ra_deg, state.dec_deg)
        check_way(telescope.site, unix, here, (ra_deg, dec_deg), telescope.settings)


def _goes_to(telescope: Telescope, ra_deg: float, dec_deg: float) -> bool:
    state = telescope.devices.mount.state()
    off = separation_deg(state.ra_deg, state.dec_deg, ra_deg, dec_deg)
    return state.slewing or (off <= telescope.settings.pointing_tolerance_deg and state.tracking)


def follow_filter(telescope: Telescope, band: str | None) -> None:
    """Move the focuser by the difference of two filters' offsets."""
    memory, offsets = telescope.focus, telescope.settings.focus.filter_offsets
    before, memory.filter = memory.filter, band
    if not offsets or before is None or band == before:
        return
    focuser = telescope.devices.focuser
    shift = (value_of(offsets, band or "") or 0) - (value_of(offsets, before) or 0)
    if focuser is not None and shift:
        focuser.move(max(focuser.position() + shift, 0))


def arrive(telescope: Telescope, ra_deg: float, dec_deg: float) -> None:
    """Wait until the mount reads that it is there and tracks."""
    settings, mount = telescope.settings, telescope.devices.mount

    def there() -> bool:
        state = mount.state()
        off = separation_deg(state.ra_deg, state.dec_deg, ra_deg, dec_deg)
        return off <= settings.pointing_tolerance_deg and not state.slewing

    wait_until(
        there,
        clock=telescope.clock,
        timeout_s=settings.slew_timeout_s,
        what=f"the mount to arrive at RA {ra_deg:.4f}°, Dec {dec_deg:+.4f}°",
        cancelled=telescope.interrupt.event,
    )
    if not mount.state().tracking:
        raise ReadBackMismatch("the mount arrived, but it does not track.")


def unpark(telescope: Telescope) -> None:
    """Unpark the mount if it is parked."""
    if telescope.devices.mount.state().at_park:
        telescope.devices.mount.unpark()


def settle(telescope: Telescope) -> None:
    """Wait until the telescope has stopped to shake."""
    telescope.clock.wait(telescope.interrupt.event, telescope.settings.settle_s)
    telescope.interrupt.check()


def open_dome(telescope: Telescope) -> None:
    """Open the dome if it is not open, and read it back."""
    if telescope.dome_view.open:
        return
    telescope.dome.open(telescope.interrupt.event)
    view = telescope.look_at_dome()
    if not view.open:
        raise DomeNotReady(f"the dome did not open: its shutter reads {view.shutter}")
    telescope.record("dome", "The dome is open.")


def check_dome(telescope: Telescope, ra_deg: float, dec_deg: float) -> None:
    """Refuse to expose unless the dome reads open, safe and in place.

    Raises
    ------
    NotSafe
        When the dome says that it is not safe, or says nothing.
    DomeNotReady
        When it is closed, moves, or its slit is elsewhere.
    """
    view = telescope.look_at_dome()
    if not view.safe:
        raise NotSafe(f"not safe: {view.trouble}")
    if not view.open:
        raise DomeNotReady(f"the dome is not open: its shutter reads {view.shutter}")
    _, azimuth = altaz_at(telescope.site, telescope.clock.unix(), ra_deg, dec_deg)
    if view.azim_deg is None:
        raise DomeNotReady("the dome does not say where its slit is")
    off = azimuth_difference_deg(view.azim_deg, azimuth)
    if off > telescope.settings.dome_tolerance_deg:
        raise DomeNotReady(
            f"the dome's slit is at azimuth {view.azim_deg:.1f}°, "
            f"{off:.1f}° from the target's {azimuth:.1f}°"
        )


def rest(telescope: Telescope) -> None:
    """Stop tracking, as nothing is observed: a mount that goes on does so until it meets its pier.

    Raises
    ------
    DeviceError
    """
    state = telescope.devices.mount.state()
    if not state.tracking or state.slewing:
        return
    telescope.devices.mount.set_tracking(False)
    try:
        telescope.dome.unfollow()
    except (DomeNotReady, PeerError) as error:
        # A slit that turns on costs nothing, and the watch knows if the dome is away.
        telescope.problem("The dome could not be told to stay", error)


def stop_motion(telescope: Telescope) -> None:
    """Stop exposure and slew; what cannot be stopped is recorded."""
    mount = telescope.devices.mount
    telescope.ahead = None
    try:
        telescope.devices.camera.abort()
    except DeviceError as error:
        telescope.problem("The camera could not be stopped", error)
    try:
        # A parked mount does not move, and refuses to be told so.
        if not mount.state().at_park:
            mount.abort()
    except DeviceError as error:
        telescope.problem("The mount could not be stopped", error)
