"""Settings of the simulator module."""

from __future__ import annotations

from toros.common.config.section import Section


class SimulatorSettings(Section):
    """Settings of the simulator module."""
