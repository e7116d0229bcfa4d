"""Which master a frame gets, and why the others are refused."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toros.imaging.headers import ExposureInfo
from toros.imaging.headers.layout import Amplifier, Layout
from toros.imaging.headers.sections import Section
from toros.imaging.matching import Choice, dark_scale, match_bias, match_dark, match_flat
from toros.imaging.options import ReductionOptions

NIGHT = datetime(2024, 1, 30, 3, tzinfo=UTC)
LIGHT = ExposureInfo(
    path=Path("light.fits"),
    image_type="light",
    exptime_s=60.0,
    filter="V",
    ccd_temp_c=-20.0,
    binning=(1, 1),
    window=(9, 3),
    gain_e_adu=1.5,
    read_out_mode="slow",
    naxis1=100,
    naxis2=80,
    date_obs=NIGHT,
    instrument="CAM",
)


def master(kind: str, name: str | None = None, **changes: Any) -> ExposureInfo:
    return replace(LIGHT, path=Path(name or f"{kind}.fits"), image_type=kind, **changes)


def dark(name: str = "dark.fits", **changes: Any) -> ExposureInfo:
    return master("dark", name, **{"header": {"BIASCOR": "b.fits"}, **changes})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"instrument": "OTHER"}, "instrument is OTHER, not CAM"),
        ({"instrument": None}, "instrument is unknown"),
        ({"naxis1": 50}, "size is 50×80, not 100×80"),
        ({"binning": (2, 2)}, r"binning is \(2, 2\)"),
        ({"window": (5, 0)}, r"origin on the detector is \(5, 0\), not \(9, 3\)"),
        ({"gain_e_adu": 2.0}, "gain is 2.0, not 1.5"),
        ({"read_out_mode": "fast"}, "read-out mode is fast, not slow"),
    ],
)
@pytest.mark.parametrize("kind", ["bias", "dark", "flat"])
def test_what_all_masters_must_share(kind: str, changes: dict[str, Any], why: str) -> None:
    match = {"bias": match_bias, "dark": match_dark, "flat": match_flat}[kind]
    good = match(LIGHT, [master(kind)])
    assert good.chosen is not None
    assert good.refused == ()
    choice = match(LIGHT, [master(kind, **changes)])
    assert choice.chosen is None
    assert len(choice.refused) == 1
    reason = choice.refused[0][1]
    assert re.search(why, reason)
    assert reason.rstrip(".") in choice.why


@pytest.mark.parametrize("match", [match_bias, match_dark, match_flat])
@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [("7", "7", True), ("7", "8", False), ("7", None, True), (None, "8", True), (None, None, True)],
)
def test_two_cameras_of_one_model_do_not_share_masters(
    match: Any, ours: str | None, theirs: str | None, same: bool
) -> None:
    frame = replace(LIGHT, serial=ours)
    candidate = master(match.__name__.removeprefix("match_"), serial=theirs)
    choice = match(frame, [candidate])
    assert choice.chosen == (candidate if same else None)
    # Where one does not tell, nothing is said of it.
    assert choice.notes == match(LIGHT, [replace(candidate, serial=None)]).notes or not same
    if not same:
        assert "its camera has the serial number 8, not 7" in choice.why


def test_sizes_are_those_of_the_frames_not_of_their_files() -> None:
    place = Section(0, 90, 0, 80)
    layout = Layout((80, 90), (Amplifier(0, place, Section(90, 100, 0, 80), place),))
    trimmed = replace(LIGHT, layout=layout)
    reason = match_bias(trimmed, [master("bias")]).refused[0][1]
    assert "size is 100×80, not 90×80" in reason
    assert "not unknown" in match_bias(replace(LIGHT, instrument=None), [master("bias")]).why


def with_overscan() -> ExposureInfo:
    place = Section(0, 90, 0, 80)
    return replace(
        LIGHT, layout=Layout((80, 90), (Amplifier(0, place, Section(90, 100, 0, 80), place),))
    )


@pytest.mark.parametrize("holds_bias", [False, True])
@pytest.mark.parametrize(
    ("frame", "options", "lost"),
    [
        (with_overscan(), ReductionOptions(), True),
        (with_overscan(), ReductionOptions(overscan="off"), False),
        (replace(LIGHT, naxis1=90), ReductionOptions(), False),
        # A master that is held against others of its kind.
        (replace(LIGHT, naxis1=90, header={"OVERSCOR": True}), ReductionOptions(), True),
    ],
)
def test_a_master_that_holds_the_bias_must_have_the_pedestal_of_the_frame(
    frame: ExposureInfo, options: ReductionOptions, lost: bool, holds_bias: bool
) -> None:
    def offered(told: bool | None) -> Choice:
        cards = {} if told is None else {"OVERSCOR": told}
        if holds_bias:
            one = master("dark", naxis1=90, header={"BIASCOR": "NONE", **cards})
            return match_dark(frame, [one], options)
        return match_bias(frame, [master("bias", naxis1=90, header=cards)], options)

    assert offered(lost).chosen is not None
    assert offered(None).chosen is not None
    refused = offered(not lost)
    assert refused.chosen is None
    assert "overscan is subtracted from" in refused.why


def test_of_a_dark_without_its_bias_the_overscan_does_not_matter() -> None:
    one = dark(naxis1=90, header={"BIASCOR": "b.fits", "OVERSCOR": False})
    assert match_dark(with_overscan(), [one]).chosen is one


def test_a_master_that_holds_the_bias_must_have_the_offset_of_the_frame() -> None:
    frame = replace(LIGHT, offset_setting=30.0)
    for offset, fits in ((30.0, True), (None, True), (10.0, False)):
        bias = match_bias(frame, [master("bias", offset_setting=offset)])
        held = match_dark(frame, [master("dark", offset_setting=offset)])
        assert (bias.chosen is not None, held.chosen is not None) == (fits, fits)
    assert "offset setting is 10, not 30" in bias.why
    # Of a pedestal that is not in it the height does not matter.
    assert match_dark(frame, [dark(offset_setting=10.0)]).chosen is not None
    assert match_flat(frame, [master("flat", offset_setting=10.0)]).chosen is not None
    lost = replace(with_overscan(), offset_setting=30.0)
    one = master("bias", naxis1=90, offset_setting=10.0, header={"OVERSCOR": True})
    assert match_bias(lost, [one]).chosen is not None


def test_the_wrong_kind_is_refused() -> None:
    assert match_bias(LIGHT, [master("flat")]).refused[0][1].endswith("a flat, not a bias.")
    assert match_flat(LIGHT, []).why == "There is no master flat."


def test_of_many_refusals_some_are_said_and_all_kept() -> None:
    choice = match_bias(LIGHT, [master("bias", f"b{n}.fits", gain_e_adu=2.0) for n in range(30)])
    assert len(choice.refused) == 30
    assert choice.why.count("gain is") == 6
    assert choice.why.endswith("; and 24 more).")


def test_what_is_unknown_is_taken_with_a_note_after_what_is_known() -> None:
    vague = master("bias", "vague.fits", read_out_mode=None)
    choice = match_bias(LIGHT, [vague])
    assert choice.chosen is vague
    assert choice.notes == ("The read-out mode of the master is unknown.",)
    sure = master("bias", "sure.fits", date_obs=NIGHT - timedelta(days=9))
    assert match_bias(LIGHT, [vague, sure]).chosen is sure


def test_a_flat_must_have_the_filter() -> None:
    choice = match_flat(LIGHT, [master("flat", "b.fits", filter="B"), master("flat", "v.fits")])
    assert choice.chosen is not None
    assert choice.chosen.path.name == "v.fits"
    assert [why for _, why in choice.refused] == ["b.fits: its filter is B, not V."]
    assert match_flat(replace(LIGHT, filter=None), [master("flat")]).chosen is None


def test_the_nearest_in_time_wins_and_the_other_is_said_to_match() -> None:
    near = master("flat", "near.fits", date_obs=NIGHT - timedelta(hours=8))
    far = master("flat", "far.fits", date_obs=NIGHT - timedelta(days=2))
    choice = match_flat(LIGHT, [far, near])
    assert choice.chosen is near
    assert choice.refused == ((far, "far.fits: matches, but near.fits is nearer."),)


def test_a_bias_of_another_temperature_is_the_second_choice_with_a_note() -> None:
    warm = master("bias", "warm.fits", ccd_temp_c=-5.0)
    cold = master("bias", "cold.fits", ccd_temp_c=-20.3, date_obs=NIGHT - timedelta(days=5))
    assert match_bias(LIGHT, [warm, cold]).chosen is cold
    choice = match_bias(LIGHT, [warm])
    assert choice.chosen is warm
    assert "15.0 °C away" in choice.notes[0]


def test_a_dark_must_have_the_temperature() -> None:
    options = ReductionOptions(dark_temperature_tolerance_c=1.0)
    assert match_dark(LIGHT, [dark(ccd_temp_c=-21.0)], options).chosen is not None
    choice = match_dark(LIGHT, [dark(ccd_temp_c=-21.2)], options)
    assert choice.chosen is None
    assert "-21.2 °C, not -20.0 °C" in choice.why
    unknown = match_dark(LIGHT, [dark(ccd_temp_c=None)], options)
    assert unknown.chosen is not None
    assert "temperature" in unknown.notes[0]


def test_where_no_temperature_was_measured_the_set_point_stands_for_it() -> None:
    light = replace(LIGHT, ccd_temp_c=None, set_temp_c=-20.0)
    assert match_dark(light, [dark(ccd_temp_c=-20.3)]).notes == ()
    assert match_dark(light, [dark(ccd_temp_c=None, set_temp_c=-20.0)]).notes == ()
    choice = match_dark(light, [dark(ccd_temp_c=None, set_temp_c=-30.0)])
    assert "-30.0 °C, not -20.0 °C" in choice.why
    # Where it was measured it counts, whatever it was to be.
    assert match_dark(replace(LIGHT, set_temp_c=-30.0), [dark()]).chosen is not None


def test_a_dark_of_the_exposure_time_wins_over_one_to_scale() -> None:
    exact = dark("exact.fits", date_obs=NIGHT - timedelta(days=20), ccd_temp_c=None)
    other = dark("other.fits", exptime_s=120.0)
    choice = match_dark(LIGHT, [other, exact])
    assert (choice.chosen, choice.dark_scale) == (exact, 1.0)


@pytest.mark.parametrize(
    ("exptime_s", "options", "scale"),
    [
        (60.005, ReductionOptions(), 1.0),
        (120.0, ReductionOptions(), 0.5),
        (40.0, ReductionOptions(), 1.5),
        (20.0, ReductionOptions(), None),
        (120.0, ReductionOptions(scale_darks=False), None),
        (None, ReductionOptions(), None),
        (0.0, ReductionOptions(), None),
    ],
)
def test_dark_scale(
    exptime_s: float | None, options: ReductionOptions, scale: float | None
) -> None:
    candidate = dark(exptime_s=exptime_s)
    choice = match_dark(LIGHT, [candidate], options)
    found = dark_scale(LIGHT.exptime_s, candidate, options)
    if scale is None:
        assert choice.chosen is None
        assert isinstance(found, str)
    else:
        assert choice.dark_scale == found == pytest.approx(scale)
        assert bool(choice.notes) == (scale != 1.0)


def test_a_dark_that_holds_the_bias_is_never_scaled() -> None:
    for header in ({}, {"BIASCOR": "NONE"}):
        choice = match_dark(LIGHT, [dark(exptime_s=120.0, header=header)])
        assert choice.chosen is None
        assert "its bias is not subtracted" in choice.why


MASTERS = st.builds(
    lambda name, kind, exptime, temp, hours, instrument, filter_: master(
        kind,
        f"{name}.fits",
        header={"BIASCOR": "b.fits"},
        exptime_s=exptime,
        ccd_temp_c=temp,
        date_obs=NIGHT + timedelta(hours=hours),
        instrument=instrument,
        filter=filter_,
    ),
    st.integers(0, 999),
    st.sampled_from(["bias", "dark", "flat"]),
    st.sampled_from([None, 30.0, 60.0, 61.0, 300.0]),
    st.sampled_from([None, -20.0, -19.5, -5.0]),
    st.integers(-100, 100),
    st.sampled_from(["CAM", "OTHER"]),
    st.sampled_from(["V", "B", None]),
)


@given(st.lists(MASTERS, max_size=8, unique_by=lambda m: m.path), st.randoms())
def test_every_candidate_is_chosen_or_refused_in_any_order(
    candidates: list[ExposureInfo], random: Any
) -> None:
    for match in (match_bias, match_dark, match_flat):
        choice: Choice = match(LIGHT, candidates)
        judged = [c.path for c, _ in choice.refused]
        judged += [choice.chosen.path] if choice.chosen else []
        assert sorted(judged) == sorted(c.path for c in candidates)
        assert all(reason for _, reason in choice.refused)
        shuffled = list(candidates)
        random.shuffle(shuffled)
        assert match(LIGHT, shuffled).chosen == choice.chosen
