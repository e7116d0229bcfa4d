"""The headers of masters on offer: read once, and again when the file has changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from toros.common.atomic import atomic_path
from toros.common.errors import UnreadableFile
from toros.imaging.headers import read_exposure_once


def _write(path: Path, exptime_s: float) -> None:
    header = fits.Header({"EXPTIME": exptime_s})
    with atomic_path(path) as temporary:
        fits.PrimaryHDU(np.zeros((8, 9), np.float32), header).writeto(temporary, overwrite=True)


def test_a_header_is_read_once_for_all_frames_and_again_when_the_master_is_new(
    tmp_path: Path,
) -> None:
    path = tmp_path / "master.fits"
    _write(path, 10.0)
    first = read_exposure_once(path)
    assert first.exptime_s == 10.0
    assert read_exposure_once(path) is first
    _write(path, 20.0)
    assert read_exposure_once(path).exptime_s == 20.0
    path.unlink()
    with pytest.raises(UnreadableFile, match="no such file"):
        read_exposure_once(path)
