"""What the configuration can say, with its defaults: the node, its services, its devices."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, IPvAnyNetwork, SecretStr, model_validator

from toros.common.clock import Clock
from toros.common.config.dome import DomeSettings
from toros.common.config.lvcgcn import LvcgcnSettings
from toros.common.config.preprocessor import PreprocessorSettings
from toros.common.config.section import Section
from toros.common.config.simulator import SimulatorSettings
from toros.common.config.telescope import TelescopeSettings
from toros.common.nearest import nearest
from toros.common.request_names import canonical, known_requests
from toros.common.work_order import UtcTime

DEFAULT_PORTS = {
    "preprocessor": 8080,
    "dome": 8081,
    "telescope": 8082,
    "lvcgcn": 8083,
    "file_ingestor": 8084,
    "calib_service": 8085,
    "quality_monitor": 8086,
    "web": 8090,
    "simulator": 11111,
}


def _is_http(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not an address like http://127.0.0.1:8080")
    return url.rstrip("/")


def _is_module(name: str) -> str:
    if name not in DEFAULT_PORTS:
        raise ValueError(f"unknown module{nearest(name, DEFAULT_PORTS)}")
    return name


def _is_request(name: str) -> str:
    known = known_requests()
    if name != "*" and canonical(name) not in map(canonical, known):
        raise ValueError(f"unknown request{nearest(name, known)}")
    return name


def _is_database(url: str) -> str:
    backend = urlsplit(url).scheme.partition("+")[0]
    if backend not in ("sqlite", "postgresql"):
        raise ValueError(
            "this is no address of a database like sqlite:////var/lib/toros/toros.db or "
            "postgresql+psycopg://user@host/toros"
        )
    return url


HttpUrl = Annotated[str, AfterValidator(_is_http)]
DatabaseUrl = Annotated[str, AfterValidator(_is_database)]
RequestName = Annotated[str, AfterValidator(_is_request)]
ModuleName = Annotated[str, AfterValidator(_is_module)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Site(Section):
    """Where the observatory stands."""

    name: str = Field("Cordon Macon", description="Name of the site.")
    latitude: float = Field(-24.6226, ge=-90, le=90, description="Degrees, north positive.")
    longitude: float = Field(-67.3218, ge=-180, le=360, description="Degrees, east positive.")
    elevation: float = Field(4650.0, ge=-500, le=9000, description="Metres above the sea.")


class Service(Section):
    """Where a module listens: `http`, or `ip` and `port`."""

    http: HttpUrl | None = Field(None, description="Address as a URL.")
    ip: str | None = Field(None, description="Address as an IP; with `port`.")
    port: Port | None = Field(None, description="TCP port; with `ip`.")
    threads: int = Field(2, ge=1, le=64, description="Threads for the module's own work.")

    @model_validator(mode="after")
    def _one_address(self) -> Service:
        if self.http is None and self.port is None:
            raise ValueError("an address is needed: http, or ip and port")
        if self.http and self.port is not None and self.port != self.port_of_url:
            raise ValueError(f"http says port {self.port_of_url}, port says {self.port}")
        return self

    @property
    def port_of_url(self) -> int | None:
        """The port that `http` names or implies."""
        if self.http is None:
            return None
        parts = urlsplit(self.http)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def host(self) -> str:
        """The host to listen at or to call."""
        return self.ip or (urlsplit(self.http).hostname if self.http else None) or "127.0.0.1"

    @property
    def listening_port(self) -> int:
        """The port to listen at or to call."""
        found = self.port if self.port is not None else self.port_of_url
        return 0 if found is None else found


class Logging(Section):
    """Where the log goes."""

    file: Path | None = Field(
        Path("/etc/toros/logs/toros.log"), description="Rotated daily; null: standard error only."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="The least level that is written."
    )
    format: Literal["plain", "json"] = Field("plain", description="One line per event, in both.")
    keep_days: int = Field(30, ge=1, description="How many rotated files are kept.")


class Database(Section):
    """The database of the journal and the archive."""

    url: DatabaseUrl = Field(
        "sqlite:////var/lib/toros/toros.db", description="An SQLAlchemy address; SQLite by default."
    )


class Grant(Section):
    """Who may send which work orders."""

    user: str = Field(min_length=1, pattern="^[^:]+$", description="Name of the user.")
    token: SecretStr = Field(description="Token or its hash; or token_file.")
    may: list[RequestName] = Field(["status"], description="Names of requests, or '*'.")


class Tls(Section):
    """Certificates of the front desks."""

    certificate: Path | None = Field(None, description="Certificate of this node, PEM.")
    key: Path | None = Field(None, description="Its private key, PEM.")
    ca: Path | None = Field(None, description="Authority that other nodes' certificates are of.")
    allow_plaintext: bool = Field(
        False, description="Serve other machines without TLS: tokens are then sent in the clear."
    )


class FrontDeskSettings(Section):
    """Limits of every front desk."""

    connections: int = Field(64, ge=1, le=1024, description="Most connections at a time.")
    connections_per_peer: int = Field(
        8, ge=1, le=1024, description="Most connections at a time from one address."
    )
    turned_away_s: float = Field(
        10.0,
        ge=0,
        le=3600,
        description="How long an address is turned away that sends too much that cannot be read; "
        "0: never.",
    )
    networks: list[IPvAnyNetwork] = Field(
        [], description="Networks that connections are taken from, as 10.0.0.0/8; empty: all."
    )
    hosts: list[str] = Field(
        [], description="Names by which clients call this node, beside its addresses."
    )


class Credentials(Section):
    """With which this node's modules send orders to front desks that ask who they are."""

    user: str
    token: SecretStr = Field(description="Or token_file.")


