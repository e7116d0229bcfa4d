"""Alpaca discovery: who on the local network serves devices (UDP port 32227).

alpyca's own search waits in turn for each address of the machine, 6 to 10 s in all; this one asks
everywhere and listens once.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import socket
import time

import ifaddr
from alpaca.discovery import AlpacaDiscovery, AlpacaResponse, port

log = logging.getLogger(__name__)

LISTEN_S = 1.0
ROUNDS = 2  # a datagram may be lost


def search(listen_s: float = LISTEN_S, udp_port: int = port) -> list[str]:
    """Return ``host:port`` of each Alpaca server that answers.

    Parameters
    ----------
    listen_s : float
        Machine seconds to listen after each of two questions.
    udp_port : int
        The port of discovery.
    """
    found: dict[str, None] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for _ in range(ROUNDS):
            for address in _broadcasts():
                try:
                    asker.sendto(AlpacaDiscovery.encode(), (address, udp_port))
                except OSError as error:
                    log.debug("No discovery at %s: %s", address, error)
            found.update(dict.fromkeys(_answers(asker, listen_s)))
    return list(found)


def _answers(asker: socket.socket, listen_s: float) -> list[str]:
    found = []
    deadline = time.monotonic() + listen_s
    while (left := deadline - time.monotonic()) > 0:
        asker.settimeout(left)
        try:
            answer, (host, _) = asker.recvfrom(1024)
            found.append(f"{host}:{int(json.loads(answer)[AlpacaResponse])}")
        except TimeoutError:
            break
        except (ValueError, KeyError, TypeError) as error:
            log.warning("An answer to discovery makes no sense: %s", error)
        except OSError as error:
            log.debug("Discovery: %s", error)  # somebody's "port unreachable"
    return found


def _broadcasts() -> list[str]:
    """Return the broadcast address of each network that this machine is on, loopback first."""
    networks = [
        ipaddress.IPv4Network(f"{ip.ip}/{ip.network_prefix}", strict=False)
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
        if ip.is_IPv4
    ]
    networks.sort(key=lambda network: not network.is_loopback)
    return [str(network.broadcast_address) for network in networks]
