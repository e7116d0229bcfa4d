"""Settings of the telescope module."""

from __future__ import annotations

from toros.common.config.section import Section


class TelescopeSettings(Section):
    """Settings of the telescope module."""
