"""TLS for front desks and their clients: version 1.3, with certificates of a private authority."""

from __future__ import annotations

import ssl
from pathlib import Path

from toros.common.config.models import Tls
from toros.common.errors import ConfigurationError


def server_context(settings: Tls) -> ssl.SSLContext | None:
    """Return the context of a server, None where the configuration has no certificate.

    Raises
    ------
    ConfigurationError
        When certificate or key cannot be used.
    """
    if settings.certificate is None and settings.key is None:
        return None
    if settings.certificate is None or settings.key is None:
        raise ConfigurationError("tls: certificate and key go together.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_cert_chain(settings.certificate, settings.key, _no_passphrase)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"tls: {settings.certificate} and {settings.key} cannot be used ({error})."
        ) from error
    return context


def _no_passphrase() -> str:
    # Else OpenSSL would ask whoever sits at the terminal, and wait.
    raise ConfigurationError("tls.key has a passphrase, and a daemon cannot be asked for one.")


def client_context(authority: Path | None) -> ssl.SSLContext:
    """Return the context of a client that trusts `authority`, or the system's where it is None.

    Raises
    ------
    ConfigurationError
        When the authority's certificate cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"tls.ca: {authority} cannot be used ({error}).") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context
