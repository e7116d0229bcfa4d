"""Finds what the sources of a file batch hold, and brings archive files here."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from toros.common.atomic import write_text
from toros.common.config.preprocessor import TransferSettings
from toros.common.download import Answer
from toros.common.errors import (
    CalibrationError,
    NoFilesFound,
    SourceNotAllowed,
    UnreadableFile,
    UnusableArchive,
    UnusableFrame,
    WrongChecksum,
)
from toros.common.fits_files import FitsFiles, is_fits_name
from toros.preprocessor.archives import Bounds, Unpacked, unpack
from toros.preprocessor.checksums import (
    Entry,
    is_sums,
    read_sums,
    require_digest,
    split_digest,
    sum_beside,
    sums_in,
)
from toros.preprocessor.fetching import GB, PARTIAL, Fetcher, text_of
from toros.preprocessor.listing import absolute, links_below, name_of, read_list
from toros.preprocessor.places import Incoming, Place
from toros.preprocessor.run import Progress, no_progress
from toros.preprocessor.sources import (
    frames_in,
    is_archive,
    is_inside,
    is_web,
    local_path,
)

_DEEPEST = 8  # folders below the one that was given
_MEMBERS = "members.json"


@dataclass
class Gatherer:
    """Brings what is elsewhere, by the rules of the configuration.

    Parameters
    ----------
    settings : TransferSettings
        Bounds.
    allowed : sequence of str
        The folders and the addresses from which frames may come.
    staging : pathlib.Path
        A hidden folder beside the raw data, of this batch alone.
    web : Fetcher
        Brings what is on the web.
    """

    settings: TransferSettings
    allowed: Sequence[str]
    staging: Path
    web: Fetcher
    progress: Progress = no_progress

    def gather(self, source: str) -> tuple[Incoming, ...]:
        """Return what `source` holds; an archive file is fetched and unpacked.

        Raises
        ------
        SourceNotAllowed, NoFilesFound, SourceGone, TransferIncomplete, WrongChecksum,
        UnusableArchive
            When it cannot be had as a whole.
        """
        given = split_digest(source)
        found = self._on_the_web(given) if is_web(source) else self._here(given)
        if not found:
            raise NoFilesFound(f"There is no FITS file in {given.address}.")
        if len(found) > self.settings.max_files:
            raise UnusableArchive(
                f"{source} holds over {self.settings.max_files} files: see preprocessor.transfer."
            )
        return tuple({one.name: one for one in found}.values())

    def _here(self, given: Entry) -> list[Incoming]:
        path = Path(given.address)
        if path.is_dir():
            sums = sums_in(path)
            files = FitsFiles(path, follow=lambda link: is_inside(link, self.allowed))
            names = [found.relative_to(path).as_posix() for found in frames_in(files)]
            return [self._held(path, name, sums.get(name)) for name in names] + _not_seen(files)
        if not path.exists():
            raise NoFilesFound(f"There is no folder {path}.")
        digest = given.sha256 or sum_beside(path)
        if is_fits_name(path.name):
            return [Incoming(name=path.name, path=path, sha256=digest)]
        if is_archive(path.name):
            return self._unpacked(path, self._staged(given.address), digest, f"{path}")
        return self._listed(read_list(path.read_text(errors="replace")), path.as_uri())

    def _on_the_web(self, given: Entry) -> list[Incoming]:
        url = given.address
        name = unquote(urlsplit(url).path.rpartition("/")[2])
        if is_fits_name(name):
            digest = given.sha256 or self.web.sum_beside(url, name)
            return [Incoming(name=name, url=url, sha256=digest)]
        if not is_archive(name):
            kind = self.web.kind(url)
            if kind in ("text/html", "application/xhtml+xml"):
                return self._linked(url)
            if kind == "text/plain":
                page = self.web.page(url)
                return self._listed(read_list(text_of(page)), page.url)
        archive = self._staged(url).with_suffix(f".{name}" if is_archive(name) else ".archive")
        digest = given.sha256 or self.web.sum_beside(url, name)
        if not (self._staged(url) / _MEMBERS).exists():
            self.web.fetch(url, archive, digest)
        return self._unpacked(archive, self._staged(url), None, url)

    def _linked(self, url: str) -> list[Incoming]:
        """Return the frames that a page of links and those below it show."""
        frames: list[str] = []
        sums: dict[str, str] = {}
        pending, seen = [(url, 0)], {url}
        first: Answer | None = None
        while pending:
            address, depth = pending.pop(0)
            page = self.web.page(address)
            first = first or page
            for link in links_below(text_of(page), page.url):
                name = unquote(urlsplit(link).path.rpartition("/")[2])
                if link.endswith("/") and depth < _DEEPEST and link not in seen:
                    seen.add(link)
                    pending.append((link, depth + 1))
                elif is_sums(name):
                    where = PurePosixPath(name_of(link, first.url))
                    sums |= read_sums(text_of(self.web.page(link)), where)
                elif is_fits_name(name):
                    frames.append(link)
            if len(frames) + len(seen) > self.settings.max_files:
                break
        base = first.url if first else url
        named = [(name_of(link, base), link) for link in frames]
        return [Incoming(name=name, url=link, sha256=sums.get(name)) for name, link in named]

    def _listed(self, entries: Sequence[Entry], base: str) -> list[Incoming]:
        """Return the frames that a plain list names, wherever they are."""
        found = []
        for entry in entries:
            try:
                address = absolute(entry.address, base)
            except ValueError:
                continue
            if not is_fits_name(unquote(urlsplit(address).path.rpartition("/")[2])):
                continue
            name = name_of(address, base)
            if address.startswith("file:"):
                found.append(self._local(name, address, entry))
            else:
                found.append(Incoming(name=name, url=address, sha256=entry.sha256))
        return found

    def _held(self, folder: Path, name: str, digest: str | None) -> Incoming:
        """Return a frame of an allowed folder; it may be a link that leads out of them all."""
        try:
            path = local_path(str(folder / name), self.allowed)
        except SourceNotAllowed as error:
            return Incoming(name=name, error=error)
        return Incoming(name=name, path=path, sha256=digest)

    def _local(self, name: str, address: str, entry: Entry) -> Incoming:
        try:
            path = local_path(address, self.allowed)
        except CalibrationError as error:
            return Incoming(name=name, error=error)
        return Incoming(name=name, path=path, sha256=entry.sha256)

    def _staged(self, source: str) -> Path:
        return self.staging / hashlib.sha256(source.encode()).hexdigest()[:16]

    def _unpacked(
        self, archive: Path, folder: Path, digest: str | None, said: str
    ) -> list[Incoming]:
        """Return the members of an archive file, unpacked once."""
        record = folder / _MEMBERS
        if not record.exists():
            if digest is not None:
                require_digest(archive, digest, said)
            shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
            self.progress("unpack", 0, 1)
            bounds = Bounds(int(self.settings.max_gb * GB), self.settings.max_files)
            try:
                document = _document(unpack(archive, folder / "files", bounds))
                write_text(record, json.dumps(document))
            except UnusableArchive:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            finally:
                if archive.is_relative_to(self.staging):
                    archive.unlink()
            self.progress("unpack", 1, 1)
        members: dict[str, Any] = json.loads(record.read_text())
        return [_incoming(name, member, folder / "files") for name, member in members.items()]

    def tidy(self) -> None:
        """Remove the folders of the staging that hold nothing."""
        for folder in (self.staging, self.staging.parent):
            with suppress(OSError):  # it holds something, or is not there
                folder.rmdir()

    def clean(self, places: Sequence[Place]) -> None:
        """Remove what is left of unpacking and of downloads, once nothing of it is wanted."""
        shutil.rmtree(self.staging, ignore_errors=True)
        self.tidy()
        for place in places:
            if not place.in_place and place.folder.is_dir():
                for left in place.folder.rglob(f".*{PARTIAL}*"):
                    left.unlink(missing_ok=True)


def _not_seen(files: FitsFiles) -> list[Incoming]:
    """Return what stands for the folders of a source in which we may not look, if there are any."""
    said = []
    if files.not_followed:
        links = ", ".join(map(str, files.not_followed))
        said.append(f"{links}: outside the allowed sources.")
    if files.closed:
        closed = ", ".join(map(str, sorted(files.closed)))
        said.append(f"{closed}: may not be read, what is in it is not known.")
    if not said:
        return []
    kind = SourceNotAllowed if files.not_followed else UnreadableFile
    return [Incoming(name=files.folder.name, error=kind(" ".join(said)))]


def _document(found: Unpacked) -> dict[str, dict[str, Any]]:
    """Return what was unpacked as JSON keeps it."""
    document: dict[str, dict[str, Any]] = {}
    for name, member in found.members.items():
        error, wanted = member.error, found.sums.get(name)
        if error is None and wanted not in (None, member.sha256):
            error = WrongChecksum(
                f"{name} is not what its checksum says: SHA-256 {member.sha256}, not {wanted}."
            )
        said = [error.code, error.message] if error else None
        document[name] = {"sha256": member.sha256, "error": said}
    return document


_ERRORS = {kind.code: kind for kind in (UnusableArchive, UnusableFrame, WrongChecksum)}


def _incoming(name: str, member: dict[str, Any], folder: Path) -> Incoming:
    if member["error"]:
        code, message = member["error"]
        return Incoming(name=name, error=_ERRORS.get(code, UnusableArchive)(message))
    return Incoming(name=name, path=folder / name, sha256=member["sha256"], staged=True)
