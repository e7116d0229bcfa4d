"""How librdkafka is set up, and which of its errors it mends itself."""

from __future__ import annotations

import json
import logging
import math
import time
import urllib.error
import urllib.parse
import urllib.request
from functools import partial
from typing import TYPE_CHECKING, Any

from toros.common.config.alert_sources import KafkaSource

if TYPE_CHECKING:
    from confluent_kafka import KafkaError

log = logging.getLogger(__name__)

#: librdkafka's own log calls every failed attempt an error, many a second; ours says it once.
QUIET = logging.getLogger(f"{__name__}.librdkafka")
QUIET.setLevel(logging.CRITICAL)

_TOKEN_TIMEOUT_S = 20.0
_MAX_TOKEN_BYTES = 2**16
#: GCN's messages have up to 4 MiB; two embedded maps have half of that.
_MAX_MESSAGE_BYTES = 16 * 2**20


def consumer_settings(settings: KafkaSource) -> dict[str, Any]:
    """Return the properties of a consumer that commits only what it is told to."""
    return {
        **connection_settings(settings),
        "group.id": settings.group,
        "enable.auto.commit": False,
        # Told of, and not done in silence: what the broker no longer has is lost (see `kafka`).
        "auto.offset.reset": "error",
        "fetch.message.max.bytes": _MAX_MESSAGE_BYTES,
        **settings.options,
    }


def heartbeat_settings(settings: KafkaSource) -> dict[str, Any]:
    """Return the properties of a consumer of heartbeats, which has a group of its own."""
    return {
        **connection_settings(settings),
        "group.id": f"{settings.group}-heartbeat",
        "enable.auto.commit": False,
        "auto.offset.reset": "latest",
        **settings.options,
    }


def connection_settings(settings: KafkaSource) -> dict[str, Any]:
    """Return the properties of any client: brokers, TLS, credentials."""
    login = settings.client_id is not None or settings.username is not None
    protocol = ("sasl_" if login else "") + ("ssl" if settings.encrypted else "plaintext")
    found: dict[str, Any] = {
        "bootstrap.servers": settings.brokers,
        "security.protocol": protocol,
        "socket.keepalive.enable": True,
        # Jittered by librdkafka itself.
        "reconnect.backoff.ms": 1000,
        "reconnect.backoff.max.ms": 60_000,
        "log.connection.close": False,
    }
    if settings.encrypted:
        found["ssl.ca.location"] = _authorities(settings)
    if settings.client_id is not None:
        found |= {"sasl.mechanisms": "OAUTHBEARER", "oauth_cb": partial(fetch_token, settings)}
    elif settings.username is not None and settings.password is not None:
        found |= {
            "sasl.mechanisms": "SCRAM-SHA-512",
            "sasl.username": settings.username,
            "sasl.password": settings.password.get_secret_value(),
        }
    return found


def _authorities(settings: KafkaSource) -> str:
    import certifi

    # librdkafka's own OpenSSL does not know where this system keeps them.
    return str(settings.ca or certifi.where())


def fetch_token(settings: KafkaSource, _config: str = "") -> tuple[str, float]:
    """Return an OIDC token for the client's credentials, and when it lapses in unix seconds.

    librdkafka asks for one at the start and again when four fifths of its life are over; after a
    failure it asks again within ten seconds. A token that has lapsed is therefore replaced while
    the consumer goes on.

    Raises
    ------
    OSError, ValueError
        If none can be had; librdkafka reports it as an authentication error.
    """
    secret = settings.client_secret
    form = {
        "grant_type": "client_credentials",
        "client_id": settings.client_id or "",
        "client_secret": secret.get_secret_value() if secret else "",
    }
    if settings.scope:
        form["scope"] = settings.scope
    request = urllib.request.Request(  # noqa: S310 - the address is the configuration's
        settings.token_url, urllib.parse.urlencode(form).encode()
    )
    if request.type not in ("http", "https"):
        raise ValueError("token_url is not http(s)")
    asked = _unix()
    try:
        with urllib.request.urlopen(request, timeout=_TOKEN_TIMEOUT_S) as answer:  # noqa: S310
            said = json.loads(answer.read(_MAX_TOKEN_BYTES))
        token, life_s = str(said["access_token"]), float(said.get("expires_in", 3600))
    except urllib.error.HTTPError as error:
        with error:
            log.error("No token from %s: it answered %d.", settings.token_url, error.code)  # noqa: TRY400
            raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.error("No token from %s: %s", settings.token_url, error)  # noqa: TRY400
        raise
    if not math.isfinite(life_s) or life_s <= 0:
        raise ValueError(f"the token from {settings.token_url} lives {life_s} s")
    return token, asked + life_s


def _unix() -> float:
    """Return the machine's unix time: a token lapses by that, not by a simulated clock."""
    return time.time()  # noqa: TID251 - librdkafka compares it with the machine's clock


def is_passing(error: KafkaError) -> bool:
    """Return whether librdkafka goes on by itself after an error."""
    from confluent_kafka import KafkaError as Codes

    beyond_repair = (Codes._MAX_POLL_EXCEEDED, Codes._AUTHENTICATION, Codes._FATAL)
    return not error.fatal() and error.code() not in beyond_repair


def is_of_a_topic(error: KafkaError) -> bool:
    """Return whether an error says that a topic is not there, or not for us."""
    from confluent_kafka import KafkaError as Codes

    absent = (Codes.UNKNOWN_TOPIC_OR_PART, Codes.TOPIC_AUTHORIZATION_FAILED, Codes._UNKNOWN_TOPIC)
    return error.code() in absent
