"""A certificate that is about to end: the day it does, no module of the node can be called."""

from __future__ import annotations

import logging
import threading
from datetime import datetime
from pathlib import Path

from toros.common.clock import Clock
from toros.common.errors import ConfigurationError

log = logging.getLogger(__name__)

DAY_S = 86400.0
# How many days before its end the admins are told, and on its last.
TELL_DAYS = (30, 14, 7, 3, 1, 0)


def end_of(certificate: Path) -> datetime:
    """Return when a certificate ends.

    Raises
    ------
    ConfigurationError
        When it cannot be read.
    """
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"tls: {certificate} cannot be read ({error}).") from error


class CertificateWatch:
    """Tells the admins in time that the certificate which this process serves with ends.

    A new one that lies in its place is served only after a restart, and so counts only then.

    Parameters
    ----------
    certificate : pathlib.Path
        The certificate.
    clock : Clock
        The machine's time, by which clients judge it.
    """

    def __init__(self, certificate: Path, clock: Clock) -> None:
        self._certificate = certificate
        self._clock = clock
        self._end = end_of(certificate)
        self._told = 0  # of TELL_DAYS

    def run(self, stop: threading.Event) -> None:
        """Look once a day until `stop` is set: a module's loop."""
        while not stop.is_set():
            self.look()
            # Days of the machine: networks know no simulated ones.
            stop.wait(DAY_S)

    def look(self) -> None:
        """Tell, if it is time and was not told yet."""
        left = (self._end - self._clock.now()).total_seconds() / DAY_S
        due = sum(left <= days for days in TELL_DAYS)
        if due > self._told:
            what = "ends" if left > 0 else "ended"
            log.error(
                "The certificate %s %s on %s: then no client calls this module any more. Make a "
                "new one (toros access certificate) and restart the modules.",
                self._certificate,
                what,
                f"{self._end:%Y-%m-%d %H:%M} UTC",
            )
        self._told = due
