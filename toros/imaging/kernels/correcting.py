"""The calibration of a strip of a light in one pass, with masters as they stand in their files."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.compiled import inlined, kernel
from toros.imaging.kernels.words import count_of, is_lost, turned

Pixels = NDArray[np.float32]
Bits = NDArray[np.uint8]
Words = NDArray[np.uint32]

# The largest float32 that is finite.
_LARGEST = np.finfo(np.float32).max


@kernel
def decode_with_mask(
    raw: NDArray[Any],
    pixels: Pixels,
    mask: Bits,
    scale: float,
    zero: float,
    blank: int,
    saturation: float,
    no_data: np.uint8,
    saturated: np.uint8,
) -> None:
    """Decode numbers in native byte order; what is no value becomes 0 and is masked.

    A saturated pixel keeps its value.
    """
    for p in range(raw.size):
        value = zero + scale * np.float64(raw[p])
        good = abs(value) < np.inf and raw[p] != blank
        pixels[p] = np.float32(value) if good else np.float32(0)
        full = saturated if value >= saturation else np.uint8(0)
        mask[p] = full if good else no_data


@kernel
def decode_counts_with_mask(
    raw: NDArray[np.uint16], pixels: Pixels, mask: Bits, saturation: int, saturated: np.uint8
) -> None:
    """Decode big-endian 16-bit integers with BZERO = 32768."""
    for p in range(raw.size):
        count = count_of(raw[p])
        pixels[p] = np.float32(count)
        mask[p] = saturated if np.int32(count) >= saturation else np.uint8(0)


class MasterWords(NamedTuple):
    """Some pixels of a master as they stand in its file: float32 as big-endian words.

    Parameters
    ----------
    pixels, error : numpy.ndarray
        Value and uncertainty (uint32).
    bad : numpy.ndarray
        The mask (uint8): any value but 0 is bad. So is a value that is not finite.
    """

    pixels: Words
    error: Words
    bad: Bits


class Masters(NamedTuple):
    """Some pixels of all that a light is calibrated with.

    Parameters
    ----------
    bias, dark : MasterWords
        [ADU]; 0 where there is none.
    flat : MasterWords
        At a level of 1; 1 where there is none.
    bad_pixels : numpy.ndarray
        The bad-pixel mask (bool).
    """

    bias: MasterWords
    dark: MasterWords
    flat: MasterWords
    bad_pixels: NDArray[np.bool_]


class Terms(NamedTuple):
    """The numbers of a calibration.

    Parameters
    ----------
    dark_scale : float
        Factor on the dark.
    dark_is_pedestal : bool
        Whether the dark, not the bias, is what holds no photons.
    bias_share : float
        How much of the bias's variance comes to that of the scaled dark.
    flat_floor : float
        A pixel whose flat is below it is masked, and divided by nothing.
    gain : float
        Electrons per ADU, 1 where unknown.
    per_photon : float
        Variance of one ADU of photons [ADU]: 1/gain, 0 where unknown.
    """

    dark_scale: np.float32
    dark_is_pedestal: bool
    bias_share: np.float32
    flat_floor: np.float32
    gain: np.float32
    per_photon: np.float32


class MaskBits(NamedTuple):
    """The values of the mask's bits."""

    no_data: np.uint8
    saturated: np.uint8
    bad_master: np.uint8
    bad_flat: np.uint8
    bad_pixel: np.uint8


@kernel
def correct(
    pixels: Pixels,
    mask: Bits,
    uncertainty: Pixels,
    masters: Masters,
    read_variance: Pixels,
    terms: Terms,
    marks: MaskBits,
) -> None:
    """Calibrate raw `pixels` [ADU] in place, and find their uncertainty and mask.

    See `_calibrated`; a pixel whose value or uncertainty is not finite is masked, and both are 0.

    Parameters
    ----------
    read_variance : numpy.ndarray
        Of the read-out [ADU²].
    """
    for p in range(pixels.size):
        value, error, bits = _calibrated(pixels[p], masters, p, read_variance[p], terms, marks)
        pixels[p], uncertainty[p] = value, error
        mask[p] |= bits


