"""Who is let in: tokens, permissions, TLS, and doors that refuse to stand open."""

from __future__ import annotations

import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from sqlalchemy.orm import Session, sessionmaker

from tests.support.toy import build
from tests.support.waiting import wait_until
from toros.common.access import Access, hash_of, new_token
from toros.common.certificate_watch import CertificateWatch, end_of
from toros.common.certificates import Issued, issue
from toros.common.client import FrontDeskClient
from toros.common.clock import Clock
from toros.common.config import Config, parse_config
from toros.common.config.models import Tls
from toros.common.daemon import Daemon
from toros.common.errors import (
    ConfigurationError,
    Forbidden,
    NotAuthenticated,
    PeerRefused,
    PeerUnreachable,
)
from toros.common.module import Context
from toros.common.tls import server_context

Serve = Callable[[Config], Daemon]


@pytest.fixture
def serve(sessions: sessionmaker[Session]) -> Iterator[Serve]:
    daemons: list[Daemon] = []

    def start(config: Config, host: str = "127.0.0.1") -> Daemon:
        context = Context(config, Clock(), sessions)
        daemon = Daemon(build(context), context, (host, 0))
        daemons.append(daemon)
        daemon.start()
        return daemon

    yield start
    for daemon in daemons:
        daemon.stop()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    folder = tmp_path_factory.mktemp("tls")
    return issue(folder, ["localhost", "127.0.0.1"], Clock().now())


def guarded(tls: str = "") -> tuple[Config, str]:
    token = new_token()
    text = f"""
    access:
      - {{user: robot, token: "{hash_of(token)}", may: ["*"]}}
      - {{user: guest, token: guest-token, may: [Status, work_order_status]}}
    {tls}
    """
    return parse_config(text), token


def at(url: str, user: str, token: str) -> FrontDeskClient:
    return FrontDeskClient(url.replace("://", f"://{user}:{token}@"))


def test_the_right_token_is_let_in_and_names_the_user(serve: Serve) -> None:
    config, token = guarded()
    robot = at(serve(config).url, "robot", token)
    reply = robot.send("add_later", id="one", wait=10, a=1)
    assert (reply.status, reply.result) == ("completed", 2.0)
    answer = robot.ask("work_order_status", work_order="one")
    assert isinstance(answer, dict)
    assert answer["user"] == "robot"


def test_an_order_in_another_s_name_is_rejected(serve: Serve) -> None:
    config, token = guarded()
    reply = at(serve(config).url, "robot", token).send("add", user="guest", a=1)
    assert (reply.status, reply.code) == ("rejected", 12)
    assert "says 'guest', but you are 'robot'" in reply.message


@pytest.mark.parametrize(
    ("user", "token"), [("robot", "wrong"), ("nobody", "guest-token"), ("guest", ""), ("", "")]
)
def test_a_wrong_token_or_user_is_fault_401(serve: Serve, user: str, token: str) -> None:
    config, _ = guarded()
    with pytest.raises(PeerRefused, match=r"\(401\)"):
        at(serve(config).url, user, token).ask("status")


def test_no_token_is_fault_401_and_the_hash_is_not_the_token(serve: Serve) -> None:
    config, token = guarded()
    url = serve(config).url
    with pytest.raises(PeerRefused, match=r"Say who you are.*\(401\)"):
        FrontDeskClient(url).ask("status")
    with pytest.raises(PeerRefused, match=r"\(401\)"):
        at(url, "robot", hash_of(token)).ask("status")


def test_permissions_are_per_request(serve: Serve) -> None:
    config, _ = guarded()
    guest = at(serve(config).url, "guest", "guest-token")
    guest.ask("status")
    for request in ("add", "add_later", "cancel"):
        with pytest.raises(PeerRefused, match=rf"guest may not send '{request}'.*\(403\)"):
            guest.send(request, a=1)


