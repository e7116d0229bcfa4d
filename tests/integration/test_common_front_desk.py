"""The door, driven by real clients over real sockets."""

from __future__ import annotations

import http.client
import socket
import threading
import xmlrpc.client
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from tests.support.toy import Toy, build
from tests.support.waiting import wait_until
from tests.support.web_server import serving
from toros.common.client import FrontDeskClient
from toros.common.clock import Clock
from toros.common.config import Config
from toros.common.daemon import Daemon
from toros.common.errors import (
    AddressInUse,
    ConfigurationError,
    PeerRefused,
    PeerTimeout,
    PeerUnreachable,
)
from toros.common.front_desk import FrontDeskServer
from toros.common.module import Context, Module

LOOPBACK = ("127.0.0.1", 0)


@pytest.fixture
def module(sessions: sessionmaker[Session]) -> Module[Toy]:
    return build(Context(Config(), Clock(), sessions))


@pytest.fixture
def daemon(module: Module[Toy]) -> Iterator[Daemon]:
    made = Daemon(module, module.state.context, LOOPBACK)
    made.start()
    yield made
    module.state.release.set()
    made.stop()


@pytest.fixture
def client(daemon: Daemon) -> FrontDeskClient:
    return FrontDeskClient(daemon.url)


def call(url: str, order: Any) -> Any:
    with xmlrpc.client.ServerProxy(url, allow_none=True) as proxy:
        return proxy.front_desk(order)


def post(url: str, body: bytes, **headers: str) -> tuple[int, str]:
    host, port = url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    sent = {"Content-Type": "text/xml"} | {k.replace("_", "-"): v for k, v in headers.items()}
    connection.request("POST", "/RPC2", body, sent)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def fault_code(body: bytes | str) -> int:
    with pytest.raises(xmlrpc.client.Fault) as caught:
        xmlrpc.client.loads(body)
    return int(caught.value.faultCode)


def test_an_order_is_answered_with_every_key(daemon: Daemon) -> None:
    reply = call(daemon.url, {"id": 7, "request": "Add", "a": 1, "b": 2.5})
    assert reply | {"datetime": ""} == {
        "id": 7,
        "module": "dome",
        "request": "add",
        "status": "completed",
        "code": 0,
        "message": "",
        "result": 3.5,
        "datetime": "",
    }


def test_both_paths_serve(daemon: Daemon) -> None:
    for path in ("", "/", "/RPC2"):
        assert call(daemon.url + path, {"request": "add", "a": 1})["result"] == 2


@pytest.mark.parametrize(
    ("order", "code", "message"),
    [
        ([1], 12, "A work order is a struct"),
        ({"a": 1}, 12, "field 'request' is missing"),
        ({"request": "ad"}, 11, "There is no request 'ad' here (did you mean 'add'?)."),
        ({"request": "xyzzy"}, 11, "There is no request 'xyzzy' here; there are: status, work_"),
        ({"request": "add", "id": 1.5}, 12, "field 'id': must be a string or an integer."),
        ({"request": "add", "id": True}, 12, "field 'id': must be a string or an integer."),
        ({"request": "add", "id": ""}, 12, "field 'id': must have 1 to 200 characters."),
        (
            {"request": "cancel", "work_order": 1.5},
            12,
            "Request 'cancel': field 'work_order': must be a string or an integer. Its fields",
        ),
        (
            {"request": "list_work_orders", "limit": -1},
            12,
            "field 'limit': input should be greater",
        ),
        (
            {"request": "list_work_orders", "state": "finished"},
            12,
            "field 'state': input should be 'accepted', 'running', 'completed', 'failed', 'inter",
        ),
        ({"request": "add"}, 12, "Request 'add': field 'a' is missing. Its fields are: a, b."),
        ({"request": "add", "a": 1, "c": 2}, 12, "unknown field 'c'"),
        ({"request": "add", "a": "x"}, 12, "field 'a': input should be a valid number"),
    ],
)
def test_a_bad_order_is_rejected_with_a_sentence(
    daemon: Daemon, order: Any, code: int, message: str
) -> None:
    reply = call(daemon.url, order)
    assert (reply["status"], reply["code"]) == ("rejected", code)
    assert message in reply["message"]


