"""Makes the master biases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toros.archive.models import Exposure
from toros.common.config.preprocessor import PreprocessorSettings
from toros.imaging.options import ReductionOptions
from toros.preprocessor.grouping import Group, group_biases
from toros.preprocessor.steps.choosing import Role
from toros.preprocessor.steps.master import MasterStep

if TYPE_CHECKING:
    from toros.imaging.draft import MasterResult


class MasterBias(MasterStep):
    """One master bias for each camera set-up and temperature."""

    name = "master_bias"
    image_type = "bias"

    def groups(self, frames: Iterable[Exposure], settings: PreprocessorSettings) -> list[Group]:
        """Return the biases by camera set-up and temperature."""
        return group_biases(frames, settings)

    def make(
        self,
        paths: Sequence[Path],
        target: Path,
        masters: dict[Role, Path | None],
        options: ReductionOptions,
    ) -> MasterResult:
        """Write the master bias."""
        from toros.imaging.masters import make_master_bias

        return make_master_bias(paths, target, options)
