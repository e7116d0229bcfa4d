"""Brings files from the web: whole, from allowed places, verified where there is a digest."""

from __future__ import annotations

import logging
import os
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from toros.common.config.preprocessor import TransferSettings
from toros.common.download import (
    Answer,
    Patience,
    Rules,
    describe,
    download,
    download_file,
    forget_partial,
)
from toros.common.errors import (
    AddressNotAllowed,
    CalibrationError,
    ConfigurationError,
    NothingThere,
    SourceGone,
    SourceNotAllowed,
    TransferBroken,
    TransferError,
    TransferIncomplete,
    WrongChecksum,
)
from toros.imaging.headers import sha256_of
from toros.preprocessor.checksums import LISTS, SUFFIX, read_sums, require_digest
from toros.preprocessor.listing import absolute
from toros.preprocessor.sources import is_web

log = logging.getLogger(__name__)

PARTIAL = ".part"
GB = 10**9

_LARGEST_LIST = 2**26


@dataclass
class Fetcher:
    """What may be had from the web, and with how much patience.

    Parameters
    ----------
    settings : TransferSettings
        Bounds and patience.
    allowed : sequence of str
        The addresses from which frames may come; folders are passed over.
    tls : ssl.SSLContext, optional
        Whom to trust.
    cancelled : threading.Event
        Once set, `Cancelled` is raised.
    """

    settings: TransferSettings
    allowed: Sequence[str]
    tls: ssl.SSLContext | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
    _silent: bool = False  # the last file did not come in spite of all attempts

    def rules(self, max_bytes: int) -> Rules:
        """Return what may be asked of the web."""
        return Rules(
            allowed=[entry for entry in self.allowed if is_web(entry)],
            setting="data.allowed_sources",
            max_bytes=max_bytes,
            silence_s=self.settings.timeout_s,
            longest_s=self.settings.longest_s,
            tls=self.tls,
        )

    def fetch(self, url: str, target: Path, digest: str | None) -> None:
        """Bring one file, whole or not at all; half of it waits under a hidden name.

        Raises
        ------
        SourceNotAllowed, SourceGone, TransferIncomplete, WrongChecksum
            When it does not come as it should.
        """
        partial = target.with_name(f".{target.name}{PARTIAL}")
        target.parent.mkdir(parents=True, exist_ok=True)
        resumed = partial.exists()
        self._download(url, partial, digest is not None)
        if digest is not None and resumed and sha256_of(partial) != digest:
            forget_partial(partial)  # its beginning may have been another file's
            self._download(url, partial, verified=True)
        try:
            if digest is not None:
                require_digest(partial, digest, url)
        except WrongChecksum:
            forget_partial(partial)
            raise
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)

    def _download(self, url: str, partial: Path, verified: bool) -> None:
        # Once a server is silent, each further file must not wait for it as long as the first.
        attempts = 1 if self._silent else self.settings.attempts
        patience = Patience(attempts, self.settings.retry_s, self.cancelled)
        rules = self.rules(int(self.settings.max_gb * GB))
        try:
            download_file(url, partial, rules, patience, verified=verified)
        except TransferBroken as error:
            self._silent = True
            raise TransferIncomplete(error.message) from error
        except TransferError as error:
            forget_partial(partial)
            raise said_of(error) from error
        self._silent = False

    def page(self, url: str) -> Answer:
        """Return something small: a page of links, a list, a file of checksums."""
        found: Answer = self._asked(lambda: download(url, self.rules(_LARGEST_LIST)), url)
        return found

    def kind(self, url: str) -> str:
        """Return the media type of what is at an address."""
        return str(self._asked(lambda: describe(url, self.rules(_LARGEST_LIST)), url))

    def _asked(self, ask: Callable[[], Any], url: str) -> Any:
        """Ask for something small, as often as for a file."""
        pause = self.settings.retry_s
        for left in reversed(range(self.settings.attempts)):
            try:
                return ask()
            except TransferBroken as error:
                if not left or self.cancelled.wait(pause):
                    raise TransferIncomplete(error.message) from error
                log.info("%s It is tried again.", error)
            except TransferError as error:
                raise said_of(error) from error
            pause *= 2
        raise TransferIncomplete(f"{url} was never asked for.")

    def sum_beside(self, url: str, name: str) -> str | None:
        """Return the digest that lies beside a file on the web, None where there is none."""
        for beside in (f"{name}{SUFFIX}", *LISTS[:1]):
            try:
                page = self.page(absolute(beside, url))
            except CalibrationError as error:
                if isinstance(error.__cause__, TransferBroken):
                    raise  # nobody knows whether there is one
                continue
            found = read_sums(text_of(page), PurePosixPath(beside))
            if name in found:
                return found[name]
        return None


def said_of(error: TransferError) -> CalibrationError:
    """Return what the failure of a transfer means for a frame."""
    kinds: dict[type[TransferError], type[CalibrationError]] = {
        AddressNotAllowed: SourceNotAllowed,
        NothingThere: SourceGone,
    }
    return kinds.get(type(error), TransferIncomplete)(error.message)


def text_of(page: Answer) -> str:
    """Return what a page says."""
    return page.content.decode("utf-8", errors="replace")


def authorities(more: Path | None) -> ssl.SSLContext:
    """Return whom servers' certificates may be of: the system's authorities and our own.

    Raises
    ------
    ConfigurationError
        When the certificate of our own authority cannot be read.
    """
    context = ssl.create_default_context()
    if more is not None:
        try:
            context.load_verify_locations(more)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"tls.ca: {more} cannot be used ({error}).") from error
    return context
