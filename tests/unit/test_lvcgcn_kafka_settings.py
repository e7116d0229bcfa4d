"""How Kafka is set up, and how its tokens are had: over real HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from pydantic import ValidationError

from tests.support.waiting import wait_until
from tests.support.web_server import serving
from toros.common.clock import Clock
from toros.common.config.alert_sources import KafkaSource
from toros.lvcgcn.sources.kafka import KafkaSubscriber
from toros.lvcgcn.sources.kafka_client import (
    consumer_settings,
    fetch_token,
    heartbeat_settings,
)

OIDC = {"client_id": "robot", "client_secret": "geheim"}


class Tokens(BaseHTTPRequestHandler):
    answers: list[tuple[int, Any]]
    asked: list[dict[str, list[str]]]

    def do_POST(self) -> None:
        self.asked.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        status, document = self.answers.pop(0)
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def tokens(*answers: tuple[int, Any]) -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    asked: list[dict[str, list[str]]] = []
    handler = type("TokensOfOneTest", (Tokens,), {"answers": [*answers], "asked": asked})
    with serving(handler) as url:
        yield f"{url}/oauth2/token", asked


def test_nothing_is_committed_but_what_is_said() -> None:
    found = consumer_settings(KafkaSource(**OIDC))
    assert found["group.id"] == "toros"
    assert found["enable.auto.commit"] is False
    assert found["security.protocol"] == "sasl_ssl"
    assert found["sasl.mechanisms"] == "OAUTHBEARER"
    assert Path(found["ssl.ca.location"]).is_file()
    assert heartbeat_settings(KafkaSource(**OIDC))["group.id"] == "toros-heartbeat"


def test_scimma_s_login() -> None:
    found = consumer_settings(KafkaSource(username="robot", password="geheim"))
    assert found["sasl.mechanisms"] == "SCRAM-SHA-512"
    assert found["sasl.password"] == "geheim"
    plain = consumer_settings(KafkaSource(encrypted=False))
    assert plain["security.protocol"] == "plaintext"
    assert "sasl.mechanisms" not in plain


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"client_id": "a"}, "client_id and client_secret go together"),
        ({"password": "a"}, "username and password go together"),
        ({**OIDC, "username": "a", "password": "b"}, "not both"),
    ],
)
def test_half_a_login_is_refused(settings: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        KafkaSource.model_validate(settings)


def test_a_token_is_fetched_with_its_life() -> None:
    with tokens((200, {"access_token": "abc", "expires_in": 900})) as (url, asked):
        token, lapses = fetch_token(KafkaSource(**OIDC, token_url=url, scope="gcn"))
    assert token == "abc"
    assert abs(lapses - Clock().unix() - 900) < 60
    assert asked == [
        {
            "grant_type": ["client_credentials"],
            "client_id": ["robot"],
            "client_secret": ["geheim"],
            "scope": ["gcn"],
        }
    ]


@pytest.mark.parametrize(
    "answer",
    [
        (401, {"error": "invalid_client"}),
        (200, {"expires_in": 3}),
        (200, ["abc"]),
        (200, {"access_token": "abc", "expires_in": -1}),
    ],
)
def test_what_is_no_token_is_an_error_and_the_next_one_is_had(answer: tuple[int, Any]) -> None:
    with tokens(answer, (200, {"access_token": "abc"})) as (url, _):
        settings = KafkaSource(**OIDC, token_url=url)
        with pytest.raises((OSError, ValueError, KeyError, TypeError)):
            fetch_token(settings)
        assert fetch_token(settings)[0] == "abc"


def test_librdkafka_asks_for_tokens_again_while_the_consumer_lives() -> None:
    """They lapse: it asks anew, without a restart."""
    from confluent_kafka import Consumer

    from toros.lvcgcn.sources.kafka_client import QUIET

    short = (200, {"access_token": "abc", "expires_in": 2})
    with tokens(*[short] * 50) as (url, asked):
        consumer = Consumer(consumer_settings(source(url)), logger=QUIET)
        deadline = time.monotonic() + 60
        while len(asked) < 3 and time.monotonic() < deadline:
            consumer.poll(0.2)
        consumer.close()
    assert len(asked) >= 3


@pytest.mark.long  # librdkafka gives up after ten seconds without a token
def test_a_start_without_tokens_is_tried_again_until_they_are_had() -> None:
    """No consumer can be made at first: the source says so, and goes on trying."""
    said: list[str] = []
    stop = threading.Event()
    with tokens(*[(503, {})] * 2, *[(200, {"access_token": "abc"})] * 50) as (url, asked):
        subscriber = KafkaSubscriber(source(url), Clock(), said.append)
        thread = threading.Thread(target=lambda: list(subscriber.stream(stop)))
        thread.start()
        try:
            wait_until(lambda: subscriber.connections > 1 and len(asked) > 2, "a token", 60)
            assert thread.is_alive()
        finally:
            stop.set()
            thread.join(30)
    assert not thread.is_alive()
    assert "token" in said[0]


def source(url: str) -> KafkaSource:
    """Return a source whose broker is not there, and whose tokens come from `url`."""
    return KafkaSource(
        **OIDC, token_url=url, brokers="127.0.0.1:9", encrypted=False, heartbeat_topic=None
    )