def test_an_accepted_order_is_done_and_can_be_asked_after(client: FrontDeskClient) -> None:
    reply = client.send("add_later", id="one", wait=0, a=1)
    assert (reply.status, reply.message) == ("accepted", "Work order received.")
    done = client.send("add_later", id="one", wait=10, a=1)
    assert (done.status, done.result, done.id) == ("completed", 2.0, "one")
    status: Any = client.ask("work_order_status", work_order="one")
    assert (status["state"], status["attempts"]) == ("completed", 1)
    listed: Any = client.ask("list_work_orders", state="completed")
    assert [item["id"] for item in listed] == ["one"]


def test_the_same_id_with_other_content_is_refused(client: FrontDeskClient) -> None:
    assert client.send("add_later", id=3, wait=10, a=1).result == 2.0
    reply = client.send("add_later", id=3, wait=10, a=5)
    assert (reply.status, reply.code) == ("rejected", 13)
    assert client.send("add_later", id=3, wait=10, a=1).result == 2.0


def test_a_failure_has_its_code_and_an_unforeseen_one_a_reference(
    client: FrontDeskClient, caplog: pytest.LogCaptureFixture
) -> None:
    failed = client.send("fail", wait=10)
    assert (failed.status, failed.code) == ("failed", 300)
    assert failed.message == "The toy is broken; buy another."
    for reply in (client.send("crash", wait=10), client.send("crash_now")):
        assert (reply.status, reply.code) == ("failed", 1)
        assert "ZeroDivisionError" in reply.message
        reference = reply.message.split()[-1].rstrip(".")
        assert reference in caplog.text


def test_an_order_that_waits_can_be_cancelled_and_one_that_runs_stopped(
    client: FrontDeskClient,
) -> None:
    client.send("hold", id="running", wait=0)
    wait_until(lambda: state(client, "running") == "running", "the first order to begin")
    client.send("add_later", id="waiting", wait=0, a=1)
    for key in ("waiting", "running"):
        client.ask("cancel", work_order=key)
        assert wait_until(lambda key=key: state(client, key) == "cancelled", f"{key} to end")


def test_lanes_do_not_wait_for_one_another(client: FrontDeskClient) -> None:
    client.send("hold", id="a", wait=0)
    client.send("hold_again", id="b", wait=0)
    for key in ("a", "b"):
        assert wait_until(lambda key=key: state(client, key) == "running", f"{key} to begin")


def test_higher_priority_goes_first(daemon: Daemon, module: Module[Toy], tmp_path: Any) -> None:
    client = FrontDeskClient(daemon.url)
    path = str(tmp_path / "lines")
    client.send("hold", id="block", wait=0)
    wait_until(lambda: state(client, "block") == "running", "the lane to be busy")
    for text, priority in (("none", None), ("low", 1), ("high", 9), ("low again", 1)):
        client.send("write_line", id=text, priority=priority, wait=0, path=path, text=text)
    module.state.release.set()
    client.send("write_line", id="none", wait=10, path=path, text="none")
    assert Path(path).read_text().split("\n")[:-1] == ["high", "low", "low again", "none"]


def state(client: FrontDeskClient, key: str) -> Any:
    answer: Any = client.ask("work_order_status", work_order=key)
    return answer["state"]


def test_status_says_what_the_module_is(client: FrontDeskClient) -> None:
    status: Any = client.ask("status")
    assert status.keys() >= {"module", "status", "version", "since", "queue"}


def test_there_is_one_method_and_no_introspection(daemon: Daemon) -> None:
    for method in ("system.listMethods", "front_desk.__init__", "status"):
        body = xmlrpc.client.dumps(({},), method).encode()
        code, text = post(daemon.url, body)
        assert (code, fault_code(text)) == (200, 400)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content_Type": "application/json"}, 400),
        ({"Origin": "http://evil.example"}, 403),
        ({"Content_Encoding": "gzip"}, 400),
        ({"Transfer_Encoding": "chunked"}, 400),
        ({"Content_Length": "-1"}, 400),
        ({"Content_Length": str(1 << 30)}, 413),
    ],
)
def test_a_strange_request_gets_a_fault_before_it_is_parsed(
    daemon: Daemon, headers: dict[str, str], code: int
) -> None:
    body = xmlrpc.client.dumps(({"request": "status"},), "front_desk").encode()
    status, text = post(daemon.url, body, **headers)
    assert (status, fault_code(text)) == (200, code)


