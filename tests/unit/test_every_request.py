"""Every field of every request of every module, given values of every kind."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toros.cli.modules import ROOMS
from toros.common.errors import InvalidField
from toros.common.request_names import OF_MODULES
from toros.common.requests import Request
from toros.common.work_order import WorkOrder

TABLES = {name: import_module(f"toros.{name}.requests").TABLE for name in ROOMS}
REQUESTS = [
    pytest.param(request, id=f"{name}-{request.name}")
    for name, table in TABLES.items()
    for request in table
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@pytest.mark.parametrize("request_row", REQUESTS)
def test_any_value_of_any_field_is_taken_or_refused_by_name(
    request_row: Request[Any, Any],
) -> None:
    names = [*request_row.fields.model_fields, "no_such_field"]

    @settings(max_examples=60)
    @given(st.dictionaries(st.sampled_from(names), VALUES))
    def check(fields: dict[str, Any]) -> None:
        order = WorkOrder.read({"request": request_row.name, **fields})
        try:
            read = request_row.read_fields(order)
        except InvalidField as error:
            text = error.message
        else:
            assert "no_such_field" not in fields
            assert set(read.model_fields_set) <= set(fields)
            return
        assert text.startswith(f"Request '{request_row.name}': "), text
        assert "no_such_field" not in fields or "unknown field 'no_such_field'" in text

    check()


@pytest.mark.parametrize("name", ROOMS)
def test_each_request_is_described_and_found_by_any_spelling(name: str) -> None:
    table = TABLES[name]
    for request in table:
        assert request.summary.endswith(".")
        for spelling in (request.name, request.name.upper(), request.name.replace("_", "")):
            assert table.find(spelling) is request


def test_the_names_of_the_predecessor_still_work() -> None:
    dome = TABLES["dome"]
    for old, new in {
        "DomeStatus": "dome_status",
        "SetAzim": "set_azim",
        "OpenDome": "open_dome",
        "CloseDome": "close_dome",
        "ParkPosition": "park_position",
        "ParkPostion": "park_position",
    }.items():
        assert dome.find(old).name == new


@pytest.mark.parametrize("name", ROOMS)
def test_the_names_that_access_may_give_are_those_of_the_tables(name: str) -> None:
    in_table = [word for request in TABLES[name] for word in request.names]
    assert sorted(OF_MODULES[name]) == sorted(in_table)


CONTRACT = {
    "dome": "dome_status set_azim set_for_coordinates open_dome close_dome park_position follow "
    "unfollow sync_azimuth",
    "telescope": "observation targets retract_alert prepare_night open_night close_night point "
    "expose park unpark abort take_calibration_frames schedule",
    "preprocessor": "calibrate_file_batch resume_file_batch restart_file_batch file_batch_status "
    "list_file_batches",
    "lvcgcn": "process_alert list_alerts host_galaxies retract",
}


@pytest.mark.parametrize("name", CONTRACT)
def test_every_request_of_the_contract_is_there(name: str) -> None:
    assert {request.name for request in TABLES[name]} >= set(CONTRACT[name].split())
