"""Handlers of the orders with which a person works step by step, while no night runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from toros.common.errors import Cancelled, Interrupted, InvalidField, WrongState
from toros.common.requests import NoFields, Task
from toros.common.work_order import Json
from toros.telescope import focus, motion
from toros.telescope.calibration_frames import take_set
from toros.telescope.desk import TelescopeDesk
from toros.telescope.frames import Purpose, take
from toros.telescope.order_fields import (
    CalibrationFields,
    CoolFields,
    ExposeFields,
    FocusFields,
    PointFields,
)
from toros.telescope.state import Telescope


@contextmanager
def _by_hand(desk: TelescopeDesk, what: str, task: Task) -> Iterator[Telescope]:
    """Hold the hardware for a manual order; `cancel` and `abort` stop it."""
    desk.night.require_rest()
    telescope = desk.telescope
    with telescope.hardware(what):
        telescope.interrupt.clear()
        done = threading.Event()
        watcher = threading.Thread(
            target=_pass_on_cancel, args=(telescope, task, done), name="cancel-watch", daemon=True
        )
        watcher.start()
        try:
            yield telescope
        except Interrupted as error:
            raise Cancelled(error.message) from error
        finally:
            done.set()
            watcher.join()
            telescope.interrupt.clear()


def _pass_on_cancel(telescope: Telescope, task: Task, done: threading.Event) -> None:
    """Stop the exposure when the order is cancelled."""
    while not done.wait(0.2):
        if task.cancelled.is_set():
            telescope.interrupt.set(f"work order {task.id} was cancelled")
            return


def point(desk: TelescopeDesk, fields: PointFields, task: Task) -> Json:
    """Point telescope and dome at a position; answer with where they read to be."""
    with _by_hand(desk, "pointing", task) as telescope:
        band = motion.point(telescope, fields.ra, fields.dec, filter_name=fields.filter)
        state = telescope.devices.mount.state()
        dome = telescope.look_at_dome()
    return {
        "ra": state.ra_deg,
        "dec": state.dec_deg,
        "alt": state.alt_deg,
        "azim": state.azim_deg,
        "filter": band,
        "dome_azim": dome.azim_deg,
        "dome_open": dome.open,
    }


def expose(desk: TelescopeDesk, fields: ExposeFields, task: Task) -> Json:
    """Take lights where the telescope points; answer with their paths."""
    with _by_hand(desk, "exposing by hand", task) as telescope:
        settings = telescope.settings
        band = None
        if fields.filter is not None or telescope.devices.filter_wheel is None:
            band = telescope.devices.select_filter(fields.filter, settings.filter_timeout_s)
        elif telescope.devices.filter_wheel is not None:
            band = telescope.devices.filter_wheel.current()
        purpose = Purpose(
            image_type="light",
            exptime_s=fields.exptime or settings.exptime_s,
            filter=band,
            object=fields.object,
            binning=fields.binning,
            order=task.id,
        )
        paths = [str(take(telescope, purpose)) for _ in range(fields.count)]
    return {"paths": [*paths]}


def park(desk: TelescopeDesk, _fields: NoFields, task: Task) -> Json:
    """Park the mount; true once it reads parked."""
    with _by_hand(desk, "parking", task) as telescope:
        telescope.dome.unfollow()
        telescope.devices.mount.park(telescope.settings.park_timeout_s)
    return True


def unpark(desk: TelescopeDesk, _fields: NoFields, task: Task) -> Json:
    """Unpark the mount; true once it reads so."""
    with _by_hand(desk, "unparking", task) as telescope:
        motion.unpark(telescope)
    return True


def find_focus(desk: TelescopeDesk, fields: FocusFields, task: Task) -> Json:
    """Make a focus run; answer with what it found, or why it found nothing."""
    with _by_hand(desk, "a focus run", task) as telescope:
        found = focus.run(telescope, "it was ordered", fields.filter)
        focuser = telescope.devices.focuser
        if found is None or focuser is None:
            raise WrongState("There is no focuser.")
        return {
            "found": found.position is not None,
            "position": focuser.position(),
            "half_flux_diameter_px": found.diameter_px if found.position is not None else None,
            "why_not": found.why_not,
        }


def cool_camera(desk: TelescopeDesk, fields: CoolFields, task: Task) -> Json:
    """Cool the camera; answer with the set point and the temperature now."""
    with _by_hand(desk, "cooling the camera", task) as telescope:
        set_point = fields.temperature
        if set_point is None:
            set_point = telescope.settings.cooling_set_point_c
        if set_point is None:
            raise InvalidField("No temperature is given, and the configuration has no set point.")
        telescope.devices.camera.cool(set_point)
        return {"set_point": set_point, "temperature": telescope.devices.camera.temperature()}


def warm_camera(desk: TelescopeDesk, _fields: NoFields, task: Task) -> Json:
    """Switch the cooler off; answer with the temperature now."""
    with _by_hand(desk, "warming the camera", task) as telescope:
        telescope.devices.camera.warm()
        return {"temperature": telescope.devices.camera.temperature()}


def abort(desk: TelescopeDesk, _fields: NoFields, task: Task) -> Json:
    """Stop everything that moves or exposes."""
    answer = desk.night.abort(f"abort was ordered by {task.order.user or 'nobody named'}")
    motion.stop_motion(desk.telescope)
    return {**answer, "stopped": True}


def take_calibration_frames(desk: TelescopeDesk, fields: CalibrationFields, task: Task) -> Json:
    """Take one set of calibration frames; answer with their paths."""
    with _by_hand(desk, f"{fields.count} {fields.kind} frames", task) as telescope:
        paths = take_set(
            telescope, fields.kind, fields.count, fields.exptime, fields.filter, task.id
        )
    return {"paths": [str(path) for path in paths]}
