"""The client's side of a front desk, with time-outs."""

from __future__ import annotations

import base64
import http.client
import socket
import xmlrpc.client
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from toros.common.config.models import Config, Credentials
from toros.common.config.source import without_password
from toros.common.errors import PeerRefused, PeerTimeout, PeerUnreachable
from toros.common.timed_response import TimedResponse
from toros.common.tls import client_context
from toros.common.work_order import MAX_WAIT_S, Json, OrderStatus, Reply

TIMEOUT_S = 10.0


class _Transport(xmlrpc.client.Transport):
    """The standard library's transport with a time-out, for both plain and TLS connections."""

    def __init__(
        self, timeout_s: float, authority: Path | None, authorization: str | None, tls: bool
    ) -> None:
        headers = [("Authorization", authorization)] if authorization else []
        super().__init__(use_builtin_types=True, headers=headers)
        self._timeout_s = timeout_s
        self._context = client_context(authority) if tls else None

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        name, self._extra_headers, _ = self.get_host_info(host)
        connection = (
            http.client.HTTPConnection(name, timeout=self._timeout_s)
            if self._context is None
            else http.client.HTTPSConnection(name, timeout=self._timeout_s, context=self._context)
        )
        connection.response_class = TimedResponse
        # What stands here is what `close` closes.
        self._connection = host, connection
        return connection


class FrontDeskClient:
    """Sends work orders to one module. Each call opens a connection: threads may share a client.

    Parameters
    ----------
    url : str
        The front desk, for instance ``http://127.0.0.1:8080``.
    timeout_s : float
        How long to wait for an answer, beyond the order's own `wait`.
    credentials : Credentials, optional
        User and token, where the desk asks for them. They may also stand in `url`.
    authority : pathlib.Path, optional
        Certificate of the authority that the desk's own is of, where it is a private one.
    """

    def __init__(
        self,
        url: str,
        timeout_s: float = TIMEOUT_S,
        *,
        credentials: Credentials | None = None,
        authority: Path | None = None,
    ) -> None:
        self.url = url
        self._shown = without_password(url)  # as errors name it: a token may stand in it
        self._timeout_s = timeout_s
        self._authorization = _basic(credentials) if credentials else None
        self._authority = authority

    @classmethod
    def to(cls, config: Config, url: str, timeout_s: float = TIMEOUT_S) -> FrontDeskClient:
        """Return a client that calls `url` in the name of this node."""
        return cls(url, timeout_s, credentials=config.credentials, authority=config.tls.ca)

    @classmethod
    def of(cls, config: Config, module: str, timeout_s: float = TIMEOUT_S) -> FrontDeskClient:
        """Return a client of a module of the configuration."""
        return cls.to(config, config.url_of(module), timeout_s)

    def send(
        self,
        request: str,
        *,
        id: str | int | None = None,
        wait: float | None = None,
        priority: float | None = None,
        **fields: Any,
    ) -> Reply:
        """Send one work order and return the reply, whatever it says.

        Raises
        ------
        PeerUnreachable
            When nobody answers there, or what answers is no front desk.
        PeerTimeout
            When the answer does not come in time. The order may have been taken: send it again
            with the same id to learn its fate.
        PeerRefused
            When the answer is a Fault: no order was read.
        """
        envelope = {"id": id, "request": request, "wait": wait, "priority": priority}
        order = {key: value for key, value in envelope.items() if value is not None} | fields
        transport = _Transport(
            self._timeout_s + (MAX_WAIT_S if wait is None else wait),
            self._authority,
            self._authorization,
            tls=self.url.startswith("https:"),
        )
        try:
            with xmlrpc.client.ServerProxy(
                self.url, transport=transport, allow_none=True, use_builtin_types=True
            ) as proxy:
                return Reply.model_validate(proxy.front_desk(order))
        except TimeoutError as error:
            raise PeerTimeout(f"{self._shown} did not answer '{request}' in time.") from error
        except xmlrpc.client.Fault as fault:
            raise PeerRefused(
                f"{self._shown} refused '{request}': {fault.faultString} ({fault.faultCode})"
            ) from fault
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise PeerUnreachable(f"{self._shown} cannot be reached ({_cause(error)}).") from error
        except (ExpatError, ValueError, LookupError) as error:
            # A pydantic ValidationError among them; the rest is what xmlrpc.client makes of
            # an answer that is no XML-RPC.
            raise PeerUnreachable(f"{self._shown} did not answer as a front desk does.") from error

    def ask(self, request: str, **fields: Any) -> Json:
        """Send one work order and return its result.

        Raises
        ------
        PeerRefused
            When the order did not complete; with the reply's code and message.
        PeerUnreachable, PeerTimeout
            As `send`.
        """
        reply = self.send(request, **fields)
        if reply.status is not OrderStatus.COMPLETED:
            raise PeerRefused(
                f"{reply.module} says '{reply.status}' to '{request}': "
                f"{reply.message} (code {reply.code})"
            )
        result: Json = reply.result
        return result


def _basic(credentials: Credentials) -> str:
    pair = f"{credentials.user}:{credentials.token.get_secret_value()}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _cause(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, socket.gaierror):
        return "no such host"
    return str(error) or type(error).__name__
