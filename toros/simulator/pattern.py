"""The response of the detector to even light: fixed, and drawn as it is needed.

At full frame it has a hundred million pixels. Drawn strip by strip it costs less time than the
memory to keep it in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toros.simulator.parallel import blocks, in_parallel

Image = NDArray[np.float32]
Rows = Callable[[int, int], Image]

# Each strip of so many rows has a seed of its own: any rows can be drawn without those before.
STRIP_ROWS = 32
# What the pixels differ by in one filter only, as a part of what they differ by in all.
OWN_PART = 0.2

_BYTES = 4
# The sum of n even bytes has the mean 255 n / 2 and the variance n (256² - 1) / 12.
_MEAN = _BYTES * 255 / 2
_SCALE = 1.0 / math.sqrt(_BYTES * (256**2 - 1) / 12)
_EDGE = np.float32(0.06)


class Pattern:
    """A fixed pattern of mean 0 and standard deviation 1, pixel by pixel.

    Each value is a sum of four even bytes, which looks normal (its excess kurtosis is -0.3) and
    takes an eighth of the time of normal numbers. It is for what stands still, not for noise.

    Parameters
    ----------
    seed : sequence of int
        What it follows from.
    shape : tuple of int
        Height and width, pixels.
    """

    def __init__(self, seed: Sequence[int], shape: tuple[int, int]) -> None:
        self._seed = [*seed]
        self._shape = shape

    def strip(self, number: int) -> NDArray[np.uint16]:
        """Return sums of bytes for the rows from ``number * STRIP_ROWS`` on."""
        height, width = self._shape
        rows = min(STRIP_ROWS, height - number * STRIP_ROWS)
        pixels = rows * width
        rng = np.random.Generator(np.random.SFC64([*self._seed, number]))
        drawn = rng.integers(0, 2**64 - 1, -(-pixels * _BYTES // 8), np.uint64, endpoint=True)
        # Little-endian on every machine: the pattern is the same wherever it is drawn.
        raw = drawn.astype("<u8", copy=False).view(np.uint8)[: _BYTES * pixels]
        planes = raw.reshape(_BYTES, pixels)
        total: NDArray[np.uint16] = planes[0].astype(np.uint16)
        for plane in planes[1:]:
            total += plane
        sums: NDArray[np.uint16] = total.reshape(rows, width)
        return sums


def mixed(shared: Pattern, own: Pattern, rms: float, number: int) -> Image:
    """Return 1 + rms × (shared + a part of own) for one strip."""
    response: Image = shared.strip(number).astype(np.float32)
    response *= np.float32(rms * _SCALE)
    few = own.strip(number).astype(np.float32)
    few *= np.float32(OWN_PART * rms * _SCALE)
    response += few
    response += np.float32(1.0 - (1.0 + OWN_PART) * rms * _SCALE * _MEAN)
    return response


@dataclass(frozen=True)
class Shadow:
    """The shadow of a grain of dust out of focus: the annular pupil, on the detector.

    Parameters
    ----------
    left, bottom : int
        Its first column and row.
    passed : array
        What it lets through.
    """

    left: int
    bottom: int
    passed: Image

    @classmethod
    def of(cls, rng: np.random.Generator, shape: tuple[int, int]) -> Shadow:
        """Return a grain's shadow, somewhere."""
        height, width = shape
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        outer = rng.uniform(0.02, 0.045) * min(height, width)
        depth = rng.uniform(0.01, 0.05)
        half = math.ceil(1.3 * outer)
        left, right = max(int(x) - half, 0), min(int(x) + half, width)
        bottom, top = max(int(y) - half, 0), min(int(y) + half, height)
        columns = np.arange(left, right, dtype=np.float32)[None, :] - np.float32(x)
        passed: Image = np.empty((top - bottom, right - left), np.float32)
        parts = blocks(*passed.shape)

        def draw(number: int) -> None:
            first, last = parts[number]
            rows = np.arange(bottom + first, bottom + last, dtype=np.float32)[:, None]
            radius = np.hypot(rows - np.float32(y), columns) / np.float32(outer)
            ring = np.tanh((radius - np.float32(0.45)) / _EDGE)
            ring -= np.tanh((radius - np.float32(1.0)) / _EDGE)
            ring *= np.float32(-0.5 * depth)
            np.add(ring, np.float32(1.0), out=passed[first:last])

        in_parallel(draw, len(parts))
        return cls(left, bottom, passed)

    def cast_on(self, strip: Image, first: int) -> None:
        """Darken in place a strip of rows, whose first is `first`."""
        low = max(first, self.bottom)
        high = min(first + len(strip), self.bottom + len(self.passed))
        if low < high:
            columns = slice(self.left, self.left + self.passed.shape[1])
            strip[low - first : high - first, columns] *= self.passed[
                low - self.bottom : high - self.bottom
            ]


class Response:
    """The response to even light through one filter, mean one.

    Parameters
    ----------
    shape : tuple of int
        Height and width, pixels.
    strip : callable
        Draws a strip by its number, before all is scaled to the mean of one.
    """

    def __init__(self, shape: tuple[int, int], strip: Callable[[int], Image]) -> None:
        self.shape = shape
        self._strip = strip
        sums = np.zeros(-(-shape[0] // STRIP_ROWS))

        def add_up(number: int) -> None:
            sums[number] = strip(number).sum(dtype=np.float64)

        in_parallel(add_up, len(sums))
        self._scale = np.float32(math.prod(shape) / sums.sum())

    def rows(self, first: int, last: int) -> Image:
        """Return the response of the rows from `first` to before `last`."""
        low, high = first // STRIP_ROWS, -(-last // STRIP_ROWS)
        strips = [self._strip(number) for number in range(low, high)]
        drawn = strips[0] if len(strips) == 1 else np.concatenate(strips)
        drawn *= self._scale
        start = low * STRIP_ROWS
        return drawn[first - start : last - start]

    def whole(self) -> Image:
        """Return all of it."""
        response: Image = np.empty(self.shape, np.float32)
        parts = blocks(*self.shape)

        def draw(number: int) -> None:
            first, last = parts[number]
            response[first:last] = self.rows(first, last)

        in_parallel(draw, len(parts))
        return response
