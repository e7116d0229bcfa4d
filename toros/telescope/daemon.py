"""The telescope daemon as a module."""

from __future__ import annotations

from toros.common.module import Context, Loop, Module
from toros.telescope.air_watch import AirWatch
from toros.telescope.desk import TelescopeDesk
from toros.telescope.devices import Devices
from toros.telescope.handover import Handover
from toros.telescope.night import Night
from toros.telescope.phases import PHASES
from toros.telescope.requests import TABLE
from toros.telescope.state import MODULE, Telescope
from toros.telescope.watch import Watch

# A step of the night may be an exposure of an hour, with the cooling and the slew before it.
LONGEST_STEP_S = 3 * 3600.0


def build(context: Context) -> Module[TelescopeDesk]:
    """Return the module, ready to be served; a night that was left running is taken up again."""
    devices = Devices(context.config, context.clock)
    telescope = Telescope(context.config, context.clock, context.sessions, devices)
    night = Night(telescope, Handover(telescope), PHASES)
    night.resume()
    desk = TelescopeDesk(telescope, night)
    return Module(
        MODULE,
        desk,
        TABLE,
        loops=(
            Loop("telescope-night", night.run, LONGEST_STEP_S),
            Loop("telescope-watch", Watch(night).run),
            Loop("telescope-air", AirWatch(night).run),
            Loop("telescope-handover", night.handover.run),
        ),
        close=devices.close,
        describe=desk.describe,
    )
