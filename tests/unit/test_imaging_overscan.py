"""Overscan, trim and amplifiers: against ccdproc, and against frames whose parts are known."""

from __future__ import annotations

from pathlib import Path

import ccdproc
import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.modeling.models import Legendre1D
from astropy.nddata import CCDData
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from toros.common.errors import UnreadableFile
from toros.imaging.amplifiers import read_noise_map
from toros.imaging.calibrate import calibrate_light
from toros.imaging.frames import read_frame
from toros.imaging.headers import read_exposure
from toros.imaging.headers.sections import Section, parse_section
from toros.imaging.light_header import move_wcs
from toros.imaging.mask_bits import MaskBit
from toros.imaging.options import ReductionOptions
from toros.imaging.overscan import overscan_level

ROW = ReductionOptions(overscan="row")


@given(
    st.integers(1, 9000), st.integers(1, 9000), st.integers(1, 9000), st.integers(1, 9000),
)  # fmt: skip
def test_a_section_is_what_it_says(x1: int, x2: int, y1: int, y2: int) -> None:
    found = parse_section(f"[{x1}:{x2}, {y1}:{y2}]")
    assert found is not None
    assert found.shape == (abs(y2 - y1) + 1, abs(x2 - x1) + 1)
    assert (found.flip_x, found.flip_y) == (x1 > x2, y1 > y2)
    assert (found.x_start, found.y_start) == (min(x1, x2) - 1, min(y1, y2) - 1)


@given(st.text(max_size=30))
def test_any_text_is_a_section_or_none(text: str) -> None:
    found = parse_section(text, (10, 20))
    assert found is None or found.x_stop > found.x_start >= 0


@pytest.mark.parametrize("text", ["[4096:4109]", "[0,513:0,1536]", "[0:4,1:2]", "", "[1:2,3:4"])
def test_what_programs_also_write_is_no_section(text: str) -> None:
    assert parse_section(text) is None


def test_a_star_is_the_whole_axis() -> None:
    assert parse_section("[*,2:3]", (5, 7)) == Section(0, 7, 1, 3)
    assert parse_section("[-*,:]", (5, 7)) == Section(0, 7, 0, 5, flip_x=True)


@given(
    hnp.arrays(
        np.uint16,
        st.tuples(st.integers(6, 60), st.integers(3, 12)),
        elements=st.integers(900, 1100),
    ),
    st.integers(1, 4),
)
def test_the_fit_is_that_of_ccdproc(region: np.ndarray, degree: int) -> None:
    image = np.hstack([np.full((region.shape[0], 5), 2000.0), region.astype(float)])
    ccd = CCDData(image, unit=u.adu)
    theirs = ccdproc.subtract_overscan(
        ccd, fits_section=f"[6:{image.shape[1]},:]", median=True, model=Legendre1D(degree)
    )
    ours = overscan_level(region, "fit", degree, reject=np.inf)
    np.testing.assert_allclose(2000.0 - theirs.data[:, 0], ours, rtol=2e-6)


