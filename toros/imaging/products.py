"""Headers and files of what this room makes (CONTRACT §6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

import toros
from toros.imaging.fits_planes import Plane, image_header, planes_file
from toros.imaging.fits_sums import unsealed
from toros.imaging.frames import Pixels
from toros.imaging.headers import ExposureInfo
from toros.imaging.mask_bits import MaskBit
from toros.imaging.pool import in_threads, strips
from toros.imaging.sampling import sample_rows

NONE = "NONE"
_KEPT_IN_MASTERS = ("TELESCOP", "OBSERVAT", "SITELAT", "SITELONG", "SITEELEV")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


def ascii_text(text: str) -> str:
    """Return `text` in the characters that a FITS card may hold."""
    for fancy, plain in (
        ("°", "deg"),
        ("×", "x"),
        ("σ", "sigma"),
        ("±", "+/-"),
        ("–", "-"),
        ("…", "..."),
    ):
        text = text.replace(fancy, plain)
    return _UNPRINTABLE.sub("?", text)


def fits_time(moment: datetime) -> str:
    """Return `moment` as DATE-OBS wants it: UTC, no zone, milliseconds."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")


def pipeline_version() -> str:
    """Return the value of PIPEVER."""
    return f"toros {toros.__version__}"


def set_card(header: fits.Header, keyword: str, value: Any, comment: str) -> None:
    """Set a card; one whose value is None is taken out: unknown is not written as a number."""
    if value is None:
        header.remove(keyword, ignore_missing=True, remove_all=True)
        return
    header[keyword] = (ascii_text(value) if isinstance(value, str) else value, comment)


def master_header(kind: str, infos: Sequence[ExposureInfo], unit: str) -> fits.Header:
    """Return the header of a master of `infos`.

    It is built anew, never copied from the first frame: a master has no WCS, no object, no
    pointing. Temperatures are averaged; the date is the first frame's.
    """
    first, header = infos[0], fits.Header()
    set_card(header, "IMAGETYP", kind.upper(), "type of the frames combined here")
    set_card(header, "COMBINED", True, "a master, not a raw frame")
    set_card(header, "NCOMBINE", len(infos), "number of frames combined")
    set_card(header, "BUNIT", unit, "unit of the pixels")
    dates = [info.date_obs for info in infos if info.date_obs is not None]
    date = fits_time(min(dates)) if dates else None
    set_card(header, "DATE-OBS", date, "UTC, start of the first frame")
    set_card(header, "INSTRUME", first.instrument, "instrument or camera")
    set_card(header, "CAMSER", first.serial, "serial number of the camera")
    for keyword in _KEPT_IN_MASTERS:
        value = first.header.get(keyword)
        if isinstance(value, str | int | float) and value != "":
            set_card(header, keyword, value, "")
    if first.binning is not None:
        set_card(header, "XBINNING", first.binning[0], "binning in x")
        set_card(header, "YBINNING", first.binning[1], "binning in y")
    if first.window is not None:
        set_card(header, "XORGSUBF", first.window[0], "first pixel on the detector in x")
        set_card(header, "YORGSUBF", first.window[1], "first pixel on the detector in y")
    set_card(header, "READOUTM", first.read_out_mode, "read-out mode")
    set_card(header, "GAIN", first.gain_e_adu, "[e-/ADU] gain (electrons/ADU)")
    set_card(header, "GAINSET", first.gain_setting, "gain setting of the camera")
    set_card(header, "OFFSET", first.offset_setting, "offset setting of the camera")
    temperatures = [info.ccd_temp_c for info in infos if info.ccd_temp_c is not None]
    mean = float(np.mean(temperatures)) if temperatures else None
    set_card(header, "CCD-TEMP", mean, "[degC] mean temperature of the CCD")
    set_card(header, "SET-TEMP", first.set_temp_c, "[degC] set point of the cooler")
    set_card(header, "STATUS", "OK", "state of this product")
    set_card(header, "PIPEVER", pipeline_version(), "software that made this")
    return header


