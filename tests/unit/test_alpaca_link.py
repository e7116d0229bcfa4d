"""The link to a device over real HTTP, with servers that misbehave on purpose."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from toros.alpaca import Measurement, locate, open_dome, open_weather
from toros.alpaca.answers import is_not_implemented
from toros.alpaca.http import Http, Limits
from toros.alpaca.link import Link
from toros.alpaca.locate import locator
from toros.alpaca.waiting import initiate, wait_until
from toros.common.clock import Clock
from toros.common.config import Device
from toros.common.config.models import Devices
from toros.common.errors import (
    Cancelled,
    DeviceError,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnreachable,
)

QUICK = Limits(connect_s=1, read_s=0.5, write_s=0.5, device_connect_s=1, image_s=1, pause_s=0.01)


class Server(ThreadingHTTPServer):
    """A wire-level stand-in for a foreign Alpaca server, whose members are set by the test."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.values: dict[str, object] = {"connected": False, "interfaceversion": 1}
        self.odd: dict[str, Callable[[BaseHTTPRequestHandler], bool]] = {}
        self.seen: list[tuple[str, str]] = []
        self.release = threading.Event()
        self.devices: list[dict[str, object]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        del args

    def do_GET(self) -> None:
        member = urlsplit(self.path).path.rsplit("/", 1)[-1]
        self.server.seen.append(("GET", member))
        odd = self.server.odd.get(member)
        if odd and odd(self):
            return
        if member == "configureddevices":
            self.answer({"Value": self.server.devices})
        elif member in self.server.values:
            self.answer({"Value": self.server.values[member]})
        else:
            self.answer({"ErrorNumber": 0x400, "ErrorMessage": f"no {member}"})

    def do_PUT(self) -> None:
        member = urlsplit(self.path).path.rsplit("/", 1)[-1]
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.seen.append(("PUT", member))
        odd = self.server.odd.get(f"put {member}")
        if odd and odd(self):
            return
        if member == "connect" or (member == "connected" and form["Connected"] == ["True"]):
            self.server.values["connected"] = True
        self.answer({})

    def answer(self, fields: dict[str, object], status: int = 200) -> None:
        whole = {"ErrorNumber": 0, "ErrorMessage": "", "ServerTransactionID": 1, **fields}
        body = json.dumps(whole).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.release.set()
    found.shutdown()
    thread.join()
    found.server_close()


def _link(server: Server, kind: str = "focuser", number: int | None = 0) -> Link:
    given = {} if number is None else {"number": number}
    return Link(kind, locator(kind, Device(alpaca=server.url, **given)), QUICK)


def _drop(handler: BaseHTTPRequestHandler) -> bool:
    handler.close_connection = True
    return True


def _hang(handler: BaseHTTPRequestHandler) -> bool:
    handler.server.release.wait(20)
    handler.close_connection = True
    return True


def test_platform_6_connects_by_the_property(server: Server) -> None:
    server.values["position"] = 5
    link = _link(server)
    assert link.get("position") == 5
    assert ("PUT", "connected") in server.seen
    assert ("PUT", "connect") not in server.seen
    link.get("position")
    assert server.seen.count(("PUT", "connected")) == 1
    link.close()


def test_platform_7_connects_by_the_method_and_waits(server: Server) -> None:
    server.values |= {"position": 5, "interfaceversion": 4, "connecting": True}

    def connecting(handler: BaseHTTPRequestHandler) -> bool:
        server.values["connecting"] = server.seen.count(("GET", "connecting")) < 3
        return False

    server.odd["connecting"] = connecting
    assert _link(server).get("position") == 5
    assert server.seen.count(("GET", "connecting")) == 3


def test_a_device_that_lost_its_connection_is_connected_again(server: Server) -> None:
    server.values |= {"connected": True, "position": 5}

    def gone(handler: _Handler) -> bool:
        if server.seen.count(("PUT", "connected")) == 0:
            server.values["connected"] = False
            handler.answer({"ErrorNumber": 0x407, "ErrorMessage": "not connected"})
            return True
        return False

    server.odd["position"] = gone
    assert _link(server).get("position") == 5


def test_a_read_is_repeated_after_a_dropped_connection(server: Server) -> None:
    server.values |= {"connected": True, "position": 5}
    server.odd["position"] = lambda handler: (
        server.seen.count(("GET", "position")) < 3 and _drop(handler)
    )
    assert _link(server).get("position") == 5


def test_a_write_is_never_repeated(server: Server) -> None:
    server.values |= {"connected": True}
    server.odd["put move"] = _drop
    with pytest.raises(DeviceUnreachable):
        _link(server).put("move", Position=3)
    assert server.seen.count(("PUT", "move")) == 1


def test_a_hung_device_costs_one_timeout_and_blocks_no_other(server: Server) -> None:
    server.values |= {"connected": True, "position": 5}
    server.odd["temperature"] = _hang
    link = _link(server)
    failed: list[BaseException] = []

    def read() -> None:
        try:
            link.get("temperature")
        except DeviceTimeout as error:
            failed.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    assert link.get("position") == 5
    thread.join()
    assert len(failed) == 1
    assert server.seen.count(("GET", "temperature")) == 1


def test_a_trickling_answer_is_cut_off(server: Server) -> None:
    server.values["connected"] = True

    def trickle(handler: BaseHTTPRequestHandler) -> bool:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        while not server.release.wait(0.05):
            try:
                handler.wfile.write(b" ")
                handler.wfile.flush()
            except OSError:
                break
        return True

    server.odd["position"] = trickle
    with pytest.raises(DeviceTimeout):
        _link(server).get("position")


@pytest.mark.parametrize("ask", ["get", "put", "image"])
@pytest.mark.parametrize("what", ["status line", "headers", "interim answers", "chunk size"])
def test_an_answer_that_trickles_before_its_body_is_cut_off(
    server: Server, what: str, ask: str
) -> None:
    server.values["connected"] = True
    before = {
        "status line": (b"", b"H"),
        "headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        "chunk size": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    }[what]
    left = threading.Event()  # for good: the client has closed

    def trickle(handler: BaseHTTPRequestHandler) -> bool:
        first, then = before
        handler.close_connection = True
        try:
            handler.wfile.write(first)
            # Long enough for any limit here, and short of what http.client takes of headers.
            for _ in range(80):
                handler.wfile.write(then)
                handler.wfile.flush()
                if server.release.wait(0.1):
                    break
        except OSError:
            left.set()
        return True

    server.odd |= {"position": trickle, "put position": trickle, "imagearray": trickle}
    link = _link(server)
    calls: dict[str, Callable[[], object]] = {
        "get": lambda: link.get("position"),
        "put": lambda: link.put("position"),
        "image": link.image,
    }
    with pytest.raises(DeviceTimeout):
        calls[ask]()
    assert left.wait(20)


def test_refusals_keep_their_number(server: Server) -> None:
    server.values["connected"] = True
    with pytest.raises(DeviceRefused, match="0x400") as caught:
        _link(server).get("tempcomp")
    assert is_not_implemented(caught.value)

    server.odd["position"] = lambda handler: handler.answer({}, 422) or True
    with pytest.raises(DeviceRefused, match="422") as caught:
        _link(server).get("position")
    assert not is_not_implemented(caught.value)
    assert server.seen.count(("GET", "position")) == 1


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b'{"ErrorNumber": "x"}', b'{"ErrorNumber": Infinity}']
)
def test_nonsense_is_a_device_error(server: Server, body: bytes) -> None:
    server.values["connected"] = True

    def nonsense(handler: BaseHTTPRequestHandler) -> bool:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        return True

    server.odd["position"] = nonsense
    with pytest.raises(DeviceError):
        _link(server).get("position")