@kernel
def correct_counts(
    raw: NDArray[np.uint16],
    saturation: int,
    masters: Masters,
    read_variance: Pixels,
    terms: Terms,
    marks: MaskBits,
    pixels: Words,
    uncertainty: Words,
    mask: Bits,
) -> tuple[int, int]:
    """Calibrate counts as they stand in a raw file into pixels as they stand in a product's.

    The same as `decode_counts_with_mask`, `correct` and `swap_words` one after the other, in one
    pass: what is between them would go through memory.

    Parameters
    ----------
    raw : numpy.ndarray
        Big-endian 16-bit integers with BZERO = 32768.
    saturation : int
        Counts from here on are saturated; 65536 or more: none.
    pixels, uncertainty : numpy.ndarray
        To be filled with big-endian float32.
    mask : numpy.ndarray
        To be filled.

    Returns
    -------
    tuple of int
        The sums of the words of `pixels` and of `uncertainty`; see `swap_words`.
    """
    value_sum, error_sum = np.uint64(0), np.uint64(0)
    for p in range(raw.size):
        count = count_of(raw[p])
        value, error, bits = _calibrated(
            np.float32(count), masters, p, read_variance[p], terms, marks
        )
        word = np.float32(value).view(np.uint32)
        error_word = np.float32(error).view(np.uint32)
        pixels[p], uncertainty[p] = turned(word), turned(error_word)
        value_sum += np.uint64(word)
        error_sum += np.uint64(error_word)
        mask[p] = bits | (marks.saturated if np.int32(count) >= saturation else np.uint8(0))
    return int(value_sum), int(error_sum)


@inlined
def _calibrated(
    raw: np.float32, masters: Masters, p: int, read_variance: np.float32, terms: Terms,
    marks: MaskBits,
) -> tuple[np.float32, np.float32, np.uint8]:  # fmt: skip
    """Return the value of a pixel, its uncertainty, and its bits.

    ``value = (raw - bias - scale · dark) · gain / flat``, and of its variance the parts: photons
    above the pedestal, the read-out, the errors of bias and dark, and the flat's error.
    """
    bias, dark, flat = masters.bias, masters.dark, masters.flat
    bias_word, dark_word, flat_word = (
        turned(bias.pixels[p]), turned(dark.pixels[p]), turned(flat.pixels[p])
    )  # fmt: skip
    bias_value, dark_value = _finite(bias_word), _finite(dark_word)
    response = _number(flat_word)
    lost = is_lost(bias_word) | is_lost(dark_word) | (bias.bad[p] != 0) | (dark.bad[p] != 0)
    dead = is_lost(flat_word) | (flat.bad[p] != 0) | (response < terms.flat_floor)
    # Nothing is divided there: the value stays finite, and masked.
    response = np.float32(1) if dead else response

    pedestal = dark_value if terms.dark_is_pedestal else bias_value
    photons = max(raw - pedestal, np.float32(0))
    bias_error, dark_error = _error(bias.error[p]), _error(dark.error[p])
    of_masters = terms.bias_share * (bias_error * bias_error) + (
        terms.dark_scale * terms.dark_scale * (dark_error * dark_error)
    )
    noise = photons * terms.per_photon + (of_masters + read_variance)
    value = (raw - (bias_value + terms.dark_scale * dark_value)) * terms.gain / response
    of_flat = value * _error(flat.error[p])
    error = np.float32(math.sqrt(noise * terms.gain * terms.gain + of_flat * of_flat) / response)

    bits = marks.bad_master if lost else np.uint8(0)
    bits |= marks.bad_flat if dead else np.uint8(0)
    bits |= marks.bad_pixel if masters.bad_pixels[p] else np.uint8(0)
    good = (abs(value) < np.inf) & (error < np.inf)
    bits |= np.uint8(0) if good else marks.no_data
    return value if good else np.float32(0), error if good else np.float32(0), bits


@inlined
def _number(word: np.uint32) -> np.float32:
    return np.uint32(word).view(np.float32)


@inlined
def _finite(word: np.uint32) -> np.float32:
    """Return a number, 0 where it is not finite."""
    return _number(np.uint32(0) if is_lost(word) else word)


@inlined
def _error(turned_word: np.uint32) -> np.float32:
    """Return an uncertainty as it stands in a file; where none is known, the mask says so.

    A NaN would spread to the light, and so would ∞ times 0.
    """
    error = _number(turned(turned_word))
    return np.float32(0) if np.isnan(error) else min(max(error, -_LARGEST), _LARGEST)


@kernel
def count_bits(mask: Bits, counts: NDArray[np.int64]) -> None:
    """Add to `counts`, by bit (8 of them), how many pixels have it; and last, how many have any."""
    body = mask.size // 8 * 8
    # Most pixels are good: eight at a time.
    words = mask[:body].view(np.uint64)
    for k in range(words.size):
        if words[k]:
            for p in range(8 * k, 8 * k + 8):
                _count_one(mask[p], counts)
    for p in range(body, mask.size):
        _count_one(mask[p], counts)


@inlined
def _count_one(bits: np.uint8, counts: NDArray[np.int64]) -> None:
    if bits:
        counts[8] += 1
        for k in range(8):
            counts[k] += (bits >> k) & 1
