"""Who is let in at a front desk, and how."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

from toros.common.access import Access
from toros.common.config.models import Config
from toros.common.errors import ConfigurationError
from toros.common.tls import server_context

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class DoorRules:
    """The rules of one front desk.

    Parameters
    ----------
    access : Access
        Users and their tokens.
    tls : ssl.SSLContext or None
        None for plain HTTP.
    allow_plaintext : bool
        Whether plain HTTP may be served beyond this machine.
    connections, connections_per_peer : int
        How many at a time, in all and from one address.
    turned_away_s : float
        How long an address is turned away that keeps sending what cannot be read; 0 for never.
    networks : sequence
        From where connections are taken; empty for everywhere.
    hosts : sequence of str
        Names under which clients call this server, beside addresses and localhost.
    """

    access: Access = field(default_factory=lambda: Access([]))
    tls: ssl.SSLContext | None = None
    allow_plaintext: bool = False
    connections: int = 64
    connections_per_peer: int = 8
    turned_away_s: float = 10.0
    networks: Sequence[Network] = ()
    hosts: Sequence[str] = ()


def rules_of(config: Config) -> DoorRules:
    """Return the rules that the configuration gives all front desks of a node.

    Raises
    ------
    ConfigurationError
        When certificate or key cannot be used.
    """
    desk = config.front_desk
    own = [config.service(name).host for name in config.services]
    return DoorRules(
        access=Access(config.access),
        tls=server_context(config.tls),
        allow_plaintext=config.tls.allow_plaintext,
        connections=desk.connections,
        connections_per_peer=desk.connections_per_peer,
        turned_away_s=desk.turned_away_s,
        networks=tuple(desk.networks),
        hosts=(*own, *desk.hosts),
    )


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def require_closed_door(host: str, rules: DoorRules) -> None:
    """Refuse to listen where others could come in unasked, or be overheard.

    Raises
    ------
    ConfigurationError
        Saying what is missing.
    """
    if is_loopback(host):
        return
    if rules.access.open:
        raise ConfigurationError(
            f"{host} can be reached from other machines, and there is no 'access' in the "
            "configuration: listen on 127.0.0.1, or say who may send orders."
        )
    if rules.tls is None and not rules.allow_plaintext:
        raise ConfigurationError(
            f"{host} can be reached from other machines, and tokens would be sent in the clear: "
            "give tls.certificate and tls.key, or say tls.allow_plaintext: true."
        )
