"""The read noise of bias and dark frames, measured on pairs of them, by amplifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from toros.imaging.frames import Pixels, read_strips
from toros.imaging.headers import ExposureInfo
from toros.imaging.headers.layout import Layout
from toros.imaging.noise import middle_of_told, read_noise_of_one, read_noise_of_pair
from toros.imaging.options import ReductionOptions
from toros.imaging.pool import mapped
from toros.imaging.sampling import sample_rows

# The read noise hardly gains from more pairs than this.
PAIRS = 5


@dataclass(frozen=True)
class ReadNoise:
    """The read noise of a frame [ADU].

    Parameters
    ----------
    frame : float
        Of all pixels together.
    amplifiers : sequence of float
        Of each amplifier of `layout`, where there are several.
    layout : Layout, optional
        Where they are.
    """

    frame: float
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


def measure_read_noise(infos: Sequence[ExposureInfo], options: ReductionOptions) -> ReadNoise:
    """Measure the read noise on frames without light of one exposure time."""
    wanted = sample_rows(infos[0].shape or (0, 0))

    def sample(info: ExposureInfo) -> Pixels:
        # What is no value in all frames alike would pass for pixels without noise.
        return np.concatenate(read_strips(info.path, info, wanted, options, lost=np.nan))

    samples = mapped(sample, infos[: PAIRS + 1])
    # Where no pixel of any frame has a value, there will be no master either.
    frame = _of_samples(samples) or 0.0
    layout = infos[0].layout
    if layout is None or len(layout.amplifiers) < 2:
        return ReadNoise(frame)
    rows = np.concatenate([np.arange(part.start, part.stop) for part in wanted])
    own = []
    for place in (one.place for one in layout.amplifiers):
        inside = (rows >= place.y_start) & (rows < place.y_stop)
        parts = [part[inside, place.x_start : place.x_stop] for part in samples]
        own.append(_of_samples(parts) or frame)
    return ReadNoise(frame, own, layout)


def _of_samples(samples: Sequence[Pixels]) -> float | None:
    """Return the read noise that pixels of some frames tell, None where there are none."""
    pairs = mapped(lambda pair: read_noise_of_pair(*pair), list(pairwise(samples)))
    found = middle_of_told(pairs)
    return middle_of_told(map(read_noise_of_one, samples)) if found is None else found
