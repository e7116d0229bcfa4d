from __future__ import annotations

import pytest

from tests.conformance.probe import INVALID


def test_names_and_offsets_belong_together(filterwheel):
    names, offsets = filterwheel.get("Names"), filterwheel.get("FocusOffsets")
    assert names
    assert len(names) == len(offsets)
    assert all(isinstance(name, str) and name for name in names)
    assert all(isinstance(offset, int) for offset in offsets)


def test_every_position_is_reached(filterwheel):
    slots = len(filterwheel.get("Names"))
    for position in [*range(slots), 0]:
        filterwheel.set("Position", position)
        assert filterwheel.get("Position") in (-1, position)
        filterwheel.wait(lambda: filterwheel.get("Position") != -1, "the filter")
        assert filterwheel.get("Position") == position


def test_it_says_that_it_moves(filterwheel):
    slots = len(filterwheel.get("Names"))
    if slots < 2:
        pytest.skip("one filter")
    filterwheel.set("Position", slots // 2)
    at_once = filterwheel.get("Position")
    filterwheel.wait(lambda: filterwheel.get("Position") == slots // 2, "the filter")
    # A wheel may be there already; it may not say another filter than the one it is asked for.
    assert at_once in (-1, slots // 2)


def test_positions_beyond_the_ends_are_refused(filterwheel):
    for position in (-1, len(filterwheel.get("Names"))):
        filterwheel.refuses("Position", INVALID, Position=position)
