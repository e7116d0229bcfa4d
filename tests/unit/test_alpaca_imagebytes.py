"""Images in every form that servers send."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from toros.alpaca.imagebytes import decode
from toros.common.errors import DeviceError, DeviceRefused

BINARY = "application/imagebytes"


def _encode(pixels: np.ndarray, number: int, *, error: int = 0, start: int = 44) -> np.ndarray:
    header = struct.pack("<11i", 1, error, 7, 9, start, 2, number, 2, *pixels.shape[::-1], 0)
    body = header + b"\0" * (start - 44) + np.ascontiguousarray(pixels.T).tobytes()
    return np.frombuffer(body, dtype=np.uint8)


@given(
    pixels=hnp.arrays(np.uint16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)),
    kind=st.sampled_from([(2, "<i4"), (3, "<f8"), (5, "<u8"), (7, "<i8"), (8, "<u2"), (9, "<u4")]),
    start=st.sampled_from([44, 48, 64]),
)
def test_every_element_type_gives_the_same_pixels(pixels, kind, start) -> None:
    number, dtype = kind
    found = decode(BINARY, _encode(pixels.astype(dtype), number, start=start))
    assert found.dtype == np.uint16
    assert found.flags.c_contiguous
    assert np.array_equal(found, pixels)


@given(pixels=hnp.arrays(np.uint8, (3, 5)))
def test_bytes_and_json_are_read_too(pixels) -> None:
    assert np.array_equal(decode(BINARY, _encode(pixels, 6)), pixels)
    body = json.dumps({"Type": 2, "Rank": 2, "ErrorNumber": 0, "Value": pixels.T.tolist()})
    content = np.frombuffer(body.encode(), dtype=np.uint8)
    assert np.array_equal(decode("application/json; charset=utf-8", content), pixels)


def test_the_first_axis_of_the_wire_is_x() -> None:
    pixels = np.arange(6, dtype=np.uint16).reshape(2, 3)  # 2 rows, 3 columns
    found = decode(BINARY, _encode(pixels, 8))
    assert found.shape == (2, 3)
    assert found[1, 0] == 3


def test_an_error_is_text_at_the_data_start() -> None:
    text = "no image yet: Zahl ° µ".encode()
    body = struct.pack("<11i", 1, 0x40B, 7, 9, 44, 0, 0, 0, 0, 0, 0) + text
    with pytest.raises(DeviceRefused, match="no image yet: Zahl ° µ"):
        decode(BINARY, np.frombuffer(body, dtype=np.uint8))


@given(content=st.binary(max_size=200))
def test_nonsense_is_a_device_error(content: bytes) -> None:
    for content_type in (BINARY, "application/json", ""):
        with pytest.raises(DeviceError):
            decode(content_type, np.frombuffer(content, dtype=np.uint8))


@pytest.mark.parametrize(
    ("pixels", "number"),
    [
        (np.array([[70000]], "<i4"), 2),
        (np.array([[-1]], "<i2"), 1),
        (np.array([[np.nan]], "<f8"), 3),
    ],
)
def test_values_that_16_bits_cannot_hold_are_refused(pixels, number) -> None:
    with pytest.raises(DeviceError):
        decode(BINARY, _encode(pixels, number))


def test_a_truncated_image_is_refused() -> None:
    with pytest.raises(DeviceError, match="need"):
        decode(BINARY, _encode(np.ones((8, 8), np.uint16), 8)[:-3])
