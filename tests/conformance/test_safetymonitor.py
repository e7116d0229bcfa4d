from __future__ import annotations

import pytest


def test_it_says_yes_or_no(safetymonitor):
    assert isinstance(safetymonitor.get("IsSafe"), bool)


def test_without_a_connection_nothing_is_safe(safetymonitor):
    if not safetymonitor.server.fresh:
        pytest.skip("others may keep it connected")
    safetymonitor.set("Connected", False)
    assert safetymonitor.get("IsSafe") is False
    safetymonitor.set("Connected", True)
