"""Raw FITS frames of a small camera whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

START = datetime(2024, 3, 10, 2, 0, 0, tzinfo=UTC)
GAIN = 2.0  # e-/ADU
READ_NOISE_E = 6.0
BIAS_ADU = 1000.0
DARK_E_S = 1.5


@dataclass
class Camera:
    """Writes raw frames; each begins a minute after the one before."""

    folder: Path
    width: int = 64
    height: int = 48
    instrument: str = "Toy 64"
    moment: datetime = START
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    def response(self) -> Any:
        """The flat field: vignetting, with a mean of 1."""
        y, x = np.mgrid[: self.height, : self.width]
        radius = np.hypot(x / self.width - 0.5, y / self.height - 0.5)
        flat = 1 - 0.3 * radius**2
        return flat / flat.mean()

    def bias(self, count: int = 5, light_e: float = 0.0) -> list[Path]:
        return [self._expose(f"bias_{i}", "Bias Frame", 0.0, light_e) for i in range(count)]

    def dark(self, exptime: float = 30.0, count: int = 5, temp: float = -10.0) -> list[Path]:
        return [
            self._expose(f"dark_{exptime:g}_{temp:g}_{i}", "Dark Frame", exptime, 0.0, temp=temp)
            for i in range(count)
        ]

    def flat(self, filter_name: str = "V", count: int = 5, exptime: float = 30.0) -> list[Path]:
        light = 40000.0 * self.response()
        return [
            self._expose(f"flat_{filter_name}_{i}", "Flat Field", exptime, light, filter_name)
            for i in range(count)
        ]

    def light(
        self,
        name: str,
        filter_name: str = "V",
        exptime: float = 30.0,
        sky_e: float = 2000.0,
        **cards: Any,
    ) -> Path:
        light = sky_e * self.response()
        return self._expose(name, "Light Frame", exptime, light, filter_name, **cards)

    def _expose(
        self,
        name: str,
        kind: str,
        exptime: float,
        light_e: Any,
        filter_name: str | None = None,
        *,
        temp: float = -10.0,
        **cards: Any,
    ) -> Path:
        shape = (self.height, self.width)
        electrons = self.random.poisson(np.broadcast_to(light_e + DARK_E_S * exptime, shape))
        read_out = electrons + self.random.normal(0, READ_NOISE_E, shape)
        adu = np.clip(np.round(BIAS_ADU + read_out / GAIN), 0, 65535).astype(np.uint16)
        header = fits.Header()
        header["IMAGETYP"] = kind
        header["EXPTIME"] = exptime
        header["DATE-OBS"] = self.moment.replace(tzinfo=None).isoformat(timespec="milliseconds")
        header["INSTRUME"] = self.instrument
        header["EGAIN"] = GAIN
        header["CCD-TEMP"] = temp
        header["XBINNING"] = header["YBINNING"] = 1
        if filter_name is not None:
            header["FILTER"] = filter_name
        for key, value in cards.items():
            header[key.replace("_", "-")] = value
        self.moment += timedelta(seconds=60)
        path = self.folder / f"{name}.fits"
        path.parent.mkdir(parents=True, exist_ok=True)
        fits.PrimaryHDU(adu, header=header).writeto(path)
        return path


def whole_night(folder: Path, lights: int = 4) -> Camera:
    """Write biases, darks, flats and lights in V into `folder`."""
    camera = Camera(folder)
    camera.bias()
    camera.dark()
    camera.flat()
    for number in range(lights):
        camera.light(f"ngc4993_{number}", OBJECT="NGC 4993")
    return camera
