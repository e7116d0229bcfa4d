from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pytest

from tests.conformance.probe import INVALID, NOT_IMPLEMENTED, NOT_SET, WRONG_STATE, is_number

IDLE, WAITING, EXPOSING, READING, DOWNLOAD, ERROR = range(6)
MONOCHROME = 0
HEADER = struct.Struct("<iiIIiiiiiii")
TYPES = {1: "<i2", 2: "<i4", 3: "<f8", 4: "<f4", 5: "<u8", 6: "u1", 7: "<i8", 8: "<u2", 9: "<u4"}
WIDTH, HEIGHT = 64, 32


def optional(camera, member: str) -> object:
    """Return the value of a member that a camera need not have, or None."""
    return camera.get(member) if camera.implements(member) else None


@pytest.fixture(autouse=True)
def whole_frame(camera) -> Iterator[None]:
    """Leave the camera with its whole frame, idle."""
    yield
    if camera.get("CameraState") not in (IDLE, ERROR):
        camera.put("AbortExposure" if camera.can("CanAbortExposure") else "StopExposure")
        camera.wait(lambda: camera.get("CameraState") in (IDLE, ERROR), "the camera to be idle")
    frame(camera, 1, 0, 0, camera.get("CameraXSize"), camera.get("CameraYSize"))


def frame(camera, binning: int, left: int, top: int, width: int, height: int) -> None:
    for member, value in (
        *(("BinX", binning), ("BinY", binning), ("StartX", left), ("StartY", top)),
        *(("NumX", width), ("NumY", height)),
    ):
        camera.set(member, value)


def expose(camera, seconds: float, *, light: bool = True) -> None:
    camera.put("StartExposure", Duration=seconds, Light=light)
    camera.wait(lambda: camera.get("ImageReady"), "the image")


def shortest(camera) -> float:
    return max(camera.get("ExposureMin"), 0.01)


def image_bytes(camera) -> tuple[tuple[int, ...], np.ndarray]:
    reply = camera.raw(
        "GET",
        "imagearray",
        params={"ClientTransactionID": 88},
        headers={"Accept": "application/imagebytes"},
    )
    assert reply.status_code == 200
    assert reply.headers["Content-Type"].split(";")[0] == "application/imagebytes"
    header = HEADER.unpack(reply.content[: HEADER.size])
    data = np.frombuffer(reply.content[header[4] :], TYPES.get(header[6], "u1"))
    return header, data


def test_before_the_first_exposure_there_is_no_image(camera):
    if not camera.server.fresh:
        pytest.skip("the camera may have been used")
    assert camera.get("ImageReady") is False
    for member in ("ImageArray", "ImageArrayVariant"):
        camera.refuses(member, WRONG_STATE, verb="GET")
    for member in ("LastExposureDuration", "LastExposureStartTime"):
        camera.refuses(member, WRONG_STATE, NOT_SET, verb="GET")
    header, _ = image_bytes(camera)
    assert header[1] == WRONG_STATE


def test_what_it_is(camera):
    assert camera.get("CameraXSize") > 0
    assert camera.get("CameraYSize") > 0
    assert camera.get("MaxADU") > 0
    assert camera.get("PixelSizeX") > 0
    assert camera.get("PixelSizeY") > 0
    assert isinstance(camera.get("HasShutter"), bool)
    assert camera.get("CameraState") in range(6)
    for member in ("ElectronsPerADU", "FullWellCapacity"):
        value = optional(camera, member)
        assert value is None or value > 0
    assert 0 <= camera.get("PercentCompleted") <= 100
    assert isinstance(camera.get("SensorName"), str)


def test_exposure_limits(camera):
    low, high = camera.get("ExposureMin"), camera.get("ExposureMax")
    assert 0 <= low < high
    assert 0 <= camera.get("ExposureResolution") <= high
    for bad in (-1, high + 1):
        camera.refuses("StartExposure", INVALID, Duration=bad, Light=True)