def test_the_device_number_comes_from_the_server(server: Server) -> None:
    server.values |= {"connected": True, "position": 5}
    server.devices = [
        {"DeviceType": "FOCUSER", "DeviceNumber": 3},
        {"DeviceType": "Dome", "DeviceNumber": 0},
    ]
    assert locator("focuser", Device(alpaca=server.url))(_link(server)._http).endswith("/focuser/3")
    assert _link(server, number=None).get("position") == 5
    with pytest.raises(DeviceUnreachable, match="has no camera number 0"):
        _link(server, "camera", number=None).get("cameraxsize")


def test_nobody_at_the_address() -> None:
    with pytest.raises(DeviceUnreachable, match="cannot be reached"):
        Link("dome", locator("dome", Device(alpaca="http://127.0.0.1:9", number=0)), QUICK).get(
            "azimuth"
        )


def test_waiting_bears_a_few_failed_reads_and_can_be_cancelled() -> None:
    clock = Clock.simulated(datetime(2017, 8, 18, tzinfo=UTC), 100.0)
    answers = iter([DeviceTimeout("late"), False, DeviceUnreachable("gone"), True])

    def done() -> bool:
        value = next(answers)
        if isinstance(value, DeviceError):
            raise value
        return value

    wait_until(done, clock=clock, timeout_s=1000, what="the test")
    with pytest.raises(StopIteration):
        next(answers)

    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled, match="the test"):
        wait_until(lambda: False, clock=clock, timeout_s=1, what="the test", cancelled=cancelled)