def test_by_row_is_ccdproc_s_median(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    raw = rng.integers(900, 1100, (40, 50)).astype(np.uint16)
    path = write(tmp_path / "a.fits", raw, BIASSEC="[41:50,1:40]", TRIMSEC="[1:40,1:40]")
    ccd = CCDData(raw.astype(float), unit=u.adu)
    theirs = ccdproc.trim_image(
        ccdproc.subtract_overscan(ccd, fits_section="[41:50,1:40]", median=True, overscan_axis=1),
        fits_section="[1:40,1:40]",
    )
    frame = read_frame(path, read_exposure(path), options=ROW)
    np.testing.assert_array_equal(frame.pixels, theirs.data.astype(np.float32))


def test_a_row_that_a_star_bled_into_does_not_bend_the_fit() -> None:
    rng = np.random.default_rng(5)
    rows = np.arange(200.0)
    truth = 1000 + 0.05 * rows + 1e-4 * rows**2
    region = truth[:, None] + rng.normal(0, 4, (200, 32))
    region[90:96] += 3000
    found = overscan_level(region, "fit", 3)
    assert np.abs(found - truth).max() < 1.0
    plain = overscan_level(region, "fit", 3, reject=np.inf)
    assert np.abs(plain - truth).max() > 50


def write(path: Path, raw: np.ndarray, **cards: object) -> Path:
    header = fits.Header({"IMAGETYP": "light", "EXPTIME": 10.0, **cards})
    fits.PrimaryHDU(raw, header=header).writeto(path)
    return path


def test_overscan_at_every_edge(tmp_path: Path) -> None:
    truth = np.arange(30 * 20, dtype=np.uint16).reshape(30, 20)
    level = (1000 + np.arange(30)).astype(np.uint16)
    column = (1000 + np.arange(20)).astype(np.uint16)
    cases = {
        "right": (np.hstack([truth + level[:, None], np.repeat(level[:, None], 4, 1)]),
                  "[21:24,1:30]", "[1:20,1:30]"),
        "left": (np.hstack([np.repeat(level[:, None], 4, 1), truth + level[:, None]]),
                 "[1:4,1:30]", "[5:24,1:30]"),
        "top": (np.vstack([truth + column, np.repeat(column[None], 4, 0)]),
                "[1:20,31:34]", "[1:20,1:30]"),
        "bottom": (np.vstack([np.repeat(column[None], 4, 0), truth + column]),
                   "[1:20,1:4]", "[1:20,5:34]"),
    }  # fmt: skip
    for name, (raw, bias, trim) in cases.items():
        for keys in ({"TRIMSEC": trim}, {"DATASEC": trim}, {}):
            path = write(tmp_path / f"{name}{len(keys)}{next(iter(keys), '')}.fits", raw,
                         BIASSEC=bias, **keys)  # fmt: skip
            info = read_exposure(path)
            frame = read_frame(path, info, options=ROW)
            assert info.shape == (30, 20)
            np.testing.assert_array_equal(frame.pixels, truth, err_msg=f"{name} {keys}")
            part = read_frame(path, info, slice(7, 11), ROW)
            np.testing.assert_array_equal(part.pixels, truth[7:11])


@pytest.mark.parametrize("method", ["fit", "row"])
@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_an_overscan_that_is_shorter_than_the_data_tells_its_rows(
    tmp_path: Path, method: str, beside: bool, kind: type
) -> None:
    level = 1000 + np.arange(60) // 2 * 4  # as the bias of many cameras rises along the rows
    raw = np.repeat(level[:, None], 50, axis=1)
    raw[:, :40] += 500
    sections = {"BIASSEC": "[41:50,4:57]", "TRIMSEC": "[1:40,1:60]"}
    if not beside:
        raw = raw.T
        sections = {"BIASSEC": "[4:57,41:50]", "TRIMSEC": "[1:60,1:40]"}
    path = write(tmp_path / "a.fits", raw.astype(kind), **sections)
    info = read_exposure(path)
    frame = read_frame(path, info, options=ReductionOptions(overscan=method))  # type: ignore[arg-type]
    assert not frame.mask.any()
    found = frame.pixels if beside else frame.pixels.T
    assert np.abs(found[3:57] - 500).max() < (3 if method == "fit" else 0.01)
    # Three rows beyond its end have the level of the last that has one, or what the fit says.
    assert np.abs(found - 500).max() <= 8


def test_saturation_is_judged_before_the_overscan_is_subtracted(tmp_path: Path) -> None:
    raw = np.full((10, 14), 1000, np.uint16)
    raw[4, 5] = 60000
    path = write(tmp_path / "a.fits", raw, BIASSEC="[11:14,1:10]", SATURATE=60000.0)
    frame = read_frame(path, read_exposure(path))
    assert frame.pixels[4, 5] == 59000
    assert frame.mask[4, 5] == MaskBit.SATURATED
    assert (frame.mask != 0).sum() == 1


@pytest.mark.parametrize(
    ("cards", "said"),
    [
        ({"BIASSEC": "[4096:4109]", "TRIMSEC": "[1:4096, :]"}, "not used"),
        ({"BIASSEC": "[0,513:0,1536]", "DATASEC": "[513,513:1536,1536]"}, "no image section"),
        ({"BIASSEC": "[25:30,1:20]", "TRIMSEC": "[1:24,1:20]"}, "outside"),
        ({"BIASSEC": "[18:20,1:20]", "TRIMSEC": "[1:19,1:20]"}, "overlaps"),
        ({"BIASSEC": "[18:20,1:20]", "TRIM": "Apr 1 trimmed"}, "done already"),
        ({"BIASSEC": "[9:10,1:20]"}, "not along an edge"),
    ],
)
def test_sections_that_are_not_those_of_the_image_are_noted(
    tmp_path: Path, cards: dict[str, str], said: str
) -> None:
    info = read_exposure(write(tmp_path / "a.fits", np.ones((20, 20), np.uint16), **cards))
    assert any(said in note for note in info.notes), info.notes
    assert info.layout is None or info.layout.amplifiers[0].bias is None


GAINS = (1.0, 1.25, 0.8, 1.1)
LEVELS = (900, 1000, 1100, 1200)


def mosaic(path: Path, truth_e: np.ndarray, *, numbered: bool = False, binning: int = 1) -> Path:
    """Write a frame of four amplifiers, each read out from its own corner, from its electrons."""
    height, width = truth_e.shape
    h, w = height // 2, width // 2
    parts, cards = [], []
    for index, (gain, level) in enumerate(zip(GAINS, LEVELS, strict=True)):
        right, top = index % 2, index // 2
        data = truth_e[top * h : (top + 1) * h, right * w : (right + 1) * w] / gain
        x = (right * w * binning + 1, (right + 1) * w * binning)
        y = (top * h * binning + 1, (top + 1) * h * binning)
        if right:
            data, x = data[:, ::-1], x[::-1]
        if top:
            data, y = data[::-1], y[::-1]
        raw = np.hstack([data + level, np.full((h, 6), level)])
        parts.append(np.round(raw).astype(np.uint16))
        detector = f"[{x[0] + 100}:{x[1] + 100},{y[0]}:{y[1]}]"
        cards.append({"DATASEC": f"[1:{w},1:{h}]", "BIASSEC": f"[{w + 1}:{w + 6},1:{h}]",
                      "DETSEC": detector, "GAIN": gain, "RDNOISE": 3.0 + index})  # fmt: skip
    common = {"IMAGETYP": "light", "EXPTIME": 10.0, "INSTRUME": "quad", "OBJECT": "M 51"}
    if numbered:
        header = fits.Header(common)
        for number, own in enumerate(cards, start=1):
            shift = (number - 1) * (w + 6)
            header[f"DATASEC{number}"] = f"[{shift + 1}:{shift + w},1:{h}]"
            header[f"BIASSEC{number}"] = f"[{shift + w + 1}:{shift + w + 6},1:{h}]"
            for key in ("DETSEC", "GAIN", "RDNOISE"):
                header[f"{key}{number}"] = own[key]
        fits.PrimaryHDU(np.hstack(parts), header=header).writeto(path)
        return path
    hdus = [fits.PrimaryHDU(header=fits.Header(common))]
    for part, own in zip(parts, cards, strict=True):
        header = fits.Header(own)
        header.comments["GAIN"] = "[e-/ADU]"
        hdus.append(fits.ImageHDU(part, header=header))
    fits.HDUList(hdus).writeto(path)
    return path


@pytest.mark.parametrize("numbered", [False, True])
@pytest.mark.parametrize("binning", [1, 2])
def test_four_amplifiers_become_one_frame(tmp_path: Path, numbered: bool, binning: int) -> None:
    truth = np.random.default_rng(1).integers(2000, 40000, (40, 60)).astype(float)
    path = mosaic(tmp_path / "m.fits", truth, numbered=numbered, binning=binning)
    info = read_exposure(path)
    assert info.shape == (40, 60)
    assert info.gain_e_adu == pytest.approx(np.mean(GAINS))
    frame = read_frame(path, info)
    assert not frame.mask.any()
    # Whole ADU: half a step of the largest gain.
    assert np.abs(frame.pixels * info.gain_e_adu - truth).max() <= 0.5 * max(GAINS) + 0.01
    assert frame.header["OBJECT"] == "M 51"


@pytest.mark.parametrize("numbered", [False, True])
def test_a_frame_that_is_put_together_has_no_sections_of_its_amplifiers(
    tmp_path: Path, numbered: bool
) -> None:
    raw = mosaic(tmp_path / "m.fits", np.full((40, 60), 3000.0), numbered=numbered)
    with fits.open(raw, mode="update") as hdus:
        hdus[-1].data[3, 4] += 9  # a picture is not of one value
    calibrate_light(raw, tmp_path / "c.fits", bias=None, dark=None, flat=None)
    made = fits.getheader(tmp_path / "c.fits")
    assert made["OBJECT"] == "M 51"
    assert not [key for key in made if "SEC" in key]
    assert not {f"{key}{n}" for key in ("GAIN", "RDNOISE") for n in range(1, 5)} & set(made)


def test_amplifiers_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = mosaic(tmp_path / "m.fits", np.full((40, 60), 3000.0))
    with fits.open(path, mode="update") as hdus:
        hdus[2].header["DETSEC"] = hdus[1].header["DETSEC"]
    with pytest.raises(UnreadableFile, match="same place"):
        read_exposure(path)
    with fits.open(path, mode="update") as hdus:
        hdus[2].header["DETSEC"] = "[1:31,1:20]"
    with pytest.raises(UnreadableFile, match="does not fit"):
        read_exposure(path)


def test_a_gap_between_detectors_is_masked(tmp_path: Path) -> None:
    hdus = [fits.PrimaryHDU(header=fits.Header({"IMAGETYP": "flat"}))]
    for start in (1, 16):
        header = fits.Header({"DETSEC": f"[{start}:{start + 9},1:8]"})
        hdus.append(fits.ImageHDU(np.ones((8, 10), np.uint16), header=header))
    fits.HDUList(hdus).writeto(tmp_path / "two.fits")
    info = read_exposure(tmp_path / "two.fits")
    frame = read_frame(info.path, info)
    assert info.shape == (8, 25)
    assert (frame.mask[:, 10:15] == MaskBit.NO_DATA).all()
    assert not frame.mask[:, :10].any()
    assert not frame.mask[:, 15:].any()


@pytest.mark.parametrize("matrix", ["CD", "PC", "CDELT", "SIP"])
@pytest.mark.parametrize("amplifier", [0, 1, 2, 3])
def test_the_sky_moves_with_the_pixels(tmp_path: Path, matrix: str, amplifier: int) -> None:
    info = read_exposure(mosaic(tmp_path / "m.fits", np.full((40, 60), 3000.0)))
    layout = info.layout
    assert layout is not None
    one = layout.amplifiers[amplifier]
    layout = type(layout)(layout.shape, (one,))
    header = fits.Header(
        {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": -24.0,
         "CRPIX1": 12.5, "CRPIX2": 7.0, "CUNIT1": "deg", "CUNIT2": "deg"}
    )  # fmt: skip
    scale = {"1_1": -3e-4, "1_2": 1e-4, "2_1": 1e-4, "2_2": 3e-4}
    if matrix == "CDELT":
        header["CDELT1"], header["CDELT2"] = -3e-4, 3e-4
    else:
        for key, value in scale.items():
            name = "CD" if matrix == "SIP" else matrix
            header[f"{name}{key}"] = value if name == "CD" else value / 3e-4
        if matrix == "SIP":
            header["CTYPE1"], header["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
            header["A_ORDER"] = header["B_ORDER"] = 3
            for power, value in {"2_0": 1e-3, "1_1": 2e-3, "0_2": -1e-3, "2_1": 3e-5}.items():
                header[f"A_{power}"], header[f"B_{power}"] = value, value / 2
        if matrix == "PC":
            header["CDELT1"], header["CDELT2"] = 3e-4, 3e-4
    before = WCS(header)
    x, y = np.meshgrid(np.arange(one.data.shape[1]), np.arange(one.data.shape[0]))
    sky = before.all_pix2world(x + one.data.x_start, y + one.data.y_start, 0)
    move_wcs(header, layout)
    turned_x = one.data.shape[1] - 1 - x if one.place.flip_x else x
    turned_y = one.data.shape[0] - 1 - y if one.place.flip_y else y
    after = WCS(header).all_pix2world(turned_x + one.place.x_start, turned_y + one.place.y_start, 0)
    np.testing.assert_allclose(after, sky, atol=1e-10)


# --- what cannot be ---------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fit", "row", "median"])
def test_a_value_that_is_none_in_the_overscan_costs_no_pixel(tmp_path: Path, method: str) -> None:
    raw = np.full((20, 30), 1000, np.float32)
    raw[:, :24] += 500
    raw[5, 27] = np.nan
    raw[9, 29] = np.inf
    path = write(tmp_path / "a.fits", raw, BIASSEC="[25:30,1:20]", TRIMSEC="[1:24,1:20]")
    options = ReductionOptions(overscan=method)  # type: ignore[arg-type]
    frame = read_frame(path, read_exposure(path), options=options)
    assert not frame.mask.any()
    np.testing.assert_allclose(frame.pixels, 500, atol=1e-3)


@pytest.mark.parametrize(("method", "lost"), [("fit", 0), ("row", 2), ("median", 0)])
def test_rows_without_an_overscan_are_fitted_or_masked(
    tmp_path: Path, method: str, lost: int
) -> None:
    raw = np.full((20, 30), 1000, np.float32)
    raw[:, :24] += 500
    raw[5:7, 24:] = np.nan
    path = write(tmp_path / "a.fits", raw, BIASSEC="[25:30,1:20]", TRIMSEC="[1:24,1:20]")
    options = ReductionOptions(overscan=method)  # type: ignore[arg-type]
    frame = read_frame(path, read_exposure(path), options=options)
    assert np.count_nonzero(frame.mask == MaskBit.NO_DATA) == lost * 24
    np.testing.assert_allclose(frame.pixels[frame.mask == 0], 500, atol=1e-3)
    assert not frame.pixels[frame.mask != 0].any()


def test_an_overscan_of_no_values_masks_the_frame(tmp_path: Path) -> None:
    raw = np.full((20, 30), 1500, np.float32)
    raw[:, 24:] = np.nan
    path = write(tmp_path / "a.fits", raw, BIASSEC="[25:30,1:20]", TRIMSEC="[1:24,1:20]")
    frame = read_frame(path, read_exposure(path))
    assert (frame.mask == MaskBit.NO_DATA).all()
    assert not frame.pixels.any()


@pytest.mark.parametrize(
    ("card", "value", "done"),
    [
        ("OVERSCAN", 6, False),
        ("OVERSCAN", False, False),
        ("TRIM", False, False),
        ("TRIM", "F", False),
        ("OVERSCAN", "Jan 30 12:00 Overscan section is [25:30,1:20] with mean=1000.", True),
        ("TRIM", True, True),
        ("SUBOVER", "subtract_overscan", True),
    ],
)
def test_a_card_says_whether_the_overscan_was_dealt_with(
    tmp_path: Path, card: str, value: object, done: bool
) -> None:
    raw = np.full((20, 30), 1000, np.uint16)
    sections = {"BIASSEC": "[25:30,1:20]", "TRIMSEC": "[1:24,1:20]", card: value}
    info = read_exposure(write(tmp_path / "a.fits", raw, **sections))
    assert info.shape == ((20, 30) if done else (20, 24))


def test_an_impossible_gain_of_an_amplifier_is_none(tmp_path: Path) -> None:
    path = mosaic(tmp_path / "m.fits", np.full((40, 60), 3000.0), numbered=True)
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["GAIN2"] = 0.0
        hdus[0].header["RDNOISE3"] = -4.0
    info = read_exposure(path)
    assert info.gain_e_adu is None
    assert any("amplifier tells its gain" in note for note in info.notes), info.notes
    frame = read_frame(path, info)
    assert (frame.pixels > 2000).all()
    assert read_noise_map(info.layout, info.read_noise_e) is None


@pytest.mark.parametrize("without", [1, 3])
def test_the_gain_of_one_amplifier_is_not_that_of_all(tmp_path: Path, without: int) -> None:
    path = mosaic(tmp_path / "m.fits", np.full((40, 60), 3000.0))
    with fits.open(path, mode="update") as hdus:
        del hdus[without].header["GAIN"]
    info = read_exposure(path)
    assert info.gain_e_adu is None
    assert "gain" not in info.decided_by


@pytest.mark.parametrize("numbered", [False, True])
def test_the_read_noise_of_a_frame_is_that_of_its_amplifiers(
    tmp_path: Path, numbered: bool
) -> None:
    path = mosaic(tmp_path / "m.fits", np.full((40, 60), 3000.0), numbered=numbered)
    expected = np.sqrt(np.mean(np.array([3.0, 4.0, 5.0, 6.0]) ** 2))
    assert read_exposure(path).read_noise_e == pytest.approx(expected)
