"""What all masters share: the draft, its checks, its file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from toros.common.digests import begin_digest
from toros.common.errors import UnusableFrame
from toros.imaging.clip_error import error_factor, rounding_of_median
from toros.imaging.frames import Pixels
from toros.imaging.headers import ExposureInfo
from toros.imaging.kernels.compiled import load_ahead
from toros.imaging.kernels.masters import standard_errors
from toros.imaging.mask_bits import MaskBit
from toros.imaging.medians import median_of
from toros.imaging.noise import scatter
from toros.imaging.options import ReductionOptions
from toros.imaging.planes import Combined
from toros.imaging.pool import mapped
from toros.imaging.products import Strip, add_history, good_pixels, set_card, write_rows
from toros.imaging.stack import Stack

# A pixel whose scatter is over this times what it should be is noisy by itself.
_NOISY = 2.0
# Few values scatter so much by chance: by these only one good pixel in a thousand does.
_NOISY_OF_FEW = {2: 3.3, 3: 2.85, 4: 2.65}


@dataclass(frozen=True)
class MasterResult:
    """What came of a master.

    Parameters
    ----------
    path : pathlib.Path
        The master's file.
    sha256 : str
        Of its bytes.
    kind : str
        ``"master_bias"``, ``"master_dark"`` or ``"master_flat"``.
    inputs : tuple of pathlib.Path
        The frames that are in it.
    left_out : tuple
        Frames that were given but are not in it, each with the reason.
    exptime_s, filter : float and str, optional
        What it is for.
    median : float
        Median of the good pixels [ADU; a flat: dimensionless].
    noise : float
        Scatter of the good pixels of the master, outliers left out, same unit.
    read_noise_adu : float, optional
        Read noise of one frame, measured [ADU]; of a master bias.
    masked : int
        Number of pixels with no usable value.
    method : str
        ``"sigma_clip"``, ``"median"`` or ``"mean"``.
    measured_gain_e_adu : float, optional
        Gain measured on pairs of the frames [e-/ADU]; of a master flat.
    notes : tuple of str
        What a person should know.
    doubts : tuple of str
        Those of the notes that a person should look into.
    """

    path: Path
    sha256: str
    kind: str
    inputs: tuple[Path, ...]
    median: float
    noise: float
    masked: int
    method: str
    left_out: tuple[tuple[Path, str], ...] = ()
    exptime_s: float | None = None
    filter: str | None = None
    read_noise_adu: float | None = None
    measured_gain_e_adu: float | None = None
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Draft:
    """A master before it is written; ``rows`` makes some of it."""

    kind: str
    infos: Sequence[ExposureInfo]
    stack: Stack
    rows: Callable[[slice], Strip]
    header: fits.Header
    notes: tuple[str, ...] = ()


def filled(part: Combined, value: float) -> tuple[Pixels, NDArray[np.uint8]]:
    """Return rows of a stack with `value` where there is none, and the mask."""
    none = part.count == 0
    if not none.any():
        return part.pixels.copy(), np.zeros(none.shape, np.uint8)
    mask = np.where(none, np.uint8(MaskBit.NO_DATA.value), np.uint8(0))
    return np.where(none, np.float32(value), part.pixels), mask


def standard_error(
    stack: Stack,
    part: Combined,
    noise_of_one: Pixels | float,
    options: ReductionOptions,
    step: float = 0.0,
) -> Pixels:
    """Return the standard error of rows of a stack from the noise of one frame.

    A pixel's own scatter over a few frames is itself uncertain, and too small once values are
    clipped; it is taken only where it shows that the pixel is noisier than it should be.

    Parameters
    ----------
    stack, part : Stack, Combined
        The stack, and some rows of it.
    noise_of_one : numpy.ndarray or float
        What one frame's noise should be, from read noise and photons; same unit as the stack.
    step : float
        The step of the frames' values: `toros.imaging.clip_error.STEP_ADU` for raw frames. That
        of their median comes on top of the noise.
    """
    factor = error_factor(stack.method, stack.most, options.sigma_low, options.sigma_high)
    rounding = 0.0
    if stack.method == "median" and step > 0:
        rounding = step * np.sqrt(rounding_of_median(stack.most))
    noise = noise_of_one
    if not isinstance(noise, np.ndarray):
        noise = np.full(part.pixels.shape, noise, np.float32)
    error = np.empty(noise.shape, np.float32)
    standard_errors(
        noise.reshape(-1),
        part.count.reshape(-1),
        part.uncertainty.reshape(-1),
        np.float32(factor),
        float(np.float32(rounding)),
        np.float32(_NOISY_OF_FEW.get(stack.most, _NOISY)),
        error.reshape(-1),
    )
    return error


def finish(
    draft: Draft,
    target: Path,
    *,
    exptime_s: float | None = None,
    filter_name: str | None = None,
    read_noise_adu: float | None = None,
    measured_gain_e_adu: float | None = None,
    left_out: tuple[tuple[Path, str], ...] = (),
    doubts: tuple[str, ...] = (),
) -> MasterResult:
    """Write the master and say what came of it.

    Raises
    ------
    UnusableFrame
        If every pixel is masked.
    """
    usable = _usable(draft)
    median, noise = median_of(usable), scatter(usable)
    header = draft.header
    set_card(header, "COMBMETH", draft.stack.method, "how the frames were combined")
    set_card(header, "MEDIAN", median, "median of the good pixels")
    set_card(header, "NMASKED", 0, "pixels without a usable value")
    add_history(header, [f"Combined: {info.path.name}" for info in draft.infos])
    add_history(header, [f"Left out: {path.name}: {reason}" for path, reason in left_out])
    add_history(header, draft.notes)
    # The file is digested while it is flushed: either takes a master as long as to write it.
    digests: list[Future[str]] = []
    masked = write_rows(
        target,
        header,
        draft.stack.shape,
        draft.rows,
        lambda path: digests.append(begin_digest(path)),
    )
    # That takes one core; the others would wait.
    load_ahead(digests[0].done)
    return MasterResult(
        path=target,
        sha256=digests[0].result(),
        kind=f"master_{draft.kind}",
        inputs=tuple(info.path for info in draft.infos),
        median=median,
        noise=noise,
        masked=masked,
        method=draft.stack.method,
        left_out=left_out,
        exptime_s=exptime_s,
        filter=filter_name,
        read_noise_adu=read_noise_adu,
        measured_gain_e_adu=measured_gain_e_adu,
        notes=draft.notes,
        doubts=doubts,
    )


def _usable(draft: Draft) -> Pixels:
    """Return good pixels from all over a master."""
    usable = good_pixels(draft.rows, draft.stack.shape, mapped)
    if usable.size:
        return usable
    first, others = draft.infos[0].path, len(draft.infos) - 1
    frames = f"{first.name} and {others} more" if others else first.name
    raise UnusableFrame(
        f"No pixel of this master {draft.kind} is usable: "
        f"all are saturated, bad or without a value ({frames})."
    )
