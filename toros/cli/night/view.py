"""The live view of a night on a terminal, and its plain lines elsewhere."""

from __future__ import annotations

from collections import Counter
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from toros.archive.models import Event
from toros.cli.night.watch import Snapshot

SHOWN_EVENTS = 8
SHOWN_TARGETS = 12
COLOURS = {"info": "default", "warning": "yellow", "error": "red"}


class NightView:
    """Shows a night as it goes: redrawn on a terminal, else a line for each thing that happens."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._told = 0
        self._live = (
            Live(console=console, refresh_per_second=4, transient=True)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> NightView:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """Show a line of our own."""
        self._console.print(text, markup=False)

    def show(self, snapshot: Snapshot) -> None:
        """Show the night as it stands."""
        if self._live is not None:
            self._live.update(self._drawn(snapshot))
            return
        for event in snapshot.events[self._told :]:
            self._console.print(event_line(event), style=COLOURS[event.level], markup=False)
        self._told = len(snapshot.events)

    def _drawn(self, snapshot: Snapshot) -> RenderableType:
        head = Text.assemble(
            (self._title, "bold"),
            f"   {snapshot.time:%Y-%m-%d %H:%M:%S} UTC   night: ",
            (snapshot.night_state.replace("_", " "), "bold cyan"),
        )
        upper = Table.grid(padding=(0, 3))
        upper.add_row(_modules(snapshot), _targets(snapshot))
        above: list[RenderableType] = [head, Text(), upper, Text(), _work(snapshot), Text()]
        # A terminal has 24 lines where nobody made it larger: the oldest of the events give way.
        left = self._console.height - len(self._console.render_lines(Panel(Group(*above))))
        newest = snapshot.events[-max(1, min(SHOWN_EVENTS, left)) :]
        events = [
            Text(event_line(event), style=COLOURS[event.level], overflow="ellipsis", no_wrap=True)
            for event in newest
        ]
        return Panel(Group(*above, *events))


def event_line(event: Event) -> str:
    """Return an event as one line."""
    return f"{event.time:%H:%M:%S}  {event.module:<12}  {event.message}"


def _modules(snapshot: Snapshot) -> Table:
    table = Table("module", "state", box=None, title="Modules", title_justify="left")
    for name, status in snapshot.modules.items():
        if status is None:
            table.add_row(name, Text("not reachable", style="red"))
        else:
            table.add_row(name, Text(_doing(status), overflow="ellipsis", no_wrap=True))
    return table


def _doing(status: dict[str, Any]) -> str:
    """Return what a module does now, as the keys that are its own tell it."""
    night, reducing = status.get("night"), status.get("reducing")
    if isinstance(night, dict) and night.get("doing") not in (None, "nothing"):
        return str(night["doing"])
    if isinstance(reducing, dict) and "step" in reducing:
        step = str(reducing["step"]).replace("_", " ")
        return f"{step} {reducing.get('done')}/{reducing.get('total')}"
    return "waiting"


def _targets(snapshot: Snapshot) -> Table:
    table = Table("target", "state", "frames", box=None, title="Targets", title_justify="left")
    for entry in snapshot.queue[:SHOWN_TARGETS]:
        colour = {"running": "bold cyan", "done": "green", "failed": "red"}.get(entry.state, "dim")
        table.add_row(Text(entry.name, style=colour), entry.state, f"{entry.taken}/{entry.count}")
    return table


def _work(snapshot: Snapshot) -> Text:
    kinds = Counter(frame.image_type or "unknown" for frame in snapshot.frames)
    frames = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "none yet"
    steps = ", ".join(
        f"{step.replace('_', ' ')} {states['done']}/{states.total()}"
        for step, states in snapshot.steps.items()
    )
    return Text(f"Frames: {frames}\nReduction: {steps or 'not begun'}")
