"""Frames for the benchmark of the reduction: a bias, dark current, a flat, a sky, cosmic rays."""

from __future__ import annotations

import multiprocessing as mp
from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.io import fits

GAIN, READ_NOISE_E, BIAS_ADU, SKY_ADU = 1.5, 9.0, 1000.0, 400.0
_BLOCK = 1 << 22


class Camera:
    """Makes frames of one size; noise is cut at random from one long strip, for speed.

    Parameters
    ----------
    overscan : int
        Columns of overscan on the right, which see no light.
    """

    def __init__(self, side: int, seed: int = 1, overscan: int = 0) -> None:
        self.side = side
        self.overscan = overscan
        self._rng = np.random.default_rng(seed)
        self._noise = self._rng.standard_normal(_BLOCK, dtype=np.float32)

    def _gauss(self, sigma: float) -> np.ndarray:
        rows = [
            self._noise[at : at + self.side]
            for at in self._rng.integers(0, _BLOCK - self.side, self.side)
        ]
        return np.stack(rows) * np.float32(sigma)

    def write(self, path: Path, kind: str, level_adu: float, exptime_s: float) -> None:
        """Write one frame of about `level_adu` above the bias."""
        noise_adu = float(np.sqrt(level_adu / GAIN + (READ_NOISE_E / GAIN) ** 2))
        data = self._gauss(noise_adu) + np.float32(BIAS_ADU + level_adu)
        rays = self._rng.integers(0, data.size, data.size // 5000)
        data.reshape(-1)[rays] += self._rng.uniform(100, 20000, rays.size)
        if self.overscan:
            dark = self._gauss(READ_NOISE_E / GAIN)[:, : self.overscan] + np.float32(BIAS_ADU)
            data = np.hstack([data, dark])
        hdu = fits.PrimaryHDU(np.clip(np.rint(data), 0, 65534).astype(np.uint16))
        hdu.header.update(
            {
                "IMAGETYP": kind, "EXPTIME": exptime_s, "INSTRUME": "BENCHMARK", "EGAIN": GAIN,
                "RDNOISE": READ_NOISE_E, "FILTER": "V", "CCD-TEMP": -20.0,
                "DATE-OBS": f"2024-01-01T00:{len(list(path.parent.iterdir())) % 60:02d}:00",
            }
        )  # fmt: skip
        if self.overscan:
            rows, edge = f"1:{self.side}", self.side + self.overscan
            hdu.header["BIASSEC"] = f"[{self.side + 1}:{edge},{rows}]"
            hdu.header["TRIMSEC"] = f"[1:{self.side},{rows}]"
        hdu.writeto(path)


def in_child(function: Callable[..., object], *arguments: object) -> None:
    """Run `function` in a process of its own, so that this one stays small."""
    child = mp.get_context("spawn").Process(target=function, args=arguments)
    child.start()
    child.join()
    if child.exitcode:
        raise SystemExit(f"No frames: {function.__name__} ended with {child.exitcode}.")


def biases(folder: Path, count: int, side: int, overscan: int = 0) -> Path:
    """Make `count` bias frames in `folder`, unless they are there."""
    if not folder.exists():
        in_child(_make, folder, side, 1, (("bias", count, 0.0, 0.0),), overscan)
    return folder


def _make(
    folder: Path,
    side: int,
    seed: int,
    kinds: tuple[tuple[str, int, float, float], ...],
    overscan: int = 0,
) -> None:
    camera = Camera(side, seed, overscan)
    folder.mkdir(parents=True)
    for kind, count, level_adu, exptime_s in kinds:
        for index in range(count):
            path = folder / f"{kind}_{index + 1:05d}.fits"
            camera.write(path, kind, level_adu, exptime_s)


def night(folder: Path, lights: int, calibrations: int, side: int) -> Path:
    """Make a night of biases, darks, flats and lights in `folder`, unless it is there."""
    if not folder.exists():
        kinds = (
            ("bias", calibrations, 0.0, 0.0),
            ("dark", calibrations, 6.0, 60.0),
            ("flat", calibrations, 20000.0, 3.0),
            ("light", lights, SKY_ADU, 60.0),
        )
        in_child(_make, folder, side, 2, kinds)
    return folder
