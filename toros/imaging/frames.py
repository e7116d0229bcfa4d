"""Frames: pixels as float32 with what is known to be wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from toros.common.errors import MixedShapes, UnusableFrame
from toros.imaging.amplifier_rows import amplifier_rows
from toros.imaging.amplifiers import assemble
from toros.imaging.fits_io import image_hdu, open_fits, plane_shape, read_pixels
from toros.imaging.headers import ExposureInfo
from toros.imaging.mask_bits import MaskBit
from toros.imaging.options import ReductionOptions
from toros.imaging.raw import RawImage, opened_file
from toros.imaging.tiled import stored_image

if TYPE_CHECKING:
    from astropy.nddata import CCDData

Pixels = NDArray[np.float32]

_DEFAULTS = ReductionOptions()


@dataclass(frozen=True)
class Frame:
    """Pixels [y, x] as float32, the mask (`MaskBit`), and the header of the image."""

    pixels: Pixels
    mask: NDArray[np.uint8]
    header: fits.Header


def read_frame(
    path: Path,
    info: ExposureInfo,
    rows: slice | None = None,
    options: ReductionOptions = _DEFAULTS,
) -> Frame:
    """Read a raw frame, or some rows of it.

    Values that are not finite and pixels at or over ``info.saturation_adu`` are masked. Integers
    of up to 16 bits are exact in float32. A file with an overscan or with several amplifiers
    (``info.layout``) becomes one frame: see `toros.imaging.amplifiers`.

    Raises
    ------
    UnreadableFile
        If the file cannot be read.
    UnusableFrame
        If the image has more than one plane.
    """
    with open_fits(path) as hdus:
        hdu = image_hdu(hdus, path)
        header = whole_header(hdus, hdu)
        if info.layout is not None:
            at = slice(0, info.layout.shape[0]) if rows is None else rows
            (found,) = _of_amplifiers(hdus, info, [at], options)
            return Frame(*found, header)
        if plane_shape(hdu.shape) is None:
            size = "×".join(str(axis) for axis in reversed(hdu.shape))
            raise UnusableFrame(f"{path}: an image of {size} is not one plane of pixels.")
        raw = read_pixels(hdu, path, rows)
    pixels = raw.astype(np.float32)
    mask = np.zeros(pixels.shape, dtype=np.uint8)
    finite = np.isfinite(pixels)
    if not finite.all():
        mask[~finite] |= MaskBit.NO_DATA.value
        pixels[~finite] = 0
    if info.saturation_adu is not None:
        mask[raw >= info.saturation_adu] |= MaskBit.SATURATED.value
    return Frame(pixels, mask, header)


def without_pedestal(info: ExposureInfo, options: ReductionOptions) -> bool:
    """Return whether the level of an overscan is subtracted from a frame as it is read."""
    return options.overscan != "off" and info.layout is not None and info.layout.has_overscan


def read_strips(
    path: Path,
    info: ExposureInfo,
    strips: Sequence[slice],
    options: ReductionOptions = _DEFAULTS,
    *,
    lost: float = 0.0,
) -> list[Pixels]:
    """Read some strips of rows of a raw frame, opening its file once.

    Parameters
    ----------
    lost : float
        What stands where there is no value.

    Raises
    ------
    UnreadableFile
        If the file cannot be read.
    """
    image = stored_image(path) if info.layout is None else None
    if image is not None and image.is_counts:
        return _strips_of_counts(image, strips)
    with open_fits(path) as hdus:
        if info.layout is not None:
            parts = _of_amplifiers(hdus, info, strips, options)
            for pixels, mask in parts:
                pixels[(mask & MaskBit.NO_DATA.value) != 0] = lost
            return [pixels for pixels, _ in parts]
        hdu = image_hdu(hdus, path)
        found = [read_pixels(hdu, path, rows).astype(np.float32) for rows in strips]
    for strip in found:
        strip[~np.isfinite(strip)] = lost
    return found


def _strips_of_counts(image: RawImage, strips: Sequence[slice]) -> list[Pixels]:
    """Read strips of what cameras write most: astropy takes ten times as long."""
    found = []
    with image.path.open("rb", buffering=0) as file:
        for rows in strips:
            raw = image.rows(file.fileno(), rows)
            found.append(raw.astype(np.float32) + np.float32(image.zero))
    return found


def _of_amplifiers(
    hdus: fits.HDUList, info: ExposureInfo, strips: Sequence[slice], options: ReductionOptions
) -> list[tuple[Pixels, NDArray[np.uint8]]]:
    """Return some strips of a frame with a layout, and their masks."""
    amplifiers = amplifier_rows(info, options)
    if amplifiers is not None:
        with opened_file(info.path) as descriptor:
            return [amplifiers.read(descriptor, rows) for rows in strips]
    pixels, saturated, empty = assemble(hdus, info.path, info, options)
    mask = np.zeros(pixels.shape, dtype=np.uint8)
    mask[empty] |= MaskBit.NO_DATA.value
    mask[saturated] |= MaskBit.SATURATED.value
    return [(pixels[rows], mask[rows]) for rows in strips]


def whole_header(hdus: fits.HDUList, hdu: Any) -> fits.Header:
    """Return the header of an image with what it inherits from the primary one."""
    header: fits.Header = hdu.header.copy()
    if hdu is not hdus[0]:
        primary = hdus[0].header.copy()
        primary.strip()
        header.extend(primary, unique=True, update=False)
    return header


@dataclass(frozen=True)
class Master:
    """A master as it was written: value, uncertainty (one sigma) and mask, each [y, x]."""

    pixels: Pixels
    uncertainty: Pixels | None
    mask: NDArray[np.bool_]

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width)."""
        return self.mask.shape

    def rows(self, rows: slice, *, with_error: bool = True) -> Master:
        """Return some rows, not to be changed, without the uncertainty where that is not wanted."""
        error = self.uncertainty if with_error else None
        return Master(self.pixels[rows], None if error is None else error[rows], self.mask[rows])

    def as_ccddata(self, unit: str = "adu") -> CCDData:
        """Return the master as ccdproc takes it."""
        # Imported here: a command that only reduces starts half a second sooner without.
        from astropy.nddata import CCDData, StdDevUncertainty

        uncertainty = None if self.uncertainty is None else StdDevUncertainty(self.uncertainty)
        return CCDData(self.pixels, unit=unit, uncertainty=uncertainty, mask=self.mask)


