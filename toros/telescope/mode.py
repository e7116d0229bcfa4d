"""Who decides what the telescope does: people step by step, people by a queue, or alerts too."""

from __future__ import annotations

from sqlalchemy import select

from toros.archive.models import Event
from toros.common.config.telescope import Mode
from toros.common.errors import WrongState
from toros.telescope.state import MODULE, Telescope

KIND = "mode"


def mode_of(telescope: Telescope) -> Mode:
    """Return the mode in force: that of the last order, else the configuration's."""
    query = select(Event).where(Event.module == MODULE, Event.kind == KIND)
    with telescope.sessions() as session:
        last = session.scalars(query.order_by(Event.id.desc()).limit(1)).one_or_none()
    # It outlives the process: a telescope that people took over is not given up by a restart.
    return Mode(last.data["mode"]) if last else telescope.settings.mode


def set_mode(telescope: Telescope, mode: Mode, user: str | None) -> None:
    """Change the mode, and record who did."""
    before = mode_of(telescope)
    telescope.record(
        KIND,
        f"Mode {before.value} → {mode.value}, ordered by {user or 'nobody named'}.",
        data={"mode": mode.value, "before": before.value},
    )


def require_nights(telescope: Telescope) -> None:
    """Refuse a night in manual mode.

    Raises
    ------
    WrongState
    """
    if mode_of(telescope) is Mode.MANUAL:
        raise WrongState("The mode is manual: give 'mode' scripted or autonomous first.")
