"""A module small enough to see through, for tests of what all modules share."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

from toros.common.errors import DomeError
from toros.common.module import Context, Module
from toros.common.requests import Fields, NoFields, Request, RequestTable, Task
from toros.common.work_order import Json


@dataclass
class Toy:
    """What the toy module knows."""

    context: Context
    release: threading.Event = field(default_factory=threading.Event)
    folder: Path | None = None


class Numbers(Fields):
    a: float
    b: float = 1.0


class Line(Fields):
    path: str
    text: str


def add(_toy: Toy, fields: Numbers, _task: Task) -> Json:
    return fields.a + fields.b


def hold(toy: Toy, _fields: NoFields, task: Task) -> Json:
    while not toy.release.wait(0.02):
        task.raise_if_cancelled()
    return "released"


def fail(_toy: Toy, _fields: NoFields, _task: Task) -> Json:
    raise DomeError("The toy is broken; buy another.")


def crash(_toy: Toy, _fields: NoFields, _task: Task) -> Json:
    return str(1 / 0)


def write_line(_toy: Toy, fields: Line, _task: Task) -> Json:
    with Path(fields.path).open("a", encoding="utf-8") as sink:
        sink.write(fields.text + "\n")
    return fields.text


TABLE: RequestTable[Toy] = RequestTable(
    [
        Request(name="add", fields=Numbers, handler=add, summary="Add two numbers."),
        Request(name="add_later", fields=Numbers, handler=add, summary="Add.", journaled=True),
        Request(name="hold", fields=NoFields, handler=hold, summary="Wait.", journaled=True),
        Request(
            name="hold_again",
            fields=NoFields,
            handler=hold,
            summary="Wait; done again after a crash.",
            journaled=True,
            restart="repeat",
            lane="second",
        ),
        Request(name="fail", fields=NoFields, handler=fail, summary="Fail.", journaled=True),
        Request(name="crash", fields=NoFields, handler=crash, summary="Crash.", journaled=True),
        Request(name="crash_now", fields=NoFields, handler=crash, summary="Crash at once."),
        Request(
            name="write_line",
            fields=Line,
            handler=write_line,
            summary="Append a line to a file.",
            journaled=True,
            restart="repeat",
        ),
    ]
)


def build(context: Context) -> Module[Toy]:
    # It borrows the name, and so the address, of a module of the configuration.
    return Module(name="dome", state=Toy(context), table=TABLE)
