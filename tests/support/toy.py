"""A module small enough to see through, for tests of what all modules share."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

from toros.archive.models import Event
from toros.common.errors import DomeError
from toros.common.module import Context, Loop, Module
from toros.common.requests import Fields, NoFields, Request, RequestTable, Task
from toros.common.work_order import Json


@dataclass
class Toy:
    """What the toy module knows."""

    context: Context
    release: threading.Event = field(default_factory=threading.Event)
    folder: Path | None = None
    jammed: threading.Event = field(default_factory=threading.Event)
    unjam: threading.Event = field(default_factory=threading.Event)

    def tick(self, stop: threading.Event) -> None:
        """The toy's own loop, which hangs when it is jammed."""
        while not stop.wait(0.05):
            if self.jammed.is_set():
                self.unjam.wait()
                self.jammed.clear()
                self.unjam.clear()


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


def strike(_toy: Toy, fields: Line, _task: Task) -> Json:
    """What hardware does: it cannot be taken back, and no transaction holds it."""
    descriptor = os.open(fields.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, f"{fields.text}\n".encode())
    finally:
        os.close(descriptor)
    return fields.text


def record(toy: Toy, fields: Line, task: Task) -> Json:
    """What a reduction does: its result and the end of its order are one transaction."""
    with toy.context.sessions.begin() as session:
        row = Event(time=toy.context.clock.now(), module="toy", kind="done", message=fields.text)
        session.add(row)
        task.complete(session, fields.text)
    return fields.text


def deaf(toy: Toy, _fields: NoFields, _task: Task) -> Json:
    """Does not obey when it is cancelled."""
    toy.release.wait()
    return "released"


def jam(toy: Toy, _fields: NoFields, _task: Task) -> Json:
    toy.jammed.set()
    return True


def unjam(toy: Toy, _fields: NoFields, _task: Task) -> Json:
    toy.unjam.set()
    return True


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
        Request(
            name="strike",
            fields=Line,
            handler=strike,
            summary="Append a line to a file, once or not at all.",
            journaled=True,
            lane="hardware",
        ),
        Request(
            name="record",
            fields=Line,
            handler=record,
            summary="Record an event.",
            journaled=True,
            restart="repeat",
            anywhere=True,
            lane="reduction",
        ),
        Request(name="deaf", fields=NoFields, handler=deaf, summary="Wait.", journaled=True),
        Request(name="jam", fields=NoFields, handler=jam, summary="Hang the loop."),
        Request(name="unjam", fields=NoFields, handler=unjam, summary="Let it go on."),
    ]
)

# Machine seconds that the toy's loop may be silent: short, so that a test need not wait for long.
PATIENCE_S = 2.0


def build(context: Context) -> Module[Toy]:
    # It borrows the name, and so the address, of a module of the configuration.
    toy = Toy(context)
    loops = (Loop("ticker", toy.tick, PATIENCE_S),)
    return Module(name="dome", state=toy, table=TABLE, loops=loops)
