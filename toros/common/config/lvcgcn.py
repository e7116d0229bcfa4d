"""Settings of the lvcgcn module."""

from __future__ import annotations

from toros.common.config.section import Section


class LvcgcnSettings(Section):
    """Settings of the lvcgcn module."""
