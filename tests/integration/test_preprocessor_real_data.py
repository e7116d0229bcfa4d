"""The real sets: what comes of frames that no test has made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy.orm import Session, sessionmaker

from toros.common.config import Config
from toros.preprocessor.reduce import reduce_folder

Document = dict[str, Any]


@pytest.fixture
def reduced(
    request: pytest.FixtureRequest,
    shared_data: Path,
    tmp_path: Path,
    sessions: sessionmaker[Session],
) -> Document:
    folder = shared_data / "ccd" / request.param
    if not folder.is_dir():
        pytest.skip(f"the real set {request.param} is not at {folder}")
    config = Config()
    return reduce_folder(folder, tmp_path, sessions, config, config.make_clock()).document


def lights(document: Document) -> dict[str, Document]:
    return {
        Path(row["path"]).name: row for row in document["exposures"] if row["image_type"] == "light"
    }


def product(document: Document, kind: str) -> list[Document]:
    return [row for row in document["products"] if row["kind"] == kind]


@pytest.mark.parametrize("reduced", ["stl1001"], indirect=True)
def test_stl1001(reduced: Document) -> None:
    found = lights(reduced)
    raw = {name: row for name, row in found.items() if "NOAUTODARK" in name}
    subtracted = {name: row for name, row in found.items() if name not in raw}
    assert len(raw) == len(subtracted) == 4
    assert {(row["state"], row["code"]) for row in subtracted.values()} == {("left_out", 108)}
    # No flats: calibrated with what is there.
    assert {(row["state"], row["code"]) for row in raw.values()} == {("calibrated", 106)}
    # Two biases of -5 C and one of -15 C, whose level is lower by some ADU.
    assert sorted(len(row["inputs"]) for row in product(reduced, "master_bias")) == [1, 2]
    warm = next(row["path"] for row in product(reduced, "master_bias") if len(row["inputs"]) == 2)
    (dark,) = product(reduced, "master_dark")
    assert len([path for path in dark["inputs"] if path.endswith(".DARK.FIT")]) == 8
    assert len(product(reduced, "calibrated")) == 4
    assert {problem["code"] for problem in reduced["problems"]} == {106, 108}
    for row in raw.values():
        assert row["masters"]["flat"] is None
        assert row["masters"]["dark"] == dark["path"]
        assert row["masters"]["bias"] == warm
    _compare_with_the_camera(reduced, found)


def _compare_with_the_camera(reduced: Document, found: dict[str, Document]) -> None:
    """The camera subtracted a dark of the light's own time itself, and added 100 ADU."""
    gain = 2.06
    for calibrated in product(reduced, "calibrated"):
        raw = next(path for path in calibrated["inputs"] if path.endswith("NOAUTODARK.FIT"))
        twin = found[Path(raw).name.replace(".NOAUTODARK", "")]["path"]
        ours = fits.getdata(calibrated["path"])
        theirs = (fits.getdata(twin).astype(np.float64) - 100) * gain
        # One dark frame of theirs has a read noise of 15 e-, its level drifts by some ADU.
        assert np.median(ours - theirs) == pytest.approx(0, abs=10 * gain)
        assert fits.getheader(calibrated["path"])["DARKSCAL"] < 0.1


@pytest.mark.parametrize("reduced", ["uam_ngc2420"], indirect=True)
def test_uam_ngc2420(reduced: Document) -> None:
    found = lights(reduced)
    assert len(found) == 11
    # No darks: reported, and calibrated without.
    assert {(row["state"], row["code"]) for row in found.values()} == {("calibrated", 105)}
    filters = [row["filter"] for row in found.values()]
    assert (filters.count("JohnsonB"), filters.count("JohnsonV")) == (6, 5)
    flats = {row["filter"]: row["path"] for row in product(reduced, "master_flat")}
    assert set(flats) == {"JohnsonB", "JohnsonV"}
    for row in found.values():
        assert row["masters"]["flat"] == flats[row["filter"]]
        assert row["masters"]["dark"] is None
    for calibrated in product(reduced, "calibrated"):
        header = fits.getheader(calibrated["path"])
        assert (header["DARKCOR"], header["STATUS"]) == ("NONE", "PARTIAL")
        assert header["BIASCOR"].startswith("master_bias_")
        assert any("No master dark" in line for line in header["HISTORY"])
    for path in flats.values():
        with fits.open(path) as hdus:
            good = hdus["MASK"].data == 0
            assert np.mean(hdus[0].data[good], dtype=np.float64) == pytest.approx(1, abs=5e-3)
    problems = [(row["step"], row["code"]) for row in reduced["problems"]]
    assert problems == [("master_flat", 105), ("calibrate", 105)]
