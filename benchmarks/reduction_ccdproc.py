"""A small night reduced by ccdproc, as its guide does it and by its fastest settings.

``python -m benchmarks.reduction_ccdproc FOLDER OUT``: a master bias, dark and flat, then every
light with its uncertainty and its mask, all written.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reduction_frames import GAIN, READ_NOISE_E

#: By its fastest setting: names of functions.
CLIP = {
    "sigma_clip": True, "sigma_clip_low_thresh": 3, "sigma_clip_high_thresh": 3,
    "sigma_clip_func": "median", "sigma_clip_dev_func": "mad_std",
}  # fmt: skip


def combined(frames: list[Any], **how: Any) -> Any:
    """Combine by ccdproc's fastest setting: names of functions, float32, all in memory."""
    import ccdproc

    made = ccdproc.combine(
        frames, method="average", dtype=np.float32, mem_limit=64e9, **CLIP, **how
    )
    made.uncertainty = None
    return made


def written(made: Any, path: Path) -> Any:
    """Write a product in float32, like ours, and return it."""
    made.data = made.data.astype(np.float32)
    if made.uncertainty is not None:
        made.uncertainty.array = made.uncertainty.array.astype(np.float32)
    made.write(path, format="fits", overwrite=True)
    return made


def calibrated(path: Path, bias: Any, dark: Any, flat: Any) -> Any:
    """Calibrate one light as `ccd_process` does it, with uncertainty and mask."""
    import ccdproc
    from astropy import units as u
    from astropy.nddata import CCDData

    light = CCDData.read(path, unit="adu")
    light.data = light.data.astype(np.float32)
    light.mask = light.data >= 65535
    return ccdproc.ccd_process(
        light, error=True, gain=GAIN * u.electron / u.adu, readnoise=READ_NOISE_E * u.electron,
        master_bias=bias, dark_frame=dark, master_flat=flat, exposure_key="EXPTIME",
        exposure_unit=u.s, gain_corrected=False,
    )  # fmt: skip


def main() -> None:
    """Reduce the night."""
    import ccdproc
    from astropy import units as u
    from astropy.nddata import CCDData

    warnings.simplefilter("ignore")
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    frames = {
        kind: sorted(folder.glob(f"{kind}_*.fits")) for kind in ("bias", "dark", "flat", "light")
    }
    bias = combined([str(path) for path in frames["bias"]], unit="adu")
    written(bias, out / "bias.fits")
    dark = combined([str(path) for path in frames["dark"]], unit="adu")
    dark = written(ccdproc.subtract_bias(dark, bias), out / "dark.fits")
    dark.header["EXPTIME"] = 60.0
    flats = []
    for path in frames["flat"]:
        flat = CCDData.read(path, unit="adu")
        flat.data = flat.data.astype(np.float32)
        flat = ccdproc.subtract_bias(flat, bias)
        flats.append(
            ccdproc.subtract_dark(
                flat, dark, exposure_time="EXPTIME", exposure_unit=u.s, scale=True
            )
        )
    flat = combined(flats, scale=lambda image: 1 / np.median(image))
    flat.unit = u.dimensionless_unscaled
    written(flat, out / "flat.fits")
    for path in frames["light"]:
        written(calibrated(path, bias, dark, flat), out / f"calib_{path.name}")


if __name__ == "__main__":
    main()
