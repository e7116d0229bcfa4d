"""Where log records go: a file that is rotated daily, standard error, and the admins' mail.

One line per event, in text or JSON, with the order that it is about. Secrets of the configuration
are blacked out wherever they would appear.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from toros.common.clock import Clock, iso
from toros.common.config import Config
from toros.common.config.source import without_password
from toros.common.daily_file import DailyFileHandler
from toros.common.error_mail import AdminMailHandler
from toros.common.errors import ConfigurationError
from toros.common.mail import reaches
from toros.common.order_context import current_order
from toros.common.outbox import Outbox

# What moves the cursor of whoever looks at a log, or is a line's end to some programs.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
# What systemd's journal calls the levels.
PRIORITIES = {"CRITICAL": 2, "ERROR": 3, "WARNING": 4, "INFO": 6, "DEBUG": 7}
SHORTEST_SECRET = 4
CHATTY = ("alembic", "httpx", "urllib3", "matplotlib", "uvicorn", "numba", "apprise")


def set_up_logging(config: Config, module: str, clock: Clock) -> AdminMailHandler | None:
    """Send the records of this process where the configuration says.

    Parameters
    ----------
    config : Config
        Its `logging` and `email` sections are used.
    module : str
        Named in every record.
    clock : Clock
        Records carry the observatory's time, in UTC.

    Returns
    -------
    AdminMailHandler or None
        The handler that mails errors, where there are admins to mail.

    Raises
    ------
    ConfigurationError
        When the log file or the folder of waiting mail cannot be written.
    """
    formatter = LineFormatter(
        clock, module, as_json=config.logging.format == "json", secrets=tuple(secrets_of(config))
    )
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    handlers[0].setFormatter(JournalFormatter(formatter) if _in_journal() else formatter)
    if config.logging.file is not None:
        handlers.append(_file_handler(config.logging.file, config.logging.keep_days))
    mail = _mail_handler(config, module, formatter.clean)
    if mail is not None:
        handlers.append(mail)
    for handler in handlers[1:]:
        handler.setFormatter(formatter)
    root = logging.getLogger()
    root.setLevel(config.logging.log_level)
    root.handlers[:] = handlers
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    return mail


class LineFormatter(logging.Formatter):
    """Makes one line of a record, with the order that it is about and without secrets."""

    def __init__(
        self, clock: Clock, module: str, *, as_json: bool = False, secrets: tuple[str, ...] = ()
    ) -> None:
        super().__init__()
        self._clock = clock
        self._module = module
        self._as_json = as_json
        self._secrets = re.compile("|".join(map(re.escape, secrets))) if secrets else None

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        facts = self._facts(record)
        if self._as_json:
            return self.clean(json.dumps(facts, ensure_ascii=False))
        order = f" [order {facts['order']} {facts['request']}" if "order" in facts else ""
        order += f" by {facts['user']}]" if facts.get("user") else "]" if order else ""
        text = (
            f"{facts['time']} {facts['level']} {self._module} {record.name}{order}: "
            f"{facts['message']}"
        )
        if "traceback" in facts:
            text += f"\n{facts['traceback']}"
        # A second line would be an event of its own to whoever reads the log with tools.
        return self.clean(text).rstrip("\n").replace("\n", " ⏎ ")

    def _facts(self, record: logging.LogRecord) -> dict[str, Any]:
        seconds = self._clock.start + (record.created - self._clock.anchor) * self._clock.rate
        facts: dict[str, Any] = {
            "time": iso(datetime.fromtimestamp(seconds, UTC)),
            "level": record.levelname,
            "module": self._module,
            "logger": record.name,
            "message": record.getMessage(),
        }
        order = current_order()
        if order is not None:
            facts |= {"order": order.id, "request": order.request, "user": order.user}
        if isinstance(getattr(record, "code", None), int):
            facts["code"] = record.code  # type: ignore[attr-defined]
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return facts

    def clean(self, text: str) -> str:
        """Return a text without secrets, and without what is no text."""
        # Names of files hold bytes that are no text: a line with them is written all the same.
        text = text.replace("\r\n", "\n").encode("utf-8", "backslashreplace").decode()
        text = CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
        text = without_password(text, "***")
        return self._secrets.sub("***", text) if self._secrets else text


class JournalFormatter(logging.Formatter):
    """The line as systemd's journal takes it: with its priority, and without a time of its own."""

    def __init__(self, line: LineFormatter) -> None:
        super().__init__()
        self._line = line

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return f"<{PRIORITIES.get(record.levelname, 6)}>{self._line.format(record)}"


def secrets_of(section: BaseModel) -> Iterator[str]:
    """Yield every secret that a configuration holds."""
    for value in dict(section).values():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, SecretStr) and len(item.get_secret_value()) >= SHORTEST_SECRET:
                yield item.get_secret_value()
            elif isinstance(item, BaseModel):
                yield from secrets_of(item)


def _in_journal() -> bool:
    """Return whether standard error is systemd's journal, as ``JOURNAL_STREAM`` has it."""
    named = os.environ.get("JOURNAL_STREAM", "")
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return named == f"{found.st_dev}:{found.st_ino}"


def _file_handler(path: Path, keep_days: int) -> logging.Handler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return DailyFileHandler(path, keep_days)
    except OSError as error:
        raise ConfigurationError(
            f"logging.file: {path} cannot be written ({error.strerror}); name another file."
        ) from error


def _mail_handler(
    config: Config, module: str, clean: Callable[[str], str]
) -> AdminMailHandler | None:
    email = config.email
    if not reaches(email, email.admins):
        return None
    outbox = Outbox(email, module)
    origin = f"{config.node} {module}"
    return AdminMailHandler(
        outbox,
        email.admins,
        origin,
        clean,
        burst=email.burst,
        window_s=email.window_s,
        memory=email.outbox / f"{module}.lately",
    )