class Email(Section):
    """How mail is sent. Without `smtp_host` none is."""

    smtp_host: str | None = Field(None, description="The mail server; null: no mail.")
    smtp_port: Port = Field(587, description="Its port.")
    starttls: bool = Field(True, description="Whether the connection turns to TLS.")
    username: str | None = Field(None, description="Login; null: none.")
    password: SecretStr | None = Field(None, description="Its password; or password_file.")
    sender: str = Field("toros@localhost", description="From whom mail comes.")
    ca: Path | None = Field(
        None, description="Authority of the mail server's certificate; null: the system's."
    )
    admins: list[str] = Field([], description="Who gets the errors.")
    recipients: list[str] = Field([], description="Who gets news of alerts and nights.")
    webhooks: list[SecretStr] = Field(
        [], description="Slack and others, as Apprise addresses; they get all that is mailed."
    )
    outbox: Path = Field(
        Path("/var/lib/toros/outbox"), description="Where messages wait until they are sent."
    )
    burst: int = Field(
        5, ge=1, description="Errors within `window_s` that are mailed one by one; then a digest."
    )
    window_s: float = Field(600.0, gt=0, description="Seconds; see `burst`.")


class Device(Section):
    """One device on an ASCOM Alpaca server."""

    alpaca: HttpUrl = Field(description="Address of the Alpaca server.")
    number: int = Field(0, ge=0, description="Device number.")


class Devices(Section):
    """The devices of the observatory; what is left out is found by discovery."""

    mount: Device | None = None
    dome: Device | None = None
    camera: Device | None = None
    filter_wheel: Device | None = None
    focuser: Device | None = None
    safety_monitor: list[Device] = Field([], description="All must say safe.")
    weather: list[Device] = Field([], description="Observing conditions.")


class Data(Section):
    """Where the files are."""

    raw: Path = Field(Path("/data/raw"), description="Raw frames, one folder a night.")
    products: Path = Field(Path("/data/products"), description="Masters and calibrated images.")
    allowed_sources: list[str] = Field(
        [], description="Folders and sites that file batches may come from, beside `raw`."
    )

    @model_validator(mode="after")
    def _apart(self) -> Data:
        """Refuse products among raw files, which are never modified, also by way of a link."""
        raw, products = (Path(os.path.realpath(each)) for each in (self.raw, self.products))
        if raw == products or raw in products.parents or products in raw.parents:
            raise ValueError(
                "raw and products are two folders, neither within the other "
                f"(given: {self.raw} and {self.products})"
            )
        return self


