"""What is known of the noise of a light: gain, read noise, and the variance of its read-out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toros.imaging.amplifiers import by_amplifier, level_variance_of, read_noises
from toros.imaging.frames import Pixels
from toros.imaging.headers import ExposureInfo, read_exposure
from toros.imaging.light_pixels import RawLight
from toros.imaging.noise import scatter
from toros.imaging.options import ReductionOptions
from toros.imaging.photon_transfer import MeasuredGain, doubt_of_gain
from toros.imaging.read_noise import told_by_bias
from toros.imaging.recipe import Ingredients
from toros.imaging.sampling import sample_rows

# Bias frames noisier than this times what the header tells are worth a note.
_READ_NOISE_EXCESS = 1.3


@dataclass(frozen=True)
class Noise:
    """Gain [e-/ADU] and read noise [ADU], each None where unknown."""

    gain_e_adu: float | None
    read_noise_adu: float | None

    @property
    def read_noise_e(self) -> float | None:
        """Read noise in electrons."""
        if self.gain_e_adu is None or self.read_noise_adu is None:
            return None
        return self.gain_e_adu * self.read_noise_adu


def noise_of(
    info: ExposureInfo,
    bias: Path | None,
    flat: Path | None,
    options: ReductionOptions,
    notes: list[str],
) -> Noise:
    """Take the gain and the read noise from the header, the options, or what masters measured."""
    gain = info.gain_e_adu or options.gain_e_adu
    of_flats = _measured_gain(info, flat)
    doubt = doubt_of_gain(info, options, of_flats)
    if doubt is not None:
        notes.append(doubt)
    if gain is None and of_flats is not None:
        gain = of_flats.gain_e_adu
        notes.append(f"The gain of {gain:.4g} e-/ADU was measured on pairs of the flats.")
    measured_adu = told_by_bias(bias)
    told_e = info.read_noise_e or options.read_noise_e
    if told_e is None or not gain:
        return Noise(gain, measured_adu)
    if measured_adu is not None and measured_adu * gain > _READ_NOISE_EXCESS * told_e:
        notes.append(
            f"The header's read noise is {told_e:.1f} e-, but the bias frames show "
            f"{measured_adu * gain:.1f} e-: the uncertainty may be too small."
        )
    return Noise(gain, told_e / gain)


def _measured_gain(info: ExposureInfo, flat: Path | None) -> MeasuredGain | None:
    """Return the gain that a master flat's frames have shown, None where it tells none."""
    if flat is None:
        return None
    flat_info = read_exposure(flat)
    gain, error = (flat_info.header.get(name) for name in ("GAINMEAS", "GAINMERR"))
    if flat_info.gain_setting != info.gain_setting or not isinstance(gain, int | float):
        return None
    known = float(error) if isinstance(error, int | float) else 0.0
    return MeasuredGain(float(gain), known, 0) if gain > 0 else None


def variance_of(
    light: RawLight,
    noise: Noise,
    used: Ingredients,
    options: ReductionOptions,
    notes: list[str],
) -> float | Pixels:
    """Return the variance of the read-out [ADU²]; where the gain is unknown, of everything.

    That of the level of each row, where it is subtracted by rows, is in it.

    Photons are counted above the bias pedestal (`ccdproc.ccd_process` counts the pedestal too);
    the dark current's are among them. Where noise took a pixel below the pedestal, it has none.
    """
    if noise.read_noise_adu is None:
        notes.append("The read noise is unknown and left out of the uncertainty.")
    if noise.gain_e_adu is None:
        notes.append(
            "The gain is unknown: the uncertainty is the scatter of the sky, the same everywhere."
        )
        return _variance_of_sky(light) + _of_levels(light, noise, options)
    if used.bias is None and not used.dark_holds_bias and not light.without_pedestal:
        notes.append("No bias level is known: its counts are in the uncertainty, too large.")
    if light.read_noise_e is not None:
        by_pixel: Pixels = (light.read_noise_e / np.float32(noise.gain_e_adu)) ** 2
        return by_pixel + _of_levels(light, noise, options)
    return (noise.read_noise_adu or 0.0) ** 2 + _of_levels(light, noise, options)


def _of_levels(light: RawLight, noise: Noise, options: ReductionOptions) -> float | Pixels:
    """Return the variance that the levels of the overscan add [ADU²].

    Where the gain is unknown: only what the scatter of the sky does not show.
    """
    layout = light.info.layout
    if layout is None:
        return 0.0
    gain = noise.gain_e_adu
    own_e = read_noises(layout, light.info.read_noise_e) if gain else None
    if own_e is None or not gain:
        own_adu = [noise.read_noise_adu or 0.0] * len(layout.amplifiers)
    else:
        own_adu = [one / gain for one in own_e]
    found = [
        level_variance_of(one, layout, options, own, hidden=not gain)
        for one, own in zip(layout.amplifiers, own_adu, strict=True)
    ]
    return found[0] if len(set(found)) == 1 else by_amplifier(layout, found)


def _variance_of_sky(light: RawLight) -> float:
    """Return the variance of a raw light [ADU²], from neighbours; 0 where nothing tells it."""
    differences = []
    for rows in sample_rows(light.shape):
        pixels, mask = light.rows(rows)
        # What is masked has no noise, or not that of the sky.
        good = np.where(mask == 0, pixels, np.float32(np.nan))
        differences.append(np.diff(good, axis=1))
    found = scatter(np.concatenate(differences)) ** 2 / 2
    return found if np.isfinite(found) else 0.0
