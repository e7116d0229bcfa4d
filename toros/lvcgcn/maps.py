"""Getting hold of a notice's sky map: embedded, from a file, or from an allowed host."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from toros.common.clock import Clock
from toros.common.config.lvcgcn import LvcgcnSettings
from toros.common.download import Rules
from toros.common.download import download as get
from toros.common.errors import NothingThere, TransferBroken, TransferError, UnusableSkyMap
from toros.lvcgcn.notice import Notice
from toros.lvcgcn.skymap import SkyMap
from toros.lvcgcn.skymap_fits import read_sky_map

log = logging.getLogger(__name__)

_MORE_ATTEMPTS = 2


@dataclass(frozen=True)
class ObtainedMap:
    """A sky map that can be used, with the bytes it was read from."""

    content: bytes
    sky_map: SkyMap
    origin: str
    problems: tuple[str, ...] = ()


def obtain_map(
    notice: Notice, settings: LvcgcnSettings, given: Path | None = None
) -> ObtainedMap | None:
    """Return the best usable sky map of a notice, ``None`` if it names no map at all.

    Parameters
    ----------
    notice : Notice
        Its map combined with a coincident burst comes first if the settings say so, and an
        embedded map before one to download.
    settings : LvcgcnSettings
        What may be downloaded, and how large a map may be.
    given : pathlib.Path, optional
        A file to use instead of the notice's own map.

    Raises
    ------
    UnusableSkyMap
        If none of its maps can be used: the reason for the first.
    """
    problems: list[UnusableSkyMap] = []
    for origin, fetch in _candidates(notice, settings, given):
        try:
            content = fetch()
            found = read_sky_map(content, max_bytes=settings.max_map_bytes)
        except UnusableSkyMap as error:
            log.warning("%s, %s: %s", notice.event, origin, error)
            problems.append(error)
        else:
            return ObtainedMap(content, found, origin, tuple(str(error) for error in problems))
    if problems:
        raise problems[0]
    return None


def _candidates(
    notice: Notice, settings: LvcgcnSettings, given: Path | None
) -> Iterator[tuple[str, Callable[[], bytes]]]:
    if given is not None:
        yield f"the file {given}", partial(read_file, given, settings.max_map_bytes)
        return
    external = notice.external if settings.combined_maps else None
    embedded = {
        "the embedded combined map": external and external.sky_map,
        "the embedded map": notice.sky_map,
    }
    for origin, content in embedded.items():
        if content is not None:
            yield origin, partial(bytes, content)
    for url in (external and external.sky_map_url, notice.sky_map_url):
        if url:
            yield url, partial(download, url, settings)


def may_download(notice: Notice, settings: LvcgcnSettings) -> bool:
    """Return whether a map of a notice may be asked for at a host that is allowed."""
    return any(
        _is_allowed(url, settings)
        for url in (notice.external and notice.external.sky_map_url, notice.sky_map_url)
        if url
    )


def _is_allowed(url: str, settings: LvcgcnSettings) -> bool:
    try:
        _rules(settings).require(url)
    except TransferError:
        return False
    return True


def read_file(path: Path, max_bytes: int) -> bytes:
    """Return the bytes of a sky map's file.

    Raises
    ------
    UnusableSkyMap
        If it cannot be read or is too large.
    """
    try:
        if path.stat().st_size > max_bytes:
            raise UnusableSkyMap(f"The sky map {path} has over {max_bytes} bytes.")
        return path.read_bytes()
    except OSError as error:
        raise UnusableSkyMap(f"The sky map {path} cannot be read: {error.strerror}.") from error


def _rules(settings: LvcgcnSettings) -> Rules:
    return Rules(
        allowed=settings.allowed_hosts,
        setting="lvcgcn.allowed_hosts",
        max_bytes=settings.max_map_bytes,
        silence_s=settings.download_timeout_s,
        longest_s=settings.download_timeout_s,
        what="sky map",
    )


def download(url: str, settings: LvcgcnSettings) -> bytes:
    """Return what is at `url`; what fails in passing is tried again.

    Raises
    ------
    UnusableSkyMap
        If its host is not allowed, it is too large, or it does not come in time.
    """
    rules = _rules(settings)
    try:
        for attempt in range(_MORE_ATTEMPTS):
            try:
                return get(url, rules).content
            except (TransferBroken, NothingThere) as error:
                # A notice can be quicker than its map: what is not there may come.
                log.info("%s It is tried again.", error)
            # By the machine's time: networks know no simulated one.
            Clock().sleep(settings.download_pause_s * 2**attempt)
        return get(url, rules).content
    except TransferError as error:
        raise UnusableSkyMap(error.message) from error
