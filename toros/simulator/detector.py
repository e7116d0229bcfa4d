"""The detector: what the camera adds to the light, and how it turns electrons into numbers.

``ADU = bias(x) + (Poisson(light × response + dark) + Normal(read noise)) / gain``, clipped at the
full well and at 16 bits. Bias, hot pixels and response are fixed: they follow from the seed, so
that tests know them and masters can find them.
"""

from __future__ import annotations

import math
import zlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from toros.common.config.simulator import SimulatorSettings
from toros.simulator.memory import Memory
from toros.simulator.pattern import STRIP_ROWS, Pattern, Response, Rows, Shadow, mixed
from toros.simulator.readout import MAX_ADU, Electronics, Frame, Illumination, Image, Spots

__all__ = ["MAX_ADU", "Detector", "Frame", "Image"]

REFERENCE_C = -20.0


class Detector:
    """The fixed pattern of the simulated detector.

    Parameters
    ----------
    settings : SimulatorSettings
        The observatory. Arrays have the shape (height, width) of its camera.
    """

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        self._camera = settings.camera
        self.shape = (self._camera.height, self._camera.width)
        self.gain_e_adu = self._camera.gain_e_adu
        self.read_noise_e = self._camera.read_noise_e
        self.full_well_e = self._camera.full_well_e
        self._response = lru_cache(maxsize=32)(self._make_response)
        self.memory = Memory()
        self._bias_columns = self._make_bias_columns()
        self._hot_index, self._hot_rate = self._make_hot_pixels()

    def _rng(self, *purpose: str) -> np.random.Generator:
        return np.random.default_rng(self._seed(*purpose))

    def _seed(self, *purpose: str) -> list[int]:
        # zlib.crc32 and not hash(): the latter differs from one process to the next.
        return [self.settings.seed, *(zlib.crc32(word.encode()) for word in purpose)]

    def _make_bias_columns(self) -> NDArray[np.float64]:
        rng = self._rng("bias")
        width, rms = self._camera.width, self._camera.bias_columns_adu
        slow = gaussian_filter1d(rng.normal(size=width), 40.0, mode="wrap")
        columns = rng.normal(size=width) * 0.8 + slow / max(float(slow.std()), 1e-9) * 0.6
        columns -= columns.mean()
        columns *= rms / max(float(columns.std()), 1e-9)
        level: NDArray[np.float64] = self._camera.bias_adu + columns
        return level

    def _make_hot_pixels(self) -> tuple[NDArray[np.int64], Image]:
        rng = self._rng("hot pixels")
        pixels = math.prod(self.shape)
        number = round(self._camera.hot_pixels * pixels)
        index = np.unique(rng.integers(0, pixels, number))
        rate = self._camera.hot_pixel_e_s * rng.lognormal(0.0, 1.0, index.size)
        return index, rate.astype(np.float32)

    @property
    def bias_adu(self) -> Image:
        """The bias without noise, ADU, shape (height, width)."""
        return np.broadcast_to(self._bias_columns.astype(np.float32), self.shape)

    @property
    def bias_electrons(self) -> Image:
        """The bias without noise, electrons, shape (height, width)."""
        scaled: Image = (self._bias_columns * self.gain_e_adu).astype(np.float32)
        return np.broadcast_to(scaled, self.shape)

    def _warmth(self, ccd_temp_c: float) -> float:
        return float(2.0 ** ((ccd_temp_c - REFERENCE_C) / self._camera.dark_doubling_c))

    def dark_rate(self, ccd_temp_c: float) -> Image:
        """Return the dark current, electrons per second, shape (height, width)."""
        rate = np.full(self.shape, self._camera.dark_e_s * self._warmth(ccd_temp_c), np.float32)
        rate.reshape(-1)[self._hot_index] += self._hot_rate * np.float32(self._warmth(ccd_temp_c))
        return rate

    def dark(self, ccd_temp_c: float, exptime_s: float) -> tuple[float, Spots]:
        """Return the dark current of an exposure: of every pixel, and of the hot ones beyond it."""
        scale = self._warmth(ccd_temp_c) * exptime_s
        hot = Spots(self._hot_index, self._hot_rate * np.float32(scale))
        return self._camera.dark_e_s * scale, hot

    def response(self, filter_name: str) -> Response:
        """Return the response to even light through a filter, to be drawn row by row."""
        return self._response(filter_name)

    def flat_response(self, filter_name: str) -> Image:
        """Return the response to even light through a filter, mean one, shape (height, width)."""
        return self._response(filter_name).whole()

    def _make_response(self, filter_name: str) -> Response:
        rng = self._rng("flat", filter_name)
        passed = self._vignetting(*rng.normal(0.0, 0.04, 2).astype(np.float32))
        # Dust on the filter, out of focus.
        dust = [Shadow.of(rng, self.shape) for _ in range(self._camera.dust_rings)]
        # The pixels' own differences are mostly the same in every colour.
        shared = Pattern(self._seed("pixels"), self.shape)
        own = Pattern(self._seed("flat", filter_name, "pixels"), self.shape)
        rms = self._camera.pixel_response_rms

        def strip(number: int) -> Image:
            part = mixed(shared, own, rms, number)
            first = number * STRIP_ROWS
            part *= passed(first, first + len(part))
            for shadow in dust:
                shadow.cast_on(part, first)
            return part

        return Response(self.shape, strip)

    def _vignetting(self, shift_x: np.float32, shift_y: np.float32) -> Rows:
        """Return what gives the light that passes to some rows of pixels."""
        height, width = self.shape
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
        loss = np.float32(self._camera.vignetting / 2.0)
        across, along = np.float32(1.0) - loss * (x - shift_x) ** 2, loss * (y - shift_y) ** 2
        return lambda first, last: across - along[first:last]

    def cosmic_rays(self, exptime_s: float, rng: np.random.Generator) -> Spots:
        """Return the cosmic rays of an exposure."""
        height, width = self.shape
        size_cm = self._camera.pixel_size_um * 1e-4
        area_cm2 = math.prod(self.shape) * size_cm**2
        number = int(rng.poisson(self._camera.cosmic_rays_per_cm2_s * area_cm2 * exptime_s))
        struck, charge = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
        for _ in range(number):
            length = min(1.0 + rng.exponential(4.0), 60.0)
            angle = rng.uniform(0.0, math.pi)
            steps = np.arange(math.ceil(length))
            x = (rng.uniform(0, width) + steps * math.cos(angle)).astype(np.int64)
            y = (rng.uniform(0, height) + steps * math.sin(angle)).astype(np.int64)
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            flat = y[inside] * width + x[inside]
            struck.append(flat)
            charge.append(np.full(flat.size, rng.lognormal(math.log(900.0), 0.6), np.float32))
        return Spots(np.concatenate(struck), np.concatenate(charge))

    def make_ready(self, window: tuple[int, int, int, int]) -> None:
        """Get the memory of a frame of this window before it is read out."""
        self.memory.make_ready((window[2], window[3]), np.uint16)

    def read_out(
        self,
        electrons: Image | Illumination,
        rng: np.random.Generator,
        *,
        binning: tuple[int, int] = (1, 1),
        window: tuple[int, int, int, int] | None = None,
        gain_e_adu: float | None = None,
        extra_bias_adu: float = 0.0,
    ) -> Frame:
        """Turn the mean electrons of each pixel into a frame of numbers.

        Parameters
        ----------
        electrons : array, shape (height, width), or Illumination
            Expected electrons: light times response, plus dark.
        rng : numpy.random.Generator
            Source of the noise.
        binning : tuple of int
            Pixels summed on the chip along x and y, before the read noise.
        window : tuple of int, optional
            Start x, start y, width and height in binned pixels; the whole frame if left out.
        gain_e_adu : float, optional
            Electrons per ADU, if not the default.
        extra_bias_adu : float
            Added to the bias.

        Returns
        -------
        array of uint16, shape (height, width) of the window
        """
        if not isinstance(electrons, Illumination):
            electrons = Illumination(self.shape, light=electrons)
        chain = Electronics(
            self._bias_columns + extra_bias_adu,
            self.read_noise_e,
            self.full_well_e,
            gain_e_adu or self.gain_e_adu,
            binning,
            window,
        )
        return chain.read_out(electrons, rng, self.memory)