def test_a_permission_may_use_any_name_of_a_request() -> None:
    text = "access: [{user: guest, token: guest-token, may: [ParkPostion]}]"
    [grant] = parse_config(text).access
    caller = Access([grant]).authenticate("Basic Z3Vlc3Q6Z3Vlc3QtdG9rZW4=")
    caller.require("park_position", "ParkPostion")
    with pytest.raises(Forbidden, match="guest may not send 'open_dome'"):
        caller.require("open_dome")


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !!!", "Bearer abc", "Basic cm9ib3Q=", "Basic " + "A" * 5000]
)
def test_a_strange_header_is_refused(header: str) -> None:
    config, _ = guarded()
    with pytest.raises(NotAuthenticated):
        Access(config.access).authenticate(header)


def test_tls_with_a_private_authority(serve: Serve, certificates: Issued) -> None:
    text = f"tls: {{certificate: {certificates.certificate}, key: {certificates.key}}}"
    config, token = guarded(text)
    daemon = serve(config)
    assert daemon.url.startswith("https://")
    url = daemon.url.replace("://", f"://robot:{token}@")
    assert FrontDeskClient(url, authority=certificates.authority).ask("add", a=1) == 2.0
    with pytest.raises(PeerUnreachable, match="certificate verify failed"):
        FrontDeskClient(url).ask("status")
    with pytest.raises(PeerUnreachable):
        FrontDeskClient(url.replace("https", "http"), timeout_s=2).ask("status", wait=0)


@pytest.mark.parametrize(
    ("name", "days", "why"),
    [
        ("127.0.0.1", -1000.0, "certificate has expired"),
        ("127.0.0.1", 2.0, "certificate is not yet valid"),
        ("dome.example.org", 0.0, "not valid for '127.0.0.1'"),
    ],
)
def test_a_client_says_what_is_wrong_with_a_certificate(
    serve: Serve, tmp_path: Path, name: str, days: float, why: str
) -> None:
    issued = issue(tmp_path, [name], Clock().now() + timedelta(days=days))
    config, token = guarded(f"tls: {{certificate: {issued.certificate}, key: {issued.key}}}")
    url = serve(config).url.replace("://", f"://robot:{token}@")
    with pytest.raises(PeerUnreachable, match=why) as caught:
        FrontDeskClient(url, authority=issued.authority).ask("status", wait=0)
    assert token not in caught.value.message


def test_the_admins_are_told_before_a_certificate_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    issued = issue(tmp_path, ["127.0.0.1"], Clock().now())
    end = end_of(issued.certificate)
    clock = Clock.simulated(end - timedelta(days=31), 1.0)
    watch = CertificateWatch(issued.certificate, clock)
    told = []
    for _ in range(34):
        watch.look()
        told.append(len(caplog.messages))
        caplog.clear()
        object.__setattr__(clock, "start", clock.start + 86400.0)
    assert [day for day, count in enumerate(told) if count] == [1, 17, 24, 28, 30, 31]
    assert set(told) == {0, 1}


def test_a_module_with_a_certificate_that_ends_soon_says_so(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    issued = issue(tmp_path, ["127.0.0.1"], Clock().now() - timedelta(days=720))
    config, _ = guarded(f"tls: {{certificate: {issued.certificate}, key: {issued.key}}}")
    serve(config)
    wait_until(lambda: "ends on" in caplog.text, "the warning")
    (record,) = [each for each in caplog.records if "ends on" in each.message]
    assert record.levelname == "ERROR"  # which mails the admins


def test_stuck_handshakes_keep_nobody_out(serve: Serve, certificates: Issued) -> None:
    text = f"tls: {{certificate: {certificates.certificate}, key: {certificates.key}}}"
    config, token = guarded(text)
    daemon = serve(config)
    host, port = daemon.url.removeprefix("https://").split(":")
    hello = b"\x16\x03\x01\x02\x00\x01"  # how a handshake begins
    url = daemon.url.replace("://", f"://robot:{token}@")
    client = FrontDeskClient(url, timeout_s=5, authority=certificates.authority)
    with ExitStack() as stack:
        for number in range(200):
            # From addresses of their own: more than there are places, and none gets on.
            origin = (f"127.9.{number // 8}.1", 0)
            sock = stack.enter_context(socket.create_connection((host, int(port)), 10, origin))
            sock.sendall(hello)
        assert client.ask("add", a=1) == 2.0


def test_older_tls_is_refused(serve: Serve, certificates: Issued) -> None:
    text = f"tls: {{certificate: {certificates.certificate}, key: {certificates.key}}}"
    config, _ = guarded(text)
    host, port = serve(config).url.removeprefix("https://").split(":")
    context = ssl.create_default_context(cafile=certificates.authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection((host, int(port)), timeout=10) as sock,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(sock, server_hostname="localhost")


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(
    certificates: Issued, tmp_path: Path
) -> None:
    key = serialization.load_pem_private_key(certificates.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"swordfish"),
        )
    )
    with pytest.raises(ConfigurationError, match="passphrase"):
        server_context(Tls(certificate=certificates.certificate, key=locked))


