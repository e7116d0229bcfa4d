"""The read noise of bias and dark frames, measured on pairs of them, by amplifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from toros.imaging.amplifiers import level_variance_of, mean_level_variance
from toros.imaging.frames import Pixels, read_strips
from toros.imaging.headers import ExposureInfo, read_exposure
from toros.imaging.headers.layout import Layout
from toros.imaging.noise import middle_of_told, read_noise_of_one, read_noise_of_pair
from toros.imaging.options import ReductionOptions
from toros.imaging.pool import mapped
from toros.imaging.sampling import sample_rows

# The read noise hardly gains from more pairs than this.
PAIRS = 5


@dataclass(frozen=True)
class ReadNoise:
    """The noise of the read-out of a frame [ADU].

    Parameters
    ----------
    frame : float
        Of all pixels together, with the error of the level that was subtracted from each row.
    pixel : float
        Of all pixels together, without that error: the read noise.
    amplifiers : sequence of float
        Of each amplifier of `layout`, where there are several.
    layout : Layout, optional
        Where they are.
    """

    frame: float
    pixel: float
    amplifiers: Sequence[float] = ()
    layout: Layout | None = None

    def rows(self, at: slice) -> Pixels | float:
        """Return the noise of some rows: by pixel where there are several amplifiers."""
        if self.layout is None:
            return self.frame
        noise = np.full((at.stop - at.start, self.layout.shape[1]), self.frame, np.float32)
        for one, own in zip(self.layout.amplifiers, self.amplifiers, strict=True):
            y0, y1 = max(one.place.y_start, at.start), min(one.place.y_stop, at.stop)
            if y1 > y0:
                noise[y0 - at.start : y1 - at.start, one.place.x_start : one.place.x_stop] = own
        return noise


def told_by_bias(bias: Path | None) -> float | None:
    """Return the read noise that a master bias tells [ADU], None where it or its card is missing.

    `make_master_bias` writes it.
    """
    told = None if bias is None else read_exposure(bias).header.get("RDNOISEA")
    return float(told) if isinstance(told, int | float) else None


def measure_read_noise(infos: Sequence[ExposureInfo], options: ReductionOptions) -> ReadNoise:
    """Measure the read noise on frames without light of one exposure time."""
    wanted = sample_rows(infos[0].shape or (0, 0))

    def sample(info: ExposureInfo) -> Pixels:
        # What is no value in all frames alike would pass for pixels without noise.
        return np.concatenate(read_strips(info.path, info, wanted, options, lost=np.nan))

    samples = mapped(sample, infos[: PAIRS + 1])
    # Where no pixel of any frame has a value, there will be no master either.
    layout = infos[0].layout
    frame = _of_samples(samples, partial(mean_level_variance, infos[0], options, hidden=True))
    frame = frame or 0.0
    share = mean_level_variance(infos[0], options, frame) / frame**2 if frame else 0.0
    pixel = frame / float(np.sqrt(1 + share))
    if layout is None or len(layout.amplifiers) < 2:
        return ReadNoise(frame, pixel)
    rows = np.concatenate([np.arange(part.start, part.stop) for part in wanted])
    own = []
    for one in layout.amplifiers:
        place = one.place
        inside = (rows >= place.y_start) & (rows < place.y_stop)
        parts = [part[inside, place.x_start : place.x_stop] for part in samples]
        hidden = partial(level_variance_of, one, layout, options, hidden=True)
        own.append(_of_samples(parts, hidden) or frame)
    return ReadNoise(frame, pixel, own, layout)


def _of_samples(samples: Sequence[Pixels], hidden: Callable[[float], float]) -> float | None:
    """Return the noise that pixels of some frames tell, None where there are none.

    Parameters
    ----------
    hidden : callable
        Returns the variance [ADU²] that differences of neighbours do not show, for a read noise.
    """
    pairs = mapped(lambda pair: read_noise_of_pair(*pair), list(pairwise(samples)))
    found = middle_of_told(pairs)
    if found is not None:
        return found
    alone = middle_of_told(map(read_noise_of_one, samples))
    return None if alone is None else float(np.hypot(alone, np.sqrt(hidden(alone))))
