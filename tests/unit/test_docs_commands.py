"""What README and documentation tell people to type is there."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from toros.cli.main import app
from toros.cli.modules import ROOMS, SIMULATOR
from toros.cli.orders import _field
from toros.common.clock import Clock
from toros.common.config.loader import parse_config
from toros.common.desk import Desk
from toros.common.module import Module
from toros.common.requests import RequestTable
from toros.common.work_order import WorkOrder

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted(
        page
        for page in (ROOT / "docs").rglob("*.md")
        if not {"_build", "_generated"} & set(page.parts)
    ),
]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`((?:toros|make) [^`]+)`(?!`)")
# As people write what they would replace, and as the tests may read it.
PLACES = {"MODULE": "dome", "REQUEST": "status", "field=value": "", "…": ""}


def _blocks(language: str) -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for found, text in FENCE.findall(page.read_text(encoding="utf-8")):
            if found == language:
                yield page.relative_to(ROOT).as_posix(), text


def _commands() -> Iterator[tuple[str, list[str]]]:
    """Yield every command line of README and docs that begins with `toros` or `make`."""
    for page, text in _blocks("console"):
        for line in text.splitlines():
            if line.startswith("$ "):
                words = shlex.split(line[2:].partition(" > ")[0], comments=True)
                words[0] = words[0].removeprefix("/opt/toros/bin/")
                if words[0] in ("toros", "make"):
                    yield page, words
    for path in PAGES:
        for text in INLINE.findall(path.read_text(encoding="utf-8")):
            words = [PLACES.get(word, word) for word in shlex.split(" ".join(text.split()))]
            yield path.relative_to(ROOT).as_posix(), [word for word in words if word]


COMMANDS = sorted({(page, tuple(words)) for page, words in _commands()})
TOROS = [(page, words[1:]) for page, words in COMMANDS if words[0] == "toros"]


def test_the_readme_names_its_two_commands() -> None:
    said = {words for page, words in COMMANDS if page == "README.md"}

    assert {("make", "night"), ("make", "test")} <= said
    assert any(words[:2] == ("toros", "calibrate") for words in said)
    assert any(words[:3] == ("toros", "send", "dome") for words in said)


@pytest.mark.parametrize(("page", "words"), [c for c in COMMANDS if c[1][0] == "make"])
def test_each_make_command_is_a_target(page: str, words: tuple[str, ...]) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)

    # PREFIX=… and the like are variables, not targets.
    assert {word for word in words[1:] if "=" not in word} <= set(targets), page


@pytest.mark.parametrize(("page", "words"), TOROS)
def test_each_toros_command_line_is_understood(page: str, words: tuple[str, ...]) -> None:
    command: Any = typer.main.get_command(app)
    arguments = list(words)
    while hasattr(command, "commands") and arguments and arguments[0] in command.commands:
        command = command.commands[arguments.pop(0)]
    if arguments and hasattr(command, "default_command"):
        command = command.commands[command.default_command]

    if hasattr(command, "commands"):
        known = {option for item in command.params for option in item.opts}
        assert set(arguments) <= known, f"{page}: toros {' '.join(words)}"
        return
    if arguments:  # else it is only named
        # Raises for an option that is unknown and for a value that is missing or wrong.
        command.make_context(command.name, arguments)


@pytest.mark.parametrize(("page", "words"), [t for t in TOROS if t[1][:1] == ("send",)])
def test_each_work_order_that_is_sent_would_be_taken(page: str, words: tuple[str, ...]) -> None:
    module, request, *fields = words[1:]
    values = dict(_field(text) for text in fields if "=" in text)

    found = _requests_of(module).find(request)

    found.read_fields(WorkOrder(request=request, fields=values))


def _requests_of(module: str) -> RequestTable[Any]:
    own = import_module(f"{ROOMS[module].rsplit('.', 1)[0]}.requests").TABLE
    nobody: Any = None
    common = Desk(Module(module, None, own), nobody, nobody, Clock())._common_requests()
    return RequestTable([*common, *own])


@pytest.mark.parametrize(("page", "words"), [t for t in TOROS if t[1][:1] == ("serve",)])
def test_each_module_that_is_served_is_there(page: str, words: tuple[str, ...]) -> None:
    assert words[1] in (*ROOMS, SIMULATOR), page


@pytest.mark.parametrize(("page", "text"), list(_blocks("yaml")))
def test_each_piece_of_configuration_is_good(
    page: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    for name in re.findall(r"CREDENTIALS_DIRECTORY\}/(\w+)", text):
        (tmp_path / name).write_text("not a secret")
    secret = tmp_path / "token"
    secret.write_text("not a secret")
    text = re.sub(r"/etc/toros/(tokens/\w+|\w+\.token)", str(secret), text)

    assert isinstance(yaml.safe_load(text), dict)
    parse_config(text, page)


@pytest.mark.parametrize(("page", "text"), list(_blocks("python")))
def test_each_piece_of_python_is_python(page: str, text: str) -> None:
    ast.parse(text)


def test_links_between_readme_and_docs_lead_somewhere() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        links = re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", text)
        for link in links:
            assert (page.parent / link).exists(), f"{page.relative_to(ROOT)}: {link}"


def test_pictures_are_small() -> None:
    for picture in (ROOT / "docs" / "images").iterdir():
        assert picture.stat().st_size < 200_000, picture.name
