from __future__ import annotations

import pytest

from tests.conformance.probe import INVALID, NOT_IMPLEMENTED

NOT_PRESENT, CLOSED, MOVING, OPEN = 0, 1, 2, 3
OFF, NOT_READY, READY = 1, 2, 3


def test_the_cover_opens_and_closes(covercalibrator):
    if covercalibrator.get("CoverState") == NOT_PRESENT:
        for member in ("OpenCover", "CloseCover", "HaltCover"):
            covercalibrator.refuses(member, NOT_IMPLEMENTED)
        return
    for member, end in (("CloseCover", CLOSED), ("OpenCover", OPEN)):
        covercalibrator.put(member)
        assert covercalibrator.get("CoverState") in (MOVING, end)
        assert (
            covercalibrator.get("CoverMoving") is (covercalibrator.get("CoverState") == MOVING)
            or covercalibrator.get("CoverState") == end
        )
        covercalibrator.wait(lambda: covercalibrator.get("CoverState") != MOVING, "the cover")
        assert covercalibrator.get("CoverState") == end
        assert covercalibrator.get("CoverMoving") is False


def test_the_cover_can_be_halted(covercalibrator):
    if covercalibrator.get("CoverState") == NOT_PRESENT:
        pytest.skip("no cover")
    covercalibrator.put("CloseCover")
    if covercalibrator.error("PUT", "HaltCover") == 0:
        covercalibrator.wait(lambda: not covercalibrator.get("CoverMoving"), "the halt")
    covercalibrator.put("OpenCover")
    covercalibrator.wait(lambda: covercalibrator.get("CoverState") == OPEN, "the cover")


def test_the_panel_lights_up(covercalibrator):
    if covercalibrator.get("CalibratorState") == NOT_PRESENT:
        covercalibrator.refuses("CalibratorOn", NOT_IMPLEMENTED, Brightness=1)
        covercalibrator.refuses("CalibratorOff", NOT_IMPLEMENTED)
        covercalibrator.refuses("Brightness", NOT_IMPLEMENTED, verb="GET")
        covercalibrator.refuses("MaxBrightness", NOT_IMPLEMENTED, verb="GET")
        return
    largest = covercalibrator.get("MaxBrightness")
    assert largest >= 1
    for bad in (-1, largest + 1):
        covercalibrator.refuses("CalibratorOn", INVALID, Brightness=bad)
    for brightness in {0, largest // 2, largest}:
        covercalibrator.put("CalibratorOn", Brightness=brightness)
        assert covercalibrator.get("CalibratorState") in (NOT_READY, READY)
        covercalibrator.wait(
            lambda: covercalibrator.get("CalibratorState") != NOT_READY, "the panel"
        )
        assert covercalibrator.get("CalibratorState") == READY
        assert covercalibrator.get("CalibratorChanging") is False
        assert covercalibrator.get("Brightness") == brightness
    covercalibrator.put("CalibratorOff")
    covercalibrator.wait(lambda: covercalibrator.get("CalibratorState") != NOT_READY, "the dark")
    assert covercalibrator.get("CalibratorState") == OFF
    assert covercalibrator.get("Brightness") == 0