def test_who_asks_first_whether_to_send_is_told_to_go_on(daemon: Daemon) -> None:
    host, port = daemon.url.removeprefix("http://").split(":")
    body = xmlrpc.client.dumps(({"request": "status"},), "front_desk").encode()
    head = (
        f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/xml\r\n"
        f"Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), 10) as sock:
        sock.sendall(head.encode())
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert sock.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
    with socket.create_connection((host, int(port)), 10) as sock:
        sock.sendall(head.replace("text/xml", "text/html").encode())
        assert sock.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n"), "refused, and not asked for it"


def test_garbage_is_malformed_and_the_next_call_is_answered(daemon: Daemon) -> None:
    for body in (b"", b"<", b"\x00" * 100, b"<methodCall/>", b"<?xml version='1.0'?><a/>"):
        assert fault_code(post(daemon.url, body)[1]) == 400
    assert call(daemon.url, {"request": "add", "a": 1})["result"] == 2


def test_one_connection_serves_many_calls_and_does_not_keep_others_out(daemon: Daemon) -> None:
    host, port = daemon.url.removeprefix("http://").split(":")
    connections = [http.client.HTTPConnection(host, int(port), timeout=10) for _ in range(4)]
    body = xmlrpc.client.dumps(({"request": "add", "a": 1},), "front_desk").encode()
    for _ in range(3):
        for connection in connections:
            connection.request("POST", "/", body, {"Content-Type": "text/xml"})
            assert b"<double>2.0</double>" in connection.getresponse().read()
    for connection in connections:
        connection.close()


def test_a_port_in_use_and_an_open_port_are_refused(daemon: Daemon) -> None:
    port = int(daemon.url.rsplit(":", 1)[1])
    with pytest.raises(AddressInUse, match="Another process listens"):
        FrontDeskServer(("127.0.0.1", port), lambda _struct: {})
    with pytest.raises(ConfigurationError, match="there is no 'access'"):
        FrontDeskServer(("0.0.0.0", 0), lambda _struct: {})  # noqa: S104 - what is refused


def test_the_client_says_who_cannot_be_reached_and_what_was_refused(daemon: Daemon) -> None:
    daemon_client = FrontDeskClient(daemon.url)
    with pytest.raises(PeerRefused, match=r"did you mean 'status'.*code 11"):
        daemon_client.ask("statu")
    with pytest.raises(PeerUnreachable, match="connection refused"):
        FrontDeskClient("http://127.0.0.1:1").ask("status")


@pytest.mark.parametrize("begins", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n<a>"])
def test_an_answer_that_trickles_is_not_waited_for(begins: bytes) -> None:
    gone = threading.Event()

    class Trickler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.close_connection = True
            try:
                self.wfile.write(begins)
                for _ in range(80):  # short of what http.client takes of headers
                    self.wfile.write(b"X: y\r\n")
                    if gone.wait(0.1):
                        break
            except OSError:
                gone.set()  # for good: the client has closed

    with serving(Trickler) as url:
        with pytest.raises(PeerTimeout, match="in time"):
            FrontDeskClient(url, timeout_s=0.5).ask("status", wait=0)
        assert gone.wait(20)


def test_parallel_clients_with_one_id_get_one_answer(daemon: Daemon, tmp_path: Any) -> None:
    path = str(tmp_path / "lines")
    replies: list[Any] = []

    def send() -> None:
        client = FrontDeskClient(daemon.url)
        replies.append(client.send("write_line", id="x", wait=10, path=path, text="once"))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [reply.result for reply in replies] == ["once"] * 8
    assert Path(path).read_text() == "once\n"
