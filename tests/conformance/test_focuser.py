from __future__ import annotations

import pytest

from tests.conformance.probe import NOT_IMPLEMENTED, is_number


def arrive(focuser) -> None:
    focuser.wait(lambda: not focuser.get("IsMoving"), "the focuser")


def test_what_it_is(focuser):
    assert isinstance(focuser.get("Absolute"), bool)
    assert focuser.get("MaxStep") >= 1
    assert 1 <= focuser.get("MaxIncrement") <= max(focuser.get("MaxStep"), 1)
    for member in ("StepSize", "Temperature"):
        assert focuser.error("GET", member) in (0, NOT_IMPLEMENTED)
    assert isinstance(focuser.get("TempComp"), bool)


def test_a_move_ends_where_it_should(focuser):
    if not focuser.get("Absolute"):
        pytest.skip("a relative focuser")
    start, largest = focuser.get("Position"), focuser.get("MaxStep")
    assert 0 <= start <= largest
    step = max(min(focuser.get("MaxIncrement"), largest // 10), 1)
    goal = start - step if start >= step else start + step
    focuser.put("Move", Position=goal)
    arrive(focuser)
    assert abs(focuser.get("Position") - goal) <= 1
    focuser.put("Move", Position=start)
    arrive(focuser)


def test_a_move_is_not_over_when_the_order_returns(focuser):
    if not focuser.get("Absolute"):
        pytest.skip("a relative focuser")
    start, largest = focuser.get("Position"), focuser.get("MaxStep")
    goal = 0 if start > largest // 2 else min(largest, start + focuser.get("MaxIncrement"))
    focuser.put("Move", Position=goal)
    moving = focuser.get("IsMoving")
    assert moving or abs(focuser.get("Position") - goal) <= 1
    if focuser.error("PUT", "Halt") == 0:
        arrive(focuser)
    arrive(focuser)
    focuser.put("Move", Position=start)
    arrive(focuser)


def test_moves_beyond_the_ends_stop_at_them(focuser):
    if not focuser.get("Absolute"):
        pytest.skip("a relative focuser")
    start, largest = focuser.get("Position"), focuser.get("MaxStep")
    if focuser.get("MaxIncrement") < largest:
        pytest.skip("the ends are further than one move")
    for goal, end in ((-10, 0), (largest + 10, largest)):
        focuser.put("Move", Position=goal)
        arrive(focuser)
        assert abs(focuser.get("Position") - end) <= 1
    focuser.put("Move", Position=start)
    arrive(focuser)


def test_temperature_compensation(focuser):
    if focuser.can("TempCompAvailable"):
        assert is_number(focuser.get("Temperature"))
        focuser.roundtrip("TempComp", True)
        focuser.roundtrip("TempComp", False)
    else:
        assert focuser.get("TempComp") is False
        focuser.refuses("TempComp", NOT_IMPLEMENTED, TempComp=True)
