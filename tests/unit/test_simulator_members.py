from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toros.common.clock import Clock
from toros.common.config import Config
from toros.common.config.simulator import SimulatorSettings, full_frame
from toros.simulator.errors import BadRequest, InvalidValue
from toros.simulator.image_bytes import chunks, encode_error, length
from toros.simulator.members import MemberTable, absent, boolean, constant, integer, read, real
from toros.simulator.observatory import Observatory
from toros.simulator.protocol import Arguments
from toros.simulator.weather import Weather


@given(st.integers(-(10**9), 10**9))
def test_integers_are_read_back(number):
    assert integer().read("N", f" {number} ") == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_reals_are_read_back(number):
    assert real().read("X", repr(number)) == number


@given(st.text())
def test_no_text_breaks_a_parameter(given_text):
    for parameter in (integer(), real(), boolean()):
        with contextlib.suppress(BadRequest):
            parameter.read("X", given_text)


@pytest.mark.parametrize("bad", ["nan", "inf", "1_0", "", " ", "1,5", "0x10", "٣", None])
def test_what_is_no_number_is_malformed(bad):
    if bad != "٣":  # Python's float reads other digits; so may ours
        with pytest.raises(BadRequest):
            real().read("X", bad)
    with pytest.raises(BadRequest):
        integer().read("X", bad)


def test_bounds():
    parameter = real(0, below=24)
    parameter.check("RA", 0.0)
    parameter.check("RA", 23.999)
    for value in (-0.001, 24.0):
        with pytest.raises(InvalidValue):
            parameter.check("RA", value)


def test_a_later_entry_replaces_an_earlier_one():
    table = MemberTable([constant(A=1), absent("B")]).joined([read("A", lambda _device: 2)])
    assert table.find("a", "GET").answer(None) == 2
    assert table.find("b", "PUT") is None
    assert table.knows("b")


@given(st.text())
def test_transaction_ids_never_fail(given_text):
    number = Arguments("PUT", [("ClientTransactionID", given_text)]).transaction_id()
    assert 0 <= number <= 2**32 - 1


def test_names_follow_the_case_rule_of_their_verb():
    assert Arguments("GET", [("aXiS", "1")]).get("Axis") == "1"
    assert Arguments("PUT", [("aXiS", "1")]).get("Axis") is None


def test_image_bytes_have_the_layout_of_the_specification():
    image = np.arange(6, dtype=np.uint16).reshape(3, 2)  # three columns of two pixels
    raw = b"".join(chunks(image, 7, 9))
    assert len(raw) == length(image)
    assert struct.unpack("<iiIIiiiiiii", raw[:44]) == (1, 0, 7, 9, 44, 2, 8, 2, 3, 2, 0)
    assert np.array_equal(np.frombuffer(raw[44:], "<u2"), np.arange(6))
    error = encode_error(0x40B, "kein Bild: ∅", 7, 9)
    assert struct.unpack("<iiII", error[:16]) == (1, 0x40B, 7, 9)
    assert error[44:].decode() == "kein Bild: ∅"


def test_the_weather_is_unsafe_for_a_reason():
    weather = Weather(SimulatorSettings().weather, Clock())
    assert weather.safe
    weather.change({"rain_rate": 2.0, "wind_gust": 20.0})
    assert weather.unsafe_because() == ["rain", "wind"]
    weather.forced = True
    assert weather.safe
    with pytest.raises(ValueError, match="unknown weather value 'snow'"):
        weather.change({"snow": 1.0})


def test_dew_point_equals_temperature_in_saturated_air():
    weather = Weather(SimulatorSettings().weather, Clock())
    weather.change({"humidity": 100.0, "temperature": 7.0})
    assert weather.dew_point() == pytest.approx(7.0)


def test_every_device_declares_what_its_state_reports():
    observatory = Observatory(SimulatorSettings(), Clock(), Config().site)
    assert len(observatory.devices) == 8
    for device in observatory.devices.values():
        device.set_connected(0, True)
        names = [entry["Name"] for entry in device.device_state()]
        assert names[-1] == "TimeStamp"
        assert len(set(names)) == len(names)
    assert len({device.unique_id for device in observatory.devices.values()}) == 8


def test_the_full_frame_is_that_of_the_real_camera():
    camera = full_frame(SimulatorSettings()).camera
    assert (camera.width, camera.height) == (10560, 10560)