def test_a_node_s_own_credentials_are_used_between_modules(serve: Serve) -> None:
    config, token = guarded()
    url = serve(config).url
    own = parse_config(f"credentials: {{user: robot, token: {token}}}")
    assert FrontDeskClient.to(own, url).ask("add", a=1) == 2.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no 'access'"),
        ("access: [{user: a, token: b}]", "tokens would be sent in the clear"),
        ("tls: {certificate: /no/such, key: /no/such}", "cannot be used"),
        ("tls: {certificate: /no/such}", "go together"),
    ],
)
def test_an_open_door_is_not_opened(
    sessions: sessionmaker[Session], text: str, message: str
) -> None:
    context = Context(parse_config(text), Clock(), sessions)
    with pytest.raises(ConfigurationError, match=message):
        Daemon(build(context), context, ("0.0.0.0", 0))  # noqa: S104 - what is refused


def test_plaintext_is_served_beyond_loopback_only_when_it_is_said(serve: Serve) -> None:
    config, token = guarded("tls: {allow_plaintext: true}")
    daemon = serve(config, "0.0.0.0")  # type: ignore[call-arg]  # noqa: S104
    url = daemon.url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
    assert at(url, "robot", token).ask("add", a=1) == 2.0


def test_networks_that_are_not_allowed_get_no_answer(serve: Serve) -> None:
    config = parse_config("front_desk: {networks: [10.0.0.0/8]}")
    with pytest.raises(PeerUnreachable):
        FrontDeskClient(serve(config).url, timeout_s=5).ask("status", wait=0)


def test_certificates_are_valid_for_their_names_and_keys_are_private(
    tmp_path: Path, certificates: Issued
) -> None:
    first = issue(tmp_path, ["a.example"], datetime(2026, 1, 1, tzinfo=UTC))
    second = issue(tmp_path, ["b.example"], datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=9))
    assert first.authority == second.authority
    for key in (first.key, second.key, tmp_path / "ca.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    context = ssl.create_default_context(cafile=first.authority)
    assert len(context.get_ca_certs()) == 1


def test_the_command_shows_a_token_once_and_keeps_its_hash(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "toros", "access", "add", "robot", "--may", "*"]
    done = subprocess.run(
        [*command, "--folder", str(tmp_path)], capture_output=True, text=True, check=True
    )
    token = done.stdout.splitlines()[2].strip()
    kept = tmp_path / "robot"
    assert kept.read_text().strip() == hash_of(token)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    section = done.stdout[done.stdout.index("access:") :].split("\n\n")[0]
    grants = Access(parse_config(section).access)
    import base64

    header = "Basic " + base64.b64encode(f"robot:{token}".encode()).decode()
    assert grants.authenticate(header).name == "robot"


def test_what_the_commands_print_for_the_configuration_has_whole_paths(tmp_path: Path) -> None:
    toros = [sys.executable, "-m", "toros", "access"]
    for arguments, path in (
        (["add", "robot", "--folder", "tokens"], "tokens/robot"),
        (["certificate", "node.example", "--folder", "tls"], "tls/node.example.pem"),
    ):
        done = subprocess.run(
            [*toros, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert f": {tmp_path / path}" in done.stdout
        assert (tmp_path / path).is_file()