def test_a_command_that_times_out_is_left_to_the_reading(caplog: pytest.LogCaptureFixture) -> None:
    def late() -> None:
        raise DeviceTimeout("no answer.")

    initiate(late, "park")
    assert "no answer" in caplog.text


def test_what_no_database_can_hold_is_not_in_a_message(server: Server) -> None:
    server.values["connected"] = True
    text = "broken\x00 \ud800 wire"
    server.odd["position"] = lambda handler: (
        handler.answer({"ErrorNumber": 0x500, "ErrorMessage": text}) or True
    )
    with pytest.raises(DeviceRefused, match="broken\ufffd \ufffd wire"):
        _link(server).get("position")


@pytest.mark.parametrize("value", [True, False, None, "1", 1.0, 9])
def test_a_shutter_is_closed_only_if_its_number_says_so(server: Server, value: object) -> None:
    server.values |= {"connected": True, "shutterstatus": value}
    device = Device(alpaca=server.url, number=0)
    with open_dome(device, Clock(), QUICK) as dome:
        assert dome.shutter() == "unknown"


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        ({"Value": 3.0}, Measurement(0.0, 3.0)),
        # By the specification: "no valid value ever received".
        ({"Value": -1.0}, Measurement(None, None)),
        ({"ErrorNumber": 0x402, "ErrorMessage": "no value yet"}, Measurement(None, None)),
        ({"ErrorNumber": 0x400, "ErrorMessage": "no ages here"}, Measurement(0.0, None)),
    ],
)
def test_a_sensor_that_never_measured_has_no_value(
    server: Server, age: dict[str, object], expected: Measurement
) -> None:
    server.values |= {"connected": True, "rainrate": 0.0}
    server.odd["timesincelastupdate"] = lambda handler: handler.answer(age) or True
    device = Device(alpaca=server.url, number=0)
    with open_weather(device, Clock(), QUICK) as weather:
        assert weather.measure(["rain_rate_mm_h"]) == {"rain_rate_mm_h": expected}


def test_an_image_whose_length_is_nonsense_is_read_to_its_end(server: Server) -> None:
    server.values["connected"] = True

    def odd(handler: BaseHTTPRequestHandler) -> bool:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", "some")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(b"{}")
        handler.close_connection = True
        return True

    server.odd["imagearray"] = odd
    assert _link(server, "camera").image()[1].tobytes() == b"{}"


@pytest.mark.parametrize("kind", ["telescope", "filterwheel", "safetymonitor", "camera"])
@pytest.mark.parametrize("answering", [0, 2])
def test_a_device_that_is_not_found_is_called_by_its_key(
    monkeypatch: pytest.MonkeyPatch, server: Server, kind: str, answering: int
) -> None:
    server.devices = [
        {"DeviceType": kind, "DeviceNumber": number, "UniqueID": f"u{number}"}
        for number in range(answering)
    ]
    monkeypatch.setattr(locate, "search", lambda: [server.url.removeprefix("http://")])
    with pytest.raises(DeviceUnreachable) as caught:
        locator(kind, None)(Http(QUICK))
    said = re.fullmatch(r"no (\w+) is configured .* as devices\.(\w+)\.", str(caught.value))
    assert said is not None
    assert said[1] == said[2]
    assert said[1] in Devices.model_fields