def test_a_monochrome_sensor_has_no_bayer_matrix(camera):
    colour = camera.get("SensorType") != MONOCHROME
    for member in ("BayerOffsetX", "BayerOffsetY"):
        if colour:
            assert camera.get(member) in range(4)
        else:
            camera.refuses(member, NOT_IMPLEMENTED, verb="GET")


@pytest.mark.parametrize("axis", ["X", "Y"])
def test_binning_has_bounds(camera, axis):
    largest = camera.get(f"MaxBin{axis}")
    assert largest >= 1
    camera.refuses_values(f"Bin{axis}", [0, -1, largest + 1])
    for binning in range(1, largest + 1):
        if not camera.can("CanAsymmetricBin"):
            camera.set("BinX", binning)
            camera.set("BinY", binning)
        camera.roundtrip(f"Bin{axis}", binning)


@pytest.mark.parametrize(("member", "names"), [("Gain", "Gains"), ("Offset", "Offsets")])
def test_a_setting_goes_by_index_or_by_value(camera, member, names):
    if not camera.implements(member):
        for other in (names, f"{member}Min", f"{member}Max"):
            camera.refuses(other, NOT_IMPLEMENTED, verb="GET")
        pytest.skip(f"no {member}")
    before = camera.get(member)
    if camera.implements(names):
        low, high = 0, len(camera.get(names)) - 1
        for other in (f"{member}Min", f"{member}Max"):
            camera.refuses(other, NOT_IMPLEMENTED, verb="GET")
    else:
        low, high = camera.get(f"{member}Min"), camera.get(f"{member}Max")
    assert low <= before <= high
    for value in (low, high):
        camera.roundtrip(member, value)
    camera.refuses_values(member, [low - 1, high + 1])
    camera.set(member, before)


def test_read_out_modes(camera):
    modes = camera.get("ReadoutModes")
    assert modes
    before = camera.get("ReadoutMode")
    for index in range(len(modes)):
        camera.roundtrip("ReadoutMode", index)
    camera.refuses_values("ReadoutMode", [-1, len(modes)])
    camera.set("ReadoutMode", before)
    if camera.can("CanFastReadout"):
        assert isinstance(camera.get("FastReadout"), bool)
    else:
        camera.refuses("FastReadout", NOT_IMPLEMENTED, verb="GET")
        camera.refuses("FastReadout", NOT_IMPLEMENTED, FastReadout=True)


def test_the_cooler(camera):
    if not camera.implements("CoolerOn"):
        pytest.skip("no cooler")
    before = camera.get("CoolerOn")
    camera.roundtrip("CoolerOn", True)
    assert is_number(camera.get("CCDTemperature"))
    if camera.can("CanGetCoolerPower"):
        assert 0 <= camera.get("CoolerPower") <= 100
    camera.set("CoolerOn", before)


def test_the_set_point(camera):
    camera.need("CanSetCCDTemperature")
    before = camera.get("SetCCDTemperature")
    camera.refuses_values("SetCCDTemperature", [-280, 100])
    camera.roundtrip("SetCCDTemperature", 0.0, 0.1)
    camera.roundtrip("SetCCDTemperature", before, 0.1)


def test_a_geometry_that_cannot_be_is_refused_at_the_start(camera):
    width, height = camera.get("CameraXSize"), camera.get("CameraYSize")
    for binning in range(1, camera.get("MaxBinX") + 1):
        if not camera.can("CanAsymmetricBin") and binning > camera.get("MaxBinY"):
            break
        columns, rows = width // binning, height // binning
        for bad in (
            (0, 0, columns + 1, rows),
            (0, 0, columns, rows + 1),
            (columns + 1, 0, columns, rows),
            (0, rows + 1, columns, rows),
        ):
            frame(camera, binning, *bad)
            camera.refuses("StartExposure", INVALID, Duration=shortest(camera), Light=True)


