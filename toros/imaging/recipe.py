"""What a light is calibrated with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toros.imaging.frames import Pixels
from toros.imaging.headers import ExposureInfo
from toros.imaging.kernels.correcting import Masters
from toros.imaging.master_words import WholeMaster, constant, flat, whole_bad_pixels, whole_master
from toros.imaging.options import ReductionOptions

_NO_FLAT = WholeMaster(value=1.0)


@dataclass(frozen=True, kw_only=True)
class Ingredients:
    """Which masters, and how they are used.

    Parameters
    ----------
    dark_scale : float
        Factor on the dark.
    dark_holds_bias : bool
        Whether the dark is the pedestal of the photons, where there is no bias.
    dark_lost_bias : bool
        Whether this very bias was subtracted from the dark.
    """

    bias: Path | None
    dark: Path | None
    flat: Path | None
    bad_pixels: Path | None = None
    dark_scale: float = 1.0
    dark_holds_bias: bool = False
    dark_lost_bias: bool = False

    @property
    def complete(self) -> bool:
        """Whether nothing is missing: what is not subtracted as a bias may be with the dark."""
        return None not in (self.dark, self.flat) and (
            self.bias is not None or self.dark_holds_bias
        )

    @property
    def dark_is_pedestal(self) -> bool:
        """Whether the dark, not the bias, is what holds no photons."""
        return self.bias is None and self.dark is not None and self.dark_holds_bias

    @property
    def bias_share(self) -> float:
        """How much of the variance of the bias comes to that of the scaled dark.

        The dark is ``D - bias``, and its variance that of both. So a light without either,
        ``light - bias - s (D - bias)``, has ``s² var(dark) + (1 - 2 s) var(bias)``: with s = 1
        the bias falls out.
        """
        return 1 - 2 * self.dark_scale if self.dark_lost_bias else 1.0


@dataclass(frozen=True)
class Recipe:
    """The masters of a light, of which rows are had.

    Parameters
    ----------
    bad_pixels : numpy.ndarray, optional
        The bad-pixel mask [y, x].
    """

    width: int
    bias: WholeMaster
    dark: WholeMaster
    flat: WholeMaster
    bad_pixels: NDArray[np.bool_] | None
    dark_scale: float
    dark_is_pedestal: bool
    bias_share: float

    def rows(self, rows: slice) -> Masters:
        """Return some rows of all, as the kernel takes them."""
        size = (rows.stop - rows.start) * self.width
        return Masters(
            self.bias.rows(rows, self.width),
            self.dark.rows(rows, self.width),
            self.flat.rows(rows, self.width),
            constant(0.0, size).view(np.bool_)[:size]
            if self.bad_pixels is None
            else flat(self.bad_pixels, rows),
        )

    def pedestal(self, rows: slice) -> Pixels:
        """Return some rows of what holds no photons [ADU]; 0 where it is not known."""
        master = self.dark if self.dark_is_pedestal else self.bias
        found = master.rows(rows, self.width).pixels.byteswap().view(np.float32)
        found[~np.isfinite(found)] = 0
        return found.reshape(-1, self.width)


def recipe_for(info: ExposureInfo, used: Ingredients, options: ReductionOptions) -> Recipe:
    """Open the masters for the frame `info`.

    Raises
    ------
    UnreadableFile, MixedShapes
        If a master cannot be read or has another size.
    """

    def master(path: Path | None, instead: WholeMaster) -> WholeMaster:
        return instead if path is None else whole_master(path, info, options.memory_limit_bytes)

    mask = used.bad_pixels
    dark = master(used.dark, WholeMaster())
    return Recipe(
        width=(info.shape or (0, 0))[1],
        bias=master(used.bias, WholeMaster()),
        dark=dark,
        flat=master(used.flat, _NO_FLAT),
        bad_pixels=None if mask is None else whole_bad_pixels(mask, info),
        dark_scale=used.dark_scale,
        dark_is_pedestal=used.dark_is_pedestal,
        # Of a dark that does not tell its error, that of its bias is not known either.
        bias_share=used.bias_share if dark.error is not None else 1.0,
    )