class Location(Section):
    """Where another observatory stands."""

    lon: float = Field(ge=-180, le=360, description="Degrees, east positive.")
    lat: float = Field(ge=-90, le=90, description="Degrees, north positive.")
    height: float = Field(0.0, description="Metres above the sea.")


class Observatory(Section):
    """An observatory that alerts are relayed to."""

    name: str
    telescope: HttpUrl = Field(description="Front desk of its telescope module.")
    location: Location


class ClockSettings(Section):
    """A simulated clock; without `start` the time is the machine's."""

    start: UtcTime | None = Field(None, description="Observatory time at the moment `anchor`.")
    anchor: float | None = Field(None, description="Machine time in unix seconds.")
    rate: float = Field(1.0, gt=0, le=1000, description="Observatory seconds per machine second.")

    @model_validator(mode="after")
    def _whole(self) -> ClockSettings:
        if (self.start is None) != (self.anchor is None):
            raise ValueError("start and anchor go together")
        return self


def _each_has_its_own(services: dict[str, Service]) -> dict[str, Service]:
    """Refuse two modules at one address: the second could not start."""
    taken: dict[tuple[str, int], str] = {}
    for name, service in services.items():
        address = (service.host, service.listening_port)
        if address[1] and taken.setdefault(address, name) != name:
            raise ValueError(
                f"{taken[address]} and {name} have the same address, {address[0]}:{address[1]}"
            )
    return services


def _each_user_once(grants: list[Grant]) -> list[Grant]:
    """Refuse two entries of one user: only one of the two tokens would be let in."""
    users = [grant.user for grant in grants]
    for user in users:
        if users.count(user) > 1:
            raise ValueError(f"the user {user} is there twice")
    return grants


def _normal(name: str) -> str:
    return name.replace("-", "_")


class Config(Section):
    """The configuration of a node."""

    node: str = Field("macon", description="Name of this machine in logs and mails.")
    site: Site = Site()
    services: Annotated[dict[ModuleName, Service], AfterValidator(_each_has_its_own)] = Field(
        {}, description="The modules of this node."
    )
    logging: Logging = Logging()
    database: Database = Database()
    access: Annotated[list[Grant], AfterValidator(_each_user_once)] = Field(
        [], description="Who may send orders; empty: loopback only."
    )
    tls: Tls = Tls()
    front_desk: FrontDeskSettings = FrontDeskSettings()
    credentials: Credentials | None = Field(
        None, description="User and token that this node's modules send orders with."
    )
    email: Email = Email()
    devices: Devices = Devices()
    data: Data = Data()
    observatories: list[Observatory] = Field([], description="Where alerts are relayed to.")
    clock: ClockSettings = ClockSettings()
    telescope: TelescopeSettings = TelescopeSettings()
    dome: DomeSettings = DomeSettings()
    preprocessor: PreprocessorSettings = PreprocessorSettings()
    lvcgcn: LvcgcnSettings = LvcgcnSettings()
    simulator: SimulatorSettings = SimulatorSettings()

    def service(self, module: str) -> Service:
        """Return where `module` listens: as configured, else its default port on loopback."""
        name = _normal(module)
        return self.services.get(name) or Service(ip="127.0.0.1", port=DEFAULT_PORTS[name])

    def url_of(self, module: str) -> str:
        """Return the address at which clients call `module`."""
        service = self.service(module)
        scheme = "https" if self.tls.certificate else "http"
        return service.http or f"{scheme}://{service.host}:{service.listening_port}"

    def make_clock(self) -> Clock:
        """Return the clock that every process of this configuration shares."""
        if self.clock.start is None or self.clock.anchor is None:
            return Clock()
        start: datetime = self.clock.start
        return Clock(start.timestamp(), self.clock.anchor, self.clock.rate)
