"""What the archive knows a product by: as it is recorded, and as the file's own bytes have it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from astropy.io import fits

from toros.archive.models import Combination

Identity = str | list[int] | None


def recorded_identity(row: Combination) -> Identity:
    """Return the DATASUMs of a calibrated image, the SHA-256 of any other product."""
    if row.kind == "calibrated":
        assert row.sha256 is None
        sums: list[int] = row.quality["data_sums"]
        return sums
    return row.sha256


def identity_of(path: Path) -> Identity:
    """Return the same of a file."""
    if not path.name.startswith("calib_"):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    with fits.open(path, disable_image_compression=True) as hdus:
        images = [hdu for hdu in hdus if hdu.header["NAXIS"] > 0]
        assert [hdu.verify_datasum() for hdu in images] == [1, 1, 1]
        return [int(hdu.header["DATASUM"]) for hdu in images]
