"""Opening FITS files that come from outside, and writing our own whole or not at all."""

from __future__ import annotations

import logging
import lzma
import threading
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from astropy.io import fits
from astropy.io.fits.hdu.compressed._compression import CfitsioException
from astropy.io.fits.verify import VerifyError

from toros.common.atomic import atomic_path
from toros.common.errors import UnreadableFile

logger = logging.getLogger(__name__)

# What astropy raises on a card that cannot be read.
BROKEN_CARD = (VerifyError, ValueError, IndexError)
# What astropy and the decompressors raise on files that are broken in one way or another.
BROKEN = (
    OSError, EOFError, ValueError, TypeError, IndexError, KeyError, VerifyError, OverflowError,
    RuntimeError, zlib.error, lzma.LZMAError, CfitsioException,
)  # fmt: skip

# What astropy warns of then. Other words would not do: what is collected while a file is opened may
# be of other threads, and that a comment is truncated happens to any header that is written.
_CUT_OFF = "File may have been truncated"

# warnings.catch_warnings changes the state of the whole process.
_WARNINGS = threading.RLock()


@contextmanager
def quiet() -> Iterator[list[warnings.WarningMessage]]:
    """Collect warnings instead of showing them; one thread at a time."""
    with _WARNINGS, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


@contextmanager
def open_fits(path: Path, *, tiles_as_tables: bool = False) -> Iterator[fits.HDUList]:
    """Open `path` for reading.

    Parameters
    ----------
    tiles_as_tables : bool
        Compressed images are wanted as the tables that they are stored in.

    Raises
    ------
    UnreadableFile
        If there is no such file, if it is no FITS file, or if its data are cut off.
    """
    try:
        if path.is_fifo():
            # Opening it would wait until somebody writes to it.
            raise UnreadableFile(f"{path}: is a pipe, not a file.")
        # Opened here, not by astropy, which leaves the file open when it refuses the content.
        file = path.open("rb")
    except FileNotFoundError as error:
        raise UnreadableFile(f"{path}: {_missing(path)}.") from error
    except PermissionError as error:
        raise UnreadableFile(f"{path}: may not be read.") from error
    except IsADirectoryError as error:
        raise UnreadableFile(f"{path}: is a folder, not a file.") from error
    except OSError as error:
        raise UnreadableFile(f"{path}: cannot be opened: {error.strerror}.") from error
    with file, _parsed(file, path, tiles_as_tables) as hdus:
        yield hdus


def _missing(path: Path) -> str:
    """Say what is missing where nothing can be opened at `path`."""
    if not path.is_symlink():
        return "there is no such file"
    return f"is a link to {path.readlink()}, where there is no file"


@contextmanager
def _parsed(file: BinaryIO, path: Path, tiles_as_tables: bool) -> Iterator[fits.HDUList]:
    try:
        with quiet() as caught:
            # No memory map: a file that is cut off while it is mapped kills the process (SIGBUS).
            hdus = fits.open(
                file, memmap=False, lazy_load_hdus=False, uint=True, ignore_blank=True,
                disable_image_compression=tiles_as_tables,
            )  # fmt: skip
    except BROKEN as error:
        raise UnreadableFile(f"{path}: is no FITS file: {_sentence(error)}") from error
    try:
        for warning in caught:
            text = str(warning.message)
            if _CUT_OFF in text:
                raise UnreadableFile(f"{path}: is truncated: {text.partition(': ')[2] or text}.")
            logger.debug("%s: %s", path, text)
        yield hdus
    finally:
        hdus.close()


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    # What astropy advises its caller to pass is no help to who has the file.
    text = text.partition(" If this is really a FITS file, try with")[0]
    return text if text.endswith(".") else f"{text}."


def image_hdu(hdus: fits.HDUList, path: Path) -> Any:
    """Return the first HDU that holds an image.

    Raises
    ------
    UnreadableFile
        If there is none.
    """
    for hdu in hdus:
        if getattr(hdu, "is_image", False) and len(hdu.shape) >= 2:
            return hdu
    raise UnreadableFile(f"{path}: holds no image.")


def plane_shape(shape: Sequence[int]) -> tuple[int, int] | None:
    """Return (height, width) of an image of one plane, maybe in a cube; None of any other."""
    *planes, height, width = shape
    return (height, width) if all(size == 1 for size in planes) else None


def read_pixels(hdu: Any, path: Path, rows: slice | None = None) -> np.ndarray[Any, np.dtype[Any]]:
    """Return the pixels of `hdu` (or of some `rows`), scaled, in native byte order.

    Integers that stand for no value (BLANK) become NaN, and the others floats with them. A cube of
    one plane is this plane.

    Raises
    ------
    UnreadableFile
        If the data are cut off or cannot be decompressed.
    """
    plane = plane_shape(hdu.shape)
    blank = _blank(hdu.header)  # astropy takes the cards out as it scales the pixels
    try:
        with quiet():
            if plane is None:
                data = hdu.data if rows is None else hdu.section[rows, :]
            elif rows is None:
                data = hdu.data.reshape(plane)
            else:
                data = hdu.section[(*(0,) * (len(hdu.shape) - 2), rows, slice(None))]
    except BROKEN as error:
        raise UnreadableFile(f"{path}: its pixels cannot be read: {_sentence(error)}") from error
    array = np.asarray(data)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    return array if blank is None else _without_blanks(array, *blank)


def _blank(header: fits.Header) -> tuple[float, float] | None:
    """Return the value that integers have where they have none, and the step between values."""
    cards = [header.get(key, d) for key, d in (("BITPIX", 0), ("BSCALE", 1), ("BZERO", 0))]
    blank = header.get("BLANK")
    numbers = (blank, *cards)
    if not all(isinstance(one, int | float) for one in numbers) or cards[0] <= 0:
        return None
    return cards[2] + cards[1] * blank, abs(cards[1])


def _without_blanks(
    array: np.ndarray[Any, np.dtype[Any]], blank: float, step: float
) -> np.ndarray[Any, np.dtype[Any]]:
    """Return pixels with NaN for what is `blank`; half a step, for they are scaled in float32."""
    values = array.astype(np.float64)
    lost = np.abs(values - blank) < step / 2
    if not lost.any():
        return array
    values[lost] = np.nan
    return values


def write_fits(target: Path, hdus: fits.HDUList) -> None:
    """Write `hdus` to `target`, whole or not at all, with CHECKSUM and DATASUM."""
    with atomic_path(target) as temporary, quiet() as caught:
        for hdu in hdus:
            # astropy would write the machine's time here: the same input gives the same bytes.
            hdu.add_checksum(when="of this HDU")
        hdus.writeto(temporary, overwrite=True, output_verify="silentfix")
    for warning in caught:
        logger.debug("%s: %s", target, warning.message)
