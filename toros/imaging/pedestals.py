"""Whether two frames have the same level where there was no light: the bias, as they hold it."""

from __future__ import annotations

from toros.imaging.frames import without_pedestal
from toros.imaging.headers import ExposureInfo
from toros.imaging.options import ReductionOptions


def other_pedestal(
    frame: ExposureInfo, master: ExposureInfo, options: ReductionOptions
) -> str | None:
    """Return why a master that holds the bias does not fit, None where it does.

    One of both has lost its overscan, or the camera was set to another offset. What one side does
    not tell (a master of other software for instance) is not known to differ.
    """
    theirs = master.header.get("OVERSCOR")
    # The frame may be a master itself that is held against older ones.
    told = frame.header.get("OVERSCOR")
    ours = told if isinstance(told, bool) else without_pedestal(frame, options)
    if isinstance(theirs, bool) and ours != theirs:
        return f"the overscan is subtracted from {'it' if theirs else 'the frame'} alone"
    if ours and theirs:
        return None  # the offset went with it
    offsets = master.offset_setting, frame.offset_setting
    if None in offsets or offsets[0] == offsets[1]:
        return None
    return f"its offset setting is {offsets[0]:g}, not {offsets[1]:g}"
