"""Settings of the preprocessor module."""

from __future__ import annotations

from toros.common.config.section import Section


class PreprocessorSettings(Section):
    """Settings of the preprocessor module."""
