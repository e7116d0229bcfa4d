"""Commands whose modules are imported when they are wanted.

All of TOROS takes a second to import; `toros masters` needs a third of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command


class Commands(MutableMapping[str, Any]):
    """The Click commands by name, each made when it is first asked for.

    Parameters
    ----------
    places : mapping
        For each name ``"module:attribute"``: a function, or a `typer.Typer` of several commands.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = dict(places)
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """Return the command, imported if need be."""
        if name not in self._made:
            self._made[name] = _made(name, self._places[name])
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        """Add a command that is there already."""
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        """Forget a command."""
        known = self._made.pop(name, None), self._places.pop(name, None)
        if not any(known):
            raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        """Go through the names; nothing is imported."""
        return iter({**self._places, **self._made})

    def __len__(self) -> int:
        """Return how many there are."""
        return len({**self._places, **self._made})


def _made(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    found = getattr(import_module(module), attribute)
    parent = typer.Typer(rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        parent.add_typer(found, name=name)
    else:
        parent.command(name)(found)
    # With a callback it is a group, of one command too.
    parent.callback()(_nothing)
    group: Any = get_command(parent)
    return group.commands[name]


def _nothing() -> None:
    """Do nothing."""


def lazy_group(places: Mapping[str, str]) -> type[TyperGroup]:
    """Return the class of a group of the commands at `places`; see `Commands`."""

    class LazyGroup(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            self.commands = Commands(places)

    return LazyGroup
