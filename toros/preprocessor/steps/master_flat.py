"""Makes the master flats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toros.archive.models import Exposure
from toros.common.config.preprocessor import PreprocessorSettings
from toros.imaging.headers import ExposureInfo, read_exposure
from toros.imaging.matching import dark_scale
from toros.imaging.options import ReductionOptions
from toros.preprocessor.grouping import Group, group_flats
from toros.preprocessor.steps.choosing import Chosen, Offers, Role, choose_all
from toros.preprocessor.steps.master import MasterStep

if TYPE_CHECKING:
    from toros.imaging.draft import MasterResult


class MasterFlat(MasterStep):
    """One master flat, normalised to 1, for each camera set-up and filter."""

    name = "master_flat"
    image_type = "flat"
    wants = ("bias", "dark")
    needs = ("bias",)

    def groups(self, frames: Iterable[Exposure], settings: PreprocessorSettings) -> list[Group]:
        """Return the flats by filter."""
        return group_flats(frames)

    def choose(
        self, frames: Sequence[ExposureInfo], offers: dict[Role, Offers], options: ReductionOptions
    ) -> tuple[Chosen, ...]:
        """Choose the masters of the typical flat, or those whose dark serves more of the flats.

        In the twilight the last exposure may be ten times the first: the dark that is nearest to
        that in the middle cannot be scaled to all.
        """
        typical = super().choose(frames, offers, options)
        if _served(frames, typical, options) in (0, len(frames)):
            return typical
        timed = {frame.exptime_s: frame for frame in frames}.values()
        others = (choose_all(frame, offers, options) for frame in timed)
        return max([typical, *others], key=lambda chosen: _served(frames, chosen, options))

    def make(
        self,
        paths: Sequence[Path],
        target: Path,
        masters: dict[Role, Path | None],
        options: ReductionOptions,
    ) -> MasterResult:
        """Write the master flat."""
        from toros.imaging.flats import make_master_flat

        return make_master_flat(
            paths, target, bias=masters["bias"], dark=masters["dark"], options=options
        )


def _served(
    frames: Sequence[ExposureInfo], chosen: Sequence[Chosen], options: ReductionOptions
) -> int:
    """Return from how many flats the chosen dark can be subtracted; 0 where there is none."""
    dark = next((one.path for one in chosen if one.role == "dark"), None)
    if dark is None:
        return 0
    master = read_exposure(dark)
    scales = (dark_scale(frame.exptime_s, master, options) for frame in frames)
    return sum(not isinstance(scale, str) for scale in scales)
