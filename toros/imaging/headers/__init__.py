"""FITS headers as an observatory meets them: every capture program has its own dialect."""

from toros.common.digests import sha256_of
from toros.common.fits_files import find_fits
from toros.imaging.headers.exposure import ExposureInfo, inspect_json, recorded, require_counts
from toros.imaging.headers.processed import mark_already_calibrated
from toros.imaging.headers.read import describe_header
from toros.imaging.headers.remembered import read_exposure

__all__ = [
    "ExposureInfo",
    "describe_header",
    "find_fits",
    "inspect_json",
    "mark_already_calibrated",
    "read_exposure",
    "recorded",
    "require_counts",
    "sha256_of",
]
