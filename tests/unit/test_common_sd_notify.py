"""The notification protocol against a real datagram socket."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.service_manager import ServiceManager
from toros.common.sd_notify import Notifier


@pytest.mark.parametrize("abstract", [False, True])
def test_each_message_is_one_datagram(tmp_path: Path, abstract: bool) -> None:
    address = f"@toros-test-{uuid4().hex}" if abstract else tmp_path / "notify"
    with ServiceManager(address) as manager:
        notifier = Notifier.from_environment(manager.environment())
        notifier.status("Starts.")
        notifier.ready("Answers at\nhttp://127.0.0.1:8080.")
        notifier.watchdog()
        notifier.stopping("Stops.")
        manager.wait_for("STOPPING")
    assert manager.told == [
        "STATUS=Starts.",
        "READY=1\nSTATUS=Answers at http://127.0.0.1:8080.",
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=Stops.",
    ]


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, None),  # there is nobody to tell
        ({"NOTIFY_SOCKET": "@x"}, None),
        ({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "60000000"}, 60.0),
        ({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "0"}, None),
        ({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "soon"}, None),
        ({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "60", "WATCHDOG_PID": "1"}, None),
        ({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "60", "WATCHDOG_PID": str(os.getpid())}, 6e-5),
    ],
)
def test_the_watchdog_is_ours_when_the_environment_says_so(
    environment: dict[str, str], watchdog_s: float | None
) -> None:
    assert Notifier.from_environment(environment).watchdog_s == watchdog_s


def test_without_a_service_manager_nothing_happens() -> None:
    Notifier.from_environment({}).ready("Answers.")


def test_a_service_manager_that_is_gone_is_a_warning_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = Notifier(str(tmp_path / "nobody"))
    with caplog.at_level(logging.WARNING):
        notifier.ready("Answers.")
        notifier.watchdog()
    (record,) = caplog.records
    assert "cannot be told" in record.getMessage()
