"""Where log records go: a file that is rotated daily, standard error, and the admins' mail."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

from toros.common.clock import Clock
from toros.common.config import Config
from toros.common.daily_file import DailyFileHandler
from toros.common.errors import ConfigurationError
from toros.common.mail import AdminMailHandler, Mailer

FORMAT = "%(asctime)s %(levelname)s %(module_name)s %(name)s: %(message)s"


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
        When the log file cannot be written.
    """
    root = logging.getLogger()
    root.setLevel(config.logging.log_level)
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if config.logging.file is not None:
        handlers.append(_file_handler(config.logging.file, config.logging.keep_days))
    mail = None
    if config.email.smtp_host and config.email.admins:
        mail = AdminMailHandler(Mailer(config.email), config.node, module)
        handlers.append(mail)
    formatter = _Formatter(clock, module)
    for handler in handlers:
        handler.setFormatter(formatter)
    root.handlers[:] = handlers
    for chatty in ("alembic", "httpx", "urllib3", "matplotlib", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    return mail


class _Formatter(logging.Formatter):
    def __init__(self, clock: Clock, module: str) -> None:
        super().__init__(FORMAT)
        self._clock = clock
        self._module = module

    def format(self, record: logging.LogRecord) -> str:
        record.module_name = self._module
        return super().format(record)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        moment = self._clock.start + (record.created - self._clock.anchor) * self._clock.rate
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
        return f"{whole}.{int(moment % 1 * 1000):03d}Z"


def _file_handler(path: Path, keep_days: int) -> logging.Handler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return DailyFileHandler(path, keep_days)
    except OSError as error:
        raise ConfigurationError(
            f"logging.file: {path} cannot be written ({error.strerror}); name another file."
        ) from error
