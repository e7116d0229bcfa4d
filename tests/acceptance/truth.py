"""What the simulator knows of a night's frames, measured against what the reduction made of them.

It imports nothing of `toros.imaging`: the reduction is judged by the sky, not by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from toros.common.config import Config
from toros.simulator.detector import Detector
from toros.simulator.scene import Scene

Floats = npt.NDArray[np.float64]

APERTURE_PX = 8.0
ISOLATION_PX = 22.0
EDGE_PX = 30.0


@dataclass(frozen=True)
class Stars:
    """Isolated bright stars of one image: where they are, and how bright, by truth and measured."""

    offset_px: Floats  # (N, 2): measured minus true
    flux_ratio: Floats  # (N,): measured over true


def pixels(path: Path) -> Floats:
    """Return the primary image as float64."""
    return np.asarray(fits.getdata(path), dtype=np.float64)


def robust_sigma(values: Floats) -> float:
    """Return 1.4826 times the median absolute deviation."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def detector(config: Config) -> Detector:
    """Return the detector of the night's simulator."""
    return Detector(config.simulator)


def measure_stars(path: Path, config: Config) -> Stars:
    """Find the simulator's isolated bright stars in a calibrated image and measure them."""
    header, image = fits.getheader(path), pixels(path)
    sources = Scene(config.simulator).sources(
        header["RA"], header["DEC"], header["FILTER"], airmass=header["AIRMASS"]
    )
    expected = sources.electrons_s * header["EXPTIME"]
    distance = np.hypot(
        sources.x[:, None] - sources.x[None, :], sources.y[:, None] - sources.y[None, :]
    )
    fainter = expected[None, :] < 0.005 * expected[:, None]
    alone = np.all((distance > ISOLATION_PX) | fainter | (distance == 0), axis=1)
    inside = (np.abs(sources.x - 511.5) < 511.5 - EDGE_PX) & (
        np.abs(sources.y - 511.5) < 511.5 - EDGE_PX
    )
    star = np.array([kind == "star" for kind in sources.kind])
    chosen = np.flatnonzero(alone & inside & star & (expected > 1.2e4) & (expected < 5e5))
    measured = [_measure(image, sources.x[i], sources.y[i]) for i in chosen]
    offset = np.array(
        [
            [x - sources.x[i], y - sources.y[i]]
            for i, (x, y, _) in zip(chosen, measured, strict=True)
        ]
    )
    ratio = np.array([flux / expected[i] for i, (_, _, flux) in zip(chosen, measured, strict=True)])
    return Stars(offset.reshape(-1, 2), ratio)


def _measure(image: Floats, x: float, y: float) -> tuple[float, float, float]:
    """Return the centroid and the light within an aperture, above the sky around it."""
    y_grid, x_grid = np.indices(image.shape)
    box = (slice(round(y) - 22, round(y) + 23), slice(round(x) - 22, round(x) + 23))
    part, dx, dy = image[box], x_grid[box] - x, y_grid[box] - y
    radius = np.hypot(dx, dy)
    above = part - np.median(part[(radius > 14) & (radius < 21)])
    core, inner = radius < APERTURE_PX, radius < 4.0
    weight = above[inner].sum()
    return (
        x + float((above * dx)[inner].sum() / weight),
        y + float((above * dy)[inner].sum() / weight),
        float(above[core].sum()),
    )