def test_an_exposure_passes_from_exposing_to_idle(camera):
    width, height = camera.get("CameraXSize"), camera.get("CameraYSize")
    frame(camera, 1, 0, 0, width, height)
    length = max(10.0, camera.get("ExposureMin"))
    camera.put("StartExposure", Duration=length, Light=True)
    seen = [camera.get("CameraState")]
    assert seen[0] in (WAITING, EXPOSING, READING, DOWNLOAD)
    assert camera.get("ImageReady") is False
    camera.refuses("StartExposure", WRONG_STATE, Duration=length, Light=True)
    percent = [0]

    def ready() -> bool:
        seen.append(camera.get("CameraState"))
        if seen[-1] == EXPOSING and camera.implements("PercentCompleted"):
            percent.append(camera.get("PercentCompleted"))
        return bool(camera.get("ImageReady"))

    camera.wait(ready, "the image")
    assert EXPOSING in seen
    assert ERROR not in seen
    assert camera.get("CameraState") == IDLE
    assert percent == sorted(percent)
    assert camera.get("LastExposureDuration") == pytest.approx(length, rel=0.05)
    datetime.fromisoformat(camera.get("LastExposureStartTime"))


@pytest.mark.parametrize("binning", [1, 2, 3, 4])
def test_an_image_has_the_size_that_was_asked_for(camera, binning):
    if binning > min(camera.get("MaxBinX"), camera.get("MaxBinY")):
        pytest.skip("beyond the largest binning")
    columns = min(camera.get("CameraXSize") // binning, WIDTH)
    rows = min(camera.get("CameraYSize") // binning, HEIGHT)
    frame(camera, binning, 0, 0, columns, rows)
    expose(camera, shortest(camera))
    body = camera.raw("GET", "imagearray").json()
    assert (body["Type"], body["Rank"]) == (2, 2)
    nested = np.array(body["Value"])
    assert nested.shape == (columns, rows)
    header, data = image_bytes(camera)
    version, error, client, transaction, start, kind, _, rank, *dimensions = header
    assert (version, error, client, rank) == (1, 0, 88, 2)
    assert transaction >= 1
    assert start >= HEADER.size
    assert kind == 2
    assert dimensions == [columns, rows, 0]
    assert np.array_equal(data.reshape(columns, rows), nested)


def test_an_image_bytes_error_is_text(camera):
    if not camera.server.fresh:
        pytest.skip("only a running exposure surely has no image, and it is tested on ours")
    camera.put("StartExposure", Duration=60, Light=True)
    reply = camera.raw("GET", "imagearray", headers={"Accept": "application/imagebytes"})
    assert reply.status_code == 200
    header = HEADER.unpack(reply.content[: HEADER.size])
    assert header[1] == WRONG_STATE
    assert reply.content[header[4] :].decode("utf-8")


def test_aborting_and_stopping(camera):
    if camera.can("CanAbortExposure"):
        camera.put("AbortExposure")  # idle: nothing happens
        camera.put("StartExposure", Duration=max(20, camera.get("ExposureMin")), Light=True)
        camera.put("AbortExposure")
        camera.wait(lambda: camera.get("CameraState") == IDLE, "the camera to be idle")
        assert camera.get("ImageReady") is False
    else:
        camera.refuses("AbortExposure", NOT_IMPLEMENTED)
    if camera.can("CanStopExposure"):
        camera.put("StopExposure")
        camera.put("StartExposure", Duration=max(200, camera.get("ExposureMin")), Light=True)
        camera.put("StopExposure")
        camera.wait(lambda: camera.get("ImageReady"), "what there is of the image")
        assert camera.get("LastExposureDuration") < 200
    else:
        camera.refuses("StopExposure", NOT_IMPLEMENTED)


def test_guiding(camera):
    if camera.can("CanPulseGuide"):
        for direction in range(4):
            camera.put("PulseGuide", Direction=direction, Duration=500)
            camera.wait(lambda: not camera.get("IsPulseGuiding"), "the end of the pulse")
    else:
        camera.refuses("PulseGuide", NOT_IMPLEMENTED, Direction=0, Duration=500)
        assert camera.error("GET", "IsPulseGuiding") == NOT_IMPLEMENTED


def test_sub_exposures(camera):
    assert camera.error("GET", "SubExposureDuration") in (0, NOT_IMPLEMENTED)