def add_history(header: fits.Header, lines: Sequence[str]) -> None:
    """Add HISTORY cards, one or more per line."""
    for line in lines:
        header.add_history(ascii_text(line))


def image_planes(header: fits.Header, shape: tuple[int, int]) -> list[Plane]:
    """Return the HDUs of a product, to be written: the image, UNCERT and MASK."""
    unit, real, byte = str(header["BUNIT"]), np.dtype(np.float32), np.dtype(np.uint8)
    return [
        Plane(image_header(header, shape, real), shape, real),
        _extension("UNCERT", shape, real, unit),
        _extension("MASK", shape, byte, unit),
    ]


def _extension(name: str, shape: tuple[int, int], kind: np.dtype[Any], unit: str) -> Plane:
    header, content = _extension_header(name, shape, kind, unit)
    return Plane(header, shape, kind, content)


@lru_cache(maxsize=16)
def _extension_header(
    name: str, shape: tuple[int, int], kind: np.dtype[Any], unit: str
) -> tuple[fits.Header, bytes]:
    """Return what every product of a shape has; to make it takes as long as to read a header."""
    header = fits.Header()
    if name == "UNCERT":
        # CCDData.read knows a standard deviation by this card.
        header["UTYPE"] = ("StdDevUncertainty", "one sigma")
        header["BUNIT"] = (unit, "unit of the pixels")
    else:
        for bit in MaskBit:
            header[f"BIT{bit.value.bit_length() - 1}"] = (
                (bit.name or "").lower(),
                f"meaning of bit value {bit.value}",
            )
    made = image_header(header, shape, kind, name)
    return made, unsealed(made)


@dataclass(frozen=True)
class Strip:
    """Some rows of a product [y, x]."""

    pixels: Pixels
    uncertainty: Pixels
    mask: NDArray[np.uint8]


def good_pixels(
    rows: Callable[[slice], Strip],
    shape: tuple[int, int],
    each: Callable[[Callable[[slice], Strip], list[slice]], Iterable[Strip]] = map,
) -> Pixels:
    """Return good pixels from all over a product, or all that are good where those are none.

    Parameters
    ----------
    rows : callable
        Returns some rows.
    shape : tuple of int
        (height, width).
    each : callable
        Calls `rows` for each part; `toros.imaging.pool.mapped` does so in all threads.
    """
    for wanted in (sample_rows(shape), strips(*shape)):
        good = np.concatenate([part.pixels[part.mask == 0] for part in each(rows, wanted)])
        if good.size:
            break
    return good


def write_rows(
    target: Path,
    header: fits.Header,
    shape: tuple[int, int],
    rows: Callable[[slice], Strip],
    written: Callable[[Path], object] | None = None,
) -> int:
    """Write a product with UNCERT and MASK, atomically, with CHECKSUM and DATASUM.

    Parameters
    ----------
    rows : callable
        Returns some rows; called from several threads.
    written : callable
        Called with the path of the finished file, before it is flushed and gets its name.

    Returns
    -------
    int
        How many pixels are masked; also in the card NMASKED, where there is one.
    """
    planes = image_planes(header, shape)
    masked: list[int] = []
    with planes_file(target, planes, written=written) as file:

        def write(at: slice) -> None:
            part = rows(at)
            file.write(0, at.start, part.pixels)
            file.write(1, at.start, part.uncertainty)
            file.write(2, at.start, part.mask)
            masked.append(int(np.count_nonzero(part.mask)))

        in_threads(write, strips(*shape))
        if "NMASKED" in planes[0].header:
            planes[0].header["NMASKED"] = sum(masked)
    return sum(masked)


def write_image(
    target: Path,
    header: fits.Header,
    pixels: Pixels,
    uncertainty: Pixels,
    mask: NDArray[np.uint8],
) -> None:
    """Write a product that is in memory; see `write_rows`."""
    height, width = pixels.shape
    write_rows(
        target,
        header,
        (height, width),
        lambda at: Strip(pixels[at], uncertainty[at], mask[at]),
    )
