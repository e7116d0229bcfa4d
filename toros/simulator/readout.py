"""Reading out the detector: expected electrons become noisy numbers.

The frame is made in the order in which Alpaca sends it, ``[x][y]``, block by block, so that nothing
of the size of the frame is held but the light of the sources and the result.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from toros.simulator.memory import Memory
from toros.simulator.parallel import blocks, in_parallel
from toros.simulator.pattern import Response

Image = NDArray[np.float32]
Frame = NDArray[np.uint16]

MAX_ADU = 65535
# With so much read noise the whole electrons of a faint pixel leave no trace in the distribution.
SMOOTH_READ_NOISE_E = 5.0
# With less of it a pixel with fewer electrons than this gets a Poisson number of its own.
POISSON_BELOW = 30.0


def _nothing() -> Spots:
    return Spots(np.zeros(0, np.int64), np.zeros(0, np.float32))


@dataclass(frozen=True)
class Spots:
    """Electrons in single pixels: flat indices, and how many."""

    index: NDArray[np.int64]
    electrons: Image

    def sorted(self) -> Spots:
        """Return the spots in the order of the pixels."""
        order = np.argsort(self.index, kind="stable")
        return Spots(self.index[order], self.electrons[order])

    def and_also(self, other: Spots) -> Spots:
        """Return the spots of both, in order."""
        return Spots(
            np.concatenate([self.index, other.index]),
            np.concatenate([self.electrons, other.electrons]),
        ).sorted()


@dataclass(frozen=True)
class Illumination:
    """The expected electrons of every pixel, in parts: (light × scale + sky) × response + dark.

    Parameters
    ----------
    shape : tuple of int
        Height and width.
    light : array, optional
        Electrons of the sources, shape (height, width).
    scale : float
        What reaches us of it.
    sky : float
        Electrons of the sky.
    response : Response, optional
        Response to even light.
    dark : float
        Electrons of the dark current.
    spots : Spots
        Hot pixels and cosmic rays, in the order of the pixels.
    """

    shape: tuple[int, int]
    light: Image | None = None
    scale: float = 1.0
    sky: float = 0.0
    response: Response | None = None
    dark: float = 0.0
    spots: Spots = field(default_factory=_nothing)

    def rows(self, first: int, last: int) -> Image:
        """Return the electrons of some rows."""
        width = self.shape[1]
        part: Image
        if self.light is None:
            part = np.full((last - first, width), self.sky, np.float32)
        else:
            part = self.light[first:last] * np.float32(self.scale)
            part += np.float32(self.sky)
        if self.response is not None:
            part *= self.response.rows(first, last)
        part += np.float32(self.dark)
        low, high = np.searchsorted(self.spots.index, (first * width, last * width))
        inside = self.spots.index[low:high] - first * width
        np.add.at(part.reshape(-1), inside, self.spots.electrons[low:high])
        return part


@dataclass(frozen=True)
class Electronics:
    """What turns electrons into numbers.

    Parameters
    ----------
    bias_adu : array, shape (width,)
        Bias of each unbinned column.
    read_noise_e, full_well_e, gain_e_adu : float
        Electrons, electrons, and electrons per ADU.
    binning : tuple of int
        Pixels summed on the chip along x and y, before the read noise.
    window : tuple of int, optional
        Start x, start y, width and height in binned pixels; the whole frame if left out.
    """

    bias_adu: NDArray[np.float64]
    read_noise_e: float
    full_well_e: float
    gain_e_adu: float
    binning: tuple[int, int] = (1, 1)
    window: tuple[int, int, int, int] | None = None

    def read_out(self, lit: Illumination, rng: np.random.Generator, memory: Memory) -> Frame:
        """Return the frame, shape (height, width) of the window; its columns are contiguous."""
        (bin_x, bin_y), (rows, columns) = self.binning, lit.shape
        left, bottom, width, height = self.window or (0, 0, columns // bin_x, rows // bin_y)
        bias = self.bias_adu[: columns // bin_x * bin_x].reshape(-1, bin_x).mean(axis=1)
        bias_part = bias[left : left + width].astype(np.float32)
        sent: Frame = memory.array((width, height), np.uint16)
        parts = blocks(height, width)
        sources = rng.spawn(len(parts))

        def make(number: int) -> None:
            first, last = parts[number]
            mean = lit.rows((bottom + first) * bin_y, (bottom + last) * bin_y)
            if self.binning != (1, 1):
                mean = mean[:, : columns // bin_x * bin_x]
                mean = mean.reshape(last - first, bin_y, -1, bin_x).sum(axis=(1, 3))
            adu = self._digitise(mean[:, left : left + width], bias_part, sources[number])
            sent[:, first:last] = adu.T

        in_parallel(make, len(parts))
        return sent.T

    def _digitise(self, mean: Image, bias_adu: Image, rng: np.random.Generator) -> Frame:
        signal = _light_and_noise(mean, self.read_noise_e, rng)
        np.minimum(signal, np.float32(self.full_well_e), out=signal)
        signal *= np.float32(1.0 / self.gain_e_adu)
        signal += bias_adu
        np.clip(np.rint(signal, out=signal), 0, MAX_ADU, out=signal)
        return signal.astype(np.uint16)


def _light_and_noise(mean: Image, read_noise_e: float, rng: np.random.Generator) -> Image:
    """Return electrons with the noise of the light and of the read-out.

    One normal number z carries both. Let the variance be ``s² = mean + read noise²``; then
    ``mean + z √(s² − 2c²) + c (z² − 1)`` with ``c = mean / 6s²`` has the mean, the variance and the
    skewness of a Poisson number plus normal read noise (Cornish & Fisher 1938, to second order).
    What is left out, an excess kurtosis of at most 1 / s², shows in no frame when s is above 5.
    """
    z = rng.standard_normal(mean.shape, dtype=np.float32)
    own = mean < POISSON_BELOW if read_noise_e < SMOOTH_READ_NOISE_E else None
    light = mean if own is None else np.where(own, np.float32(0.0), mean)
    spread = light + np.float32(read_noise_e**2)
    skew = light / np.maximum(spread, np.float32(1e-6))
    skew *= np.float32(1.0 / 6.0)
    signal: Image = z * z
    signal -= np.float32(1.0)
    signal *= skew
    skew *= skew
    spread -= np.float32(2.0) * skew
    np.sqrt(spread, out=spread)
    spread *= z
    signal += spread
    signal += light
    if own is not None and own.any():
        signal[own] += rng.poisson(np.maximum(mean[own], 0.0)).astype(np.float32)
    return signal
