"""The camera's temperature: cooled whenever a night runs, warmed slowly at its end."""

from __future__ import annotations

from toros.common.errors import DeviceError
from toros.telescope.night import Night

WARM_STEP_S = 30.0


def start_cooling(night: Night) -> None:
    """Switch the cooler on, once a night and after a restart, in whatever phase that is."""
    telescope, memory = night.telescope, night.memory
    set_point = telescope.instrument().set_point_c
    if set_point is None or memory.cooling_since is not None:
        return
    telescope.devices.camera.cool(set_point)
    memory.cooling_since = telescope.clock.monotonic()


def is_cold(night: Night) -> bool:
    """Return whether frames can be taken; a camera that does not get cold is not waited for."""
    telescope, memory = night.telescope, night.memory
    settings = telescope.settings
    set_point = telescope.instrument().set_point_c
    if set_point is None or memory.cooling_since is None:
        return set_point is None
    temperature = telescope.devices.camera.temperature()
    if temperature is None or abs(temperature - set_point) <= settings.cooling_tolerance_c:
        return True
    waited_s = telescope.clock.monotonic() - memory.cooling_since
    if waited_s <= settings.cooling_timeout_s:
        return False
    if not memory.told_of_warmth:
        memory.told_of_warmth = True
        error = DeviceError(f"it is at {temperature:.1f} °C, not at {set_point:g} °C")
        telescope.problem("The camera does not get cold", error)
    return True


def warm_up(night: Night) -> bool:
    """Raise the set point slowly, so that the detector is not strained; then switch off.

    Returns
    -------
    bool
        Whether there is more to do.
    """
    telescope, memory = night.telescope, night.memory
    settings, camera = telescope.settings, telescope.devices.camera
    cold = telescope.instrument().set_point_c
    if cold is None:
        return False
    now = telescope.clock.monotonic()
    if memory.warming_since is None:
        memory.warming_since = now
    minutes = (now - memory.warming_since) / 60.0
    set_point = cold + settings.warm_c_min * minutes
    if settings.warm_c_min == 0 or set_point >= settings.warm_c:
        camera.warm()
        return False
    camera.cool(set_point)
    telescope.doing = f"warming the camera: {set_point:.0f} °C"
    telescope.pause(WARM_STEP_S)
    return True
