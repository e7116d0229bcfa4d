"""Which frames make one master."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from toros.archive.models import Exposure
from toros.common.config.preprocessor import PreprocessorSettings
from toros.preprocessor.grouping import (
    clusters,
    digest,
    group_biases,
    group_darks,
    group_flats,
    master_name,
    slug,
)
from toros.preprocessor.steps.calibrate import product_names

SETTINGS = PreprocessorSettings()


def frame(**values: Any) -> Exposure:
    common: dict[str, Any] = {
        "path": "/raw/x.fits",
        "instrument": "Toy",
        "naxis1": 64,
        "naxis2": 48,
        "binning_x": 1,
        "binning_y": 1,
        "gain": 2.0,
        "header": {},
        "decided_by": {},
        "state": "ingested",
    }
    return Exposure(**(common | values))


def window(x: int, y: int) -> Exposure:
    return frame(header={"XORGSUBF": x, "YORGSUBF": y}, decided_by={"window": "XORGSUBF, YORGSUBF"})


def set_to(value: object, ccd_temp: float | None = None, **values: Any) -> Exposure:
    """A frame whose header tells the set point of its cooler."""
    told = {"header": {"SET-TEMP": value}, "decided_by": {"set_temp": "SET-TEMP"}}
    return frame(ccd_temp=ccd_temp, **told, **values)


def test_nothing_mixes_that_differs_in_the_camera_set_up() -> None:
    odd = [
        frame(instrument="Other"),
        frame(naxis1=32),
        frame(binning_x=2),
        frame(gain=1.0),
        frame(read_out_mode="fast"),
        frame(header={"GAIN": 100}, decided_by={"gain_setting": "GAIN"}),
        frame(header={"OFFSET": 30}, decided_by={"offset_setting": "OFFSET"}),
        window(0, 0),
        window(0, 8),
    ]
    groups = group_biases([frame(), *odd, frame()], SETTINGS)
    assert [len(group.frames) for group in groups] == [2, 1, 1, 1, 1, 1, 1, 1, 1, 1]


def test_biases_of_other_temperatures_are_not_combined() -> None:
    temperatures = [-5.2, -14.8, -4.8, -5.0]
    groups = group_biases([frame(ccd_temp=value) for value in temperatures], SETTINGS)
    assert [(len(group.frames), group.label) for group in groups] == [(1, "-15C"), (3, "-5C")]
    (alone,) = group_biases([frame(ccd_temp=-5.0), frame(ccd_temp=-6.0)], SETTINGS)
    assert alone.label == ""


def test_darks_are_told_apart_by_exposure_time_temperature_and_filter() -> None:
    darks = [
        frame(exptime=30.0, ccd_temp=-10.0),
        frame(exptime=30.005, ccd_temp=-10.4),
        frame(exptime=60.0, ccd_temp=-10.0),
        frame(exptime=30.0, ccd_temp=-20.0),
        frame(exptime=30.0, ccd_temp=None),
        frame(exptime=30.0, ccd_temp=-10.0, filter="Blue"),
    ]
    groups = group_darks(darks, SETTINGS)
    assert sorted(len(group.frames) for group in groups) == [1, 1, 1, 1, 2]
    assert {group.label for group in groups} == {"30s", "60s", "30s_Blue"}


def test_where_no_temperature_was_measured_the_set_point_stands_for_it() -> None:
    told = [
        set_to(-20.0),
        set_to("-20 C", -19.8),
        set_to(0.0),
        set_to(-30.0, -20.2),
        set_to(253.15),
    ]
    groups = group_darks(told, SETTINGS)
    assert sorted(len(group.frames) for group in groups) == [1, 4]
    assert [group.label for group in group_biases(told, SETTINGS)] == ["-20C", "0C"]


def test_flats_are_told_apart_by_filter_only() -> None:
    flats = [
        frame(filter="V", exptime=1.0),
        frame(filter="V", exptime=8.0),
        frame(filter="B"),
        frame(filter=None),
    ]
    groups = group_flats(flats)
    assert [(group.label, len(group.frames)) for group in groups] == [
        ("V", 2),
        ("B", 1),
        ("nofilter", 1),
    ]


numbers = st.none() | st.floats(-1000, 1000)


@given(st.lists(numbers, max_size=40), st.floats(0, 50))
def test_clusters_part_the_items_and_keep_the_tolerance(
    values: list[float | None], tolerance: float
) -> None:
    items = list(enumerate(values))
    parts = clusters(items, lambda item: item[1], tolerance)
    assert sorted(index for part in parts for index, _ in part) == list(range(len(items)))
    for part in parts:
        assert [index for index, _ in part] == sorted(index for index, _ in part)
        known = [value for _, value in part if value is not None]
        assert len(known) in (0, len(part))
        if known:
            assert max(known) - min(known) <= tolerance * (1 + 1e-6)


@given(st.text(max_size=60))
def test_a_slug_is_one_safe_part_of_a_path(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9.+'_-]+", slug(text))
    assert slug(text) not in (".", "..")
    assert not slug(text).startswith(".")


def test_the_name_of_a_master_changes_with_its_inputs() -> None:
    assert digest(["a", "b"]) != digest(["a", "c"])
    assert master_name("master_dark", "30s", "0badc0de") == "master_dark_30s_0badc0de.fits"
    assert master_name("master_bias", "", "0badc0de") == "master_bias_0badc0de.fits"


def test_products_are_named_after_the_raw_frames() -> None:
    assert product_names([Path("ngc.fits"), Path("V/x 1.FIT")]) == [
        "calib_ngc.fits",
        "calib_x-1.fits",
    ]


paths = st.lists(
    st.builds(
        lambda folder, name, suffix: Path(folder, name + suffix),
        st.sampled_from(["", "B", "V", "V/deep", "V_a", "B V", "B-V", "\xe4"]),
        st.sampled_from(["a", "b", "a_b", "V_a", "a b", "a-b", "\xe4", "\xf6", "x" * 250]),
        st.sampled_from([".fits", ".fit", ".FIT"]),
    ),
    unique=True,
)


@given(paths)
def test_no_two_lights_share_a_product(lights: list[Path]) -> None:
    names = product_names(lights)
    assert len(set(names)) == len(lights)
    assert all(name.startswith("calib_") and name.endswith(".fits") for name in names)
    # Ten more while it is written: a dot, and what makes the hidden name unique.
    assert all(len(name) + 10 <= 255 for name in names)
