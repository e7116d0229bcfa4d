"""Headers are read once, and again when the file has changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from toros.common.atomic import atomic_path
from toros.common.errors import UnreadableFile
from toros.imaging.headers import read_exposure, remembered


def _write(path: Path, exptime_s: float) -> None:
    header = fits.Header({"EXPTIME": exptime_s})
    with atomic_path(path) as temporary:
        fits.PrimaryHDU(np.zeros((8, 9), np.float32), header).writeto(temporary, overwrite=True)


def test_a_header_is_read_once_and_again_when_the_file_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "_SETTLED_NS", 0)
    path = tmp_path / "master.fits"
    _write(path, 10.0)
    first = read_exposure(path)
    assert first.exptime_s == 10.0
    assert read_exposure(path) is first
    _write(path, 20.0)
    assert read_exposure(path).exptime_s == 20.0
    path.unlink()
    with pytest.raises(UnreadableFile, match="no such file"):
        read_exposure(path)


def test_what_changed_just_now_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It may change again in the same tick of the file system's clock. This one ticks slowly.
    monkeypatch.setattr(remembered, "_SETTLED_NS", 3600 * 10**9)
    path = tmp_path / "frame.fits"
    _write(path, 10.0)
    assert read_exposure(path) is not read_exposure(path)
