"""Compressed products of a whole reduction, beside their uncompressed twins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.night_frames import Camera
from tests.support.product_identity import identity_of, recorded_identity
from toros.archive.models import Combination
from toros.common.config import Config
from toros.preprocessor.reduce import reduce_folder

LEVEL = 8.0


def reduce(folder: Path, out: Path, sessions: sessionmaker[Session], compression: str) -> None:
    settings = {"previews": False, "compression": compression, "quantise_level": LEVEL}
    config = Config.model_validate({"preprocessor": settings})
    report = reduce_folder(folder, out, sessions, config, config.make_clock())
    assert report.document["problems"] == []
    assert {Path(row["path"]).parent for row in report.document["products"]} == {out}


def planes(path: Path) -> tuple[fits.Header, list[Any]]:
    with fits.open(path, checksum=True) as hdus:
        images = [hdu for hdu in hdus if hdu.data is not None]
        return images[0].header.copy(), [hdu.data.astype(np.float64) for hdu in images]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    camera = Camera(tmp_path / "raw", width=400, height=300)
    camera.bias()
    camera.dark()
    camera.flat()
    camera.light("a", OBJECT="M 31")
    return camera.folder


def test_the_noise_grows_by_no_more_than_is_documented(
    tmp_path: Path, raw: Path, sessions: sessionmaker[Session]
) -> None:
    reduce(raw, tmp_path / "plain", sessions, "none")
    reduce(raw, tmp_path / "rice", sessions, "rice")
    header, (sky, error, mask) = planes(tmp_path / "plain" / "calib_a.fits")
    rice_header, (rice_sky, rice_error, rice_mask) = planes(tmp_path / "rice" / "calib_a.fits")
    good = mask == 0
    assert np.array_equal(mask, rice_mask)
    # The variance that quantisation adds, in units of the pixels' own.
    added = np.mean(((rice_sky - sky)[good] / error[good]) ** 2)
    assert 0.6 / (12 * LEVEL**2) < added <= 1.001 / (12 * LEVEL**2)
    assert (np.abs(rice_sky - sky)[good] / error[good]).max() <= 0.5 / LEVEL + 1e-4
    # χ² with the file's own uncertainties, against the plain one, about the median.
    chi2, rice_chi2 = (
        np.mean(((values - np.median(values)) / sigma)[good] ** 2)
        for values, sigma in ((sky, error), (rice_sky, rice_error))
    )
    assert 0.9 < chi2 < 1.2
    assert abs(rice_chi2 / chi2 - 1) < 1.5 / (12 * LEVEL**2) + 1e-3
    assert np.abs(rice_error[good] / error[good] - 1).max() < 0.01
    for keyword in ("IMAGETYP", "OBJECT", "BIASCOR", "DARKCOR", "FLATCOR", "NMASKED", "STATUS"):
        assert rice_header[keyword] == header[keyword]
    # Masters are read by rows again and again: they stay as they are, the same bytes.
    masters = sorted((tmp_path / "plain").glob("[mb]*.fits"))
    assert len(masters) == 4
    for path in masters:
        assert (tmp_path / "rice" / path.name).read_bytes() == path.read_bytes()


def test_the_same_frames_give_the_same_compressed_bytes(
    tmp_path: Path, raw: Path, sessions: sessionmaker[Session]
) -> None:
    for kind in ("rice", "gzip"):
        for name in ("first", "second"):
            reduce(raw, tmp_path / kind / name, sessions, kind)
        first, second = (tmp_path / kind / name / "calib_a.fits" for name in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()
    with sessions() as session:
        for row in session.scalars(select(Combination)):
            assert recorded_identity(row) == identity_of(Path(row.path))


def test_gzip_is_the_plain_product(
    tmp_path: Path, raw: Path, sessions: sessionmaker[Session]
) -> None:
    reduce(raw, tmp_path / "plain", sessions, "none")
    reduce(raw, tmp_path / "gzip", sessions, "gzip")
    plain = planes(tmp_path / "plain" / "calib_a.fits")[1]
    for found, wanted in zip(planes(tmp_path / "gzip" / "calib_a.fits")[1], plain, strict=True):
        assert np.array_equal(found, wanted)
