"""What is under the light of a flat: bias and dark current."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toros.common.errors import UnusableFrame
from toros.imaging.amplifiers import mean_level_variance
from toros.imaging.frames import Pixels, without_pedestal
from toros.imaging.headers import ExposureInfo, read_exposure
from toros.imaging.master_file import MasterFile, open_master
from toros.imaging.matching import dark_scale, is_bias_subtracted
from toros.imaging.options import ReductionOptions
from toros.imaging.photon_transfer import MeasuredGain, measure_gain
from toros.imaging.read_noise import told_by_bias
from toros.imaging.stack import Preparation


class Pedestal:
    """The masters that are subtracted from flats, and by how much each.

    Attributes
    ----------
    is_known : bool
        Whether the level without light is: there is a bias, or every flat has its overscan.
    """

    def __init__(
        self,
        infos: Sequence[ExposureInfo],
        bias: MasterFile | None,
        dark: MasterFile | None,
        scales: Mapping[Path, float],
        read_noise_adu: float | None,
        options: ReductionOptions,
    ) -> None:
        self.bias, self.dark = bias, dark
        self.read_noise_adu = read_noise_adu
        self._options = options
        self.is_known = bias is not None or all(without_pedestal(info, options) for info in infos)
        self._scales = scales

    def preparation(
        self,
        flats: Sequence[ExposureInfo],
        levels: Sequence[float],
        stars: Sequence[NDArray[np.bool_]] = (),
    ) -> Preparation:
        """Return what is done to the flats before they are combined."""
        return Preparation(
            bias=self.bias,
            dark=self.dark,
            dark_scales=[self._scales[info.path] for info in flats],
            levels=levels,
            stars=stars if any(blocks.any() for blocks in stars) else None,
            linearity=self._options.linearity if self.is_known else (),
        )

    def measured_gain(self, flats: Sequence[ExposureInfo]) -> MeasuredGain | None:
        """Return the gain that pairs of the flats tell, None where they do not."""
        if self.read_noise_adu is None:
            return None
        return measure_gain(flats, self.bias, self.read_noise_adu, self._options)

    def shares(
        self, flats: Sequence[ExposureInfo], levels: Sequence[float]
    ) -> tuple[np.float32, np.float32]:
        """Return how much of bias and dark is in the mean of `flats`, each at a level of 1."""
        bias = np.float32(np.mean(1 / np.array(levels)))
        parts = [self._scales[info.path] / at for info, at in zip(flats, levels, strict=True)]
        return bias, np.float32(np.mean(parts))

    def errors(self, rows: slice, width: int) -> tuple[Pixels, Pixels]:
        """Return the uncertainties of bias and dark, common to all frames; 0 without a master."""
        nothing = np.zeros((rows.stop - rows.start, width), np.float32)
        bias = nothing if self.bias is None else self.bias.uncertainty(rows)
        return bias, nothing if self.dark is None else self.dark.uncertainty(rows)


@contextmanager
def open_pedestal(
    infos: Sequence[ExposureInfo],
    bias: Path | None,
    dark: Path | None,
    scales: Mapping[Path, float],
    options: ReductionOptions,
) -> Iterator[Pedestal]:
    """Open the masters for `infos`.

    Parameters
    ----------
    scales : mapping
        By flat: the factor on the dark, as `scales_of_dark` finds it.

    Raises
    ------
    UnreadableFile, MixedShapes
        If a master cannot be read or has another size.
    """
    with ExitStack() as opened:
        files = [
            opened.enter_context(open_master(path, infos[0])) if path else None
            for path in (bias, dark)
        ]
        yield Pedestal(
            infos, files[0], files[1], scales, _read_noise(bias, infos[0], options), options
        )


def scales_of_dark(
    infos: Sequence[ExposureInfo],
    bias: Path | None,
    dark: Path | None,
    options: ReductionOptions,
) -> tuple[dict[Path, float], tuple[tuple[Path, str], ...]]:
    """Return the factor on the dark for each flat, and the flats that it does not serve, and why.

    Raises
    ------
    UnusableFrame
        If the dark can be subtracted from none.
    """
    if dark is None:
        return {info.path: 1.0 for info in infos}, ()
    dark_info = read_exposure(dark)
    if bias is not None and not is_bias_subtracted(dark_info):
        raise UnusableFrame(f"{dark}: holds the bias too, which would be subtracted twice.")
    found = {info.path: dark_scale(info.exptime_s, dark_info, options) for info in infos}
    scales = {path: scale for path, scale in found.items() if not isinstance(scale, str)}
    unserved = tuple(
        (path, f"{dark.name} cannot be subtracted from it: {why}.")
        for path, why in found.items()
        if isinstance(why, str)
    )
    if not scales:
        path, why = unserved[0]
        raise UnusableFrame(f"{path.name}: {why}")
    return scales, unserved


def _read_noise(bias: Path | None, info: ExposureInfo, options: ReductionOptions) -> float | None:
    """Return the noise of the read-out of one frame [ADU], with that of its rows' levels.

    The read noise is that measured on the biases, else as it is told.
    """
    noise = told_by_bias(bias)
    told, gain = info.read_noise_e or options.read_noise_e, info.gain_e_adu or options.gain_e_adu
    if noise is None and told and gain:
        noise = told / gain
    if noise is None:
        return None
    return float(np.hypot(noise, np.sqrt(mean_level_variance(info, options, noise))))
