"""Makes the master darks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toros.archive.models import Exposure
from toros.common.config.preprocessor import PreprocessorSettings
from toros.imaging.options import ReductionOptions
from toros.preprocessor.grouping import Group, group_darks
from toros.preprocessor.steps.choosing import Role
from toros.preprocessor.steps.master import MasterStep

if TYPE_CHECKING:
    from toros.imaging.draft import MasterResult


class MasterDark(MasterStep):
    """One master dark for each camera set-up, exposure time, temperature and filter if any.

    Without a master bias it keeps the bias in it: right for frames of its own exposure time.
    """

    name = "master_dark"
    image_type = "dark"
    wants = ("bias",)

    def groups(self, frames: Iterable[Exposure], settings: PreprocessorSettings) -> list[Group]:
        """Return the darks by what sets them apart."""
        return group_darks(frames, settings)

    def make(
        self,
        paths: Sequence[Path],
        target: Path,
        masters: dict[Role, Path | None],
        options: ReductionOptions,
    ) -> MasterResult:
        """Write the master dark."""
        from toros.imaging.masters import make_master_dark

        return make_master_dark(paths, target, bias=masters["bias"], options=options)
