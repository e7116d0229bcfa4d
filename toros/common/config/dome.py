"""Settings of the dome module."""

from __future__ import annotations

from toros.common.config.section import Section


class DomeSettings(Section):
    """Settings of the dome module."""
