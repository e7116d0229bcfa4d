"""Where notices come from, and who is told of them: parts of the lvcgcn module's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator

from toros.common.config.section import Section


class KafkaSource(Section):
    """A Kafka broker: GCN's by default, or SCiMMA's Hopskotch."""

    name: str = Field("gcn", pattern=r"^[\w.-]{1,40}$", description="For logs and records.")
    brokers: str = Field("kafka.gcn.nasa.gov:9092", description="host:port, with commas between.")
    topics: list[str] = Field(["igwn.gwalert"], min_length=1, description="What is listened to.")
    group: str = Field(
        "toros", min_length=1, description="The broker remembers for it what was received."
    )
    client_id: str | None = Field(None, description="OIDC credentials (GCN).")
    client_secret: SecretStr | None = Field(None, description="Or client_secret_file.")
    token_url: str = Field(
        "https://auth.gcn.nasa.gov/oauth2/token", description="Where OIDC tokens are had."
    )
    scope: str | None = Field(None, description="Scope of the token; null: the client's own.")
    username: str | None = Field(None, description="SCRAM login (SCiMMA).")
    password: SecretStr | None = Field(None, description="Its password; or password_file.")
    encrypted: bool = Field(True, description="TLS. Off only for a broker on this machine.")
    ca: Path | None = Field(None, description="Authority of the broker's certificate, PEM.")
    heartbeat_topic: str | None = Field(
        "gcn.heartbeat", description="A topic that ticks all the time; null: there is none."
    )
    heartbeat_silence_s: float = Field(
        60.0, gt=0, description="After so long without a tick it connects anew."
    )
    options: dict[str, str | int] = Field({}, description="More properties of librdkafka.")

    @model_validator(mode="after")
    def _whole_credentials(self) -> KafkaSource:
        if (self.client_id is None) != (self.client_secret is None):
            raise ValueError("client_id and client_secret go together")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        if self.client_id is not None and self.username is not None:
            raise ValueError("give client_id or username, and not both")
        return self


class VtpSource(Section):
    """A broker of VOEvents: Comet, or another that speaks the VOEvent Transport Protocol."""

    host: str = Field(min_length=1, description="Its host.")
    port: int = Field(8099, ge=1, le=65535, description="Its port for subscribers.")
    ivorn: str = Field(
        "ivo://org.toros/robot", pattern="^ivo://", description="Who we say that we are."
    )
    silence_s: float = Field(
        180.0,
        gt=0,
        description="After such a silence (a word is due each 60 s) it reconnects.",
    )


class FolderSource(Section):
    """A folder into which somebody puts notices."""

    path: Path = Field(description="Taken files are moved to its subfolder `taken`.")
    poll_s: float = Field(1.0, gt=0, le=3600, description="How often it is looked at.")


class AlertSources(Section):
    """Where notices come from by themselves; any number of each at once."""

    kafka: list[KafkaSource] = Field([], description="As {client_id: ..., client_secret_file: ...}")
    vtp: list[VtpSource] = Field([], description="As {host: voevent.example.org}")
    folders: list[FolderSource] = Field([], description="As {path: /data/notices}")


class Upload(Section):
    """An address to which alerts with their targets are posted as JSON: a broker's page."""

    url: SecretStr = Field(description="http or https; ${VAR} keeps a secret in it out of here.")
    token: SecretStr | None = Field(None, description="Sent as a bearer token; or token_file.")


class AnnounceSettings(Section):
    """Who is told of an alert, beside email.recipients and email.webhooks."""

    what: Literal["followed", "all", "nothing"] = Field(
        "followed", description="Events that are followed and what becomes of them; all; nothing."
    )
    uploads: list[Upload] = Field([], description="As {url: ..., token_file: ...}")
    timeout_s: float = Field(20.0, gt=0, le=300, description="How long each may take.")
    retry_s: float = Field(60.0, gt=0, description="Pause before it is tried again.")
    give_up_h: float = Field(24.0, gt=0, description="After so long it is not tried any more.")