class MasterRows(Protocol):
    """A master of which rows are had: in memory or, as `MasterFile`, in its file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width)."""

    def rows(self, rows: slice, *, with_error: bool = True) -> Master:
        """Return some rows, not to be changed; called from several threads."""


def read_master(path: Path) -> Master:
    """Read a master of ours, or any image with optional UNCERT and MASK extensions.

    Raises
    ------
    UnreadableFile
        If the file cannot be read.
    """
    with open_fits(path) as hdus:
        pixels = read_pixels(image_hdu(hdus, path), path).astype(np.float32)
        uncertainty = mask = None
        if "UNCERT" in hdus and plane_shape(hdus["UNCERT"].shape) == pixels.shape:
            uncertainty = read_pixels(hdus["UNCERT"], path).astype(np.float32)
        if "MASK" in hdus and plane_shape(hdus["MASK"].shape) == pixels.shape:
            mask = read_pixels(hdus["MASK"], path) != 0
    bad = ~np.isfinite(pixels)
    mask = bad if mask is None else mask | bad
    pixels[bad] = 0
    return Master(pixels, uncertainty, mask)


def check_size(path: Path, shape: tuple[int, ...], info: ExposureInfo) -> None:
    """Raise unless a master has the shape of the frame `info`.

    Raises
    ------
    MixedShapes
        If it has not.
    """
    if shape != info.shape:
        ours = "×".join(str(size) for size in reversed(info.shape or ()))
        theirs = "×".join(str(size) for size in reversed(shape))
        raise MixedShapes(f"{path.name} is {theirs}, but {info.path.name} is {ours}.")
