"""Makes the master flats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toros.archive.models import Exposure
from toros.common.config.preprocessor import PreprocessorSettings
from toros.imaging.options import ReductionOptions
from toros.preprocessor.grouping import Group, group_flats
from toros.preprocessor.steps.choosing import Role
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
