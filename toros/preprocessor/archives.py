"""Frames out of tar and zip files that come from elsewhere: nothing in them is believed.

No member leads out of its folder, no link is made, and size and number are bounded whatever the
archive says of itself. A member that is damaged costs itself; what is behind a damage in a tar file
is lost, and said to be.
"""

from __future__ import annotations

import errno
import hashlib
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from toros.common.errors import TorosError, UnusableArchive, UnusableFrame
from toros.common.fits_files import is_fits_name
from toros.preprocessor.checksums import is_sums, read_sums

_CHUNK = 2**20
_LARGEST_SUMS = 2**24
# What the decompressors and the readers of both formats raise on damaged files.
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError)
# ... and on members that they cannot read: of an odd compression, or encrypted.
_UNREADABLE = (*_DAMAGE, NotImplementedError, RuntimeError, KeyError)


@dataclass(frozen=True)
class Bounds:
    """The most that one source may bring."""

    max_bytes: int
    max_files: int


@dataclass(frozen=True)
class Member:
    """A frame in an archive: where it was unpacked to, or why it was not."""

    sha256: str | None = None
    error: TorosError | None = None


@dataclass
class Unpacked:
    """What was in an archive: its frames, and the checksums that it holds."""

    members: dict[str, Member] = field(default_factory=dict)
    sums: dict[str, str] = field(default_factory=dict)


# A member: its name, the bytes it says to have, and how to open it or the error that it is.
_Entry = tuple[str, int, Callable[[], IO[bytes]] | UnusableArchive]


def unpack(archive: Path, folder: Path, bounds: Bounds) -> Unpacked:
    """Unpack the frames of an archive into `folder`, each whole or not at all.

    Raises
    ------
    UnusableArchive
        When it is none, or holds more than is allowed.
    """
    found = Unpacked()
    room = _Room(archive, bounds)
    try:
        if zipfile.is_zipfile(archive) and not tarfile.is_tarfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                _take(found, _in_zip(zipped), folder, room)
        else:
            with tarfile.open(archive, "r:*", tarinfo=_Watched) as tar:
                _take(found, _in_tar(tar), folder, room)
                _require_end(tar, archive)
    except UnusableArchive as error:
        if not found.members or room.over:
            raise
        found.members[archive.name] = Member(error=error)
    except _DAMAGE as error:
        if _is_of_the_disk(error):
            raise
        damage = UnusableArchive(f"{archive.name} is damaged: {_said(error)}.")
        if not found.members:
            raise damage from error
        found.members[archive.name] = Member(error=damage)
    return found


class _Room:
    """Counts what comes out of an archive."""

    def __init__(self, archive: Path, bounds: Bounds) -> None:
        self._name, self._bounds = archive.name, bounds
        self._bytes = self._files = 0
        self.over = False

    def file(self) -> None:
        self._files += 1
        self._require(self._files <= self._bounds.max_files, f"{self._bounds.max_files} files")

    def bytes(self, count: int) -> None:
        self._bytes += count
        self._require(self._bytes <= self._bounds.max_bytes, f"{self._bounds.max_bytes} bytes")

    def _require(self, fits: bool, bound: str) -> None:
        if not fits:
            self.over = True
            raise UnusableArchive(f"{self._name} holds over {bound}: see preprocessor.transfer.")


def _take(found: Unpacked, entries: Iterator[_Entry], folder: Path, room: _Room) -> None:
    for name, size, opened in entries:
        room.file()
        plain = PurePosixPath(name)
        if any(part.startswith(".") and part != ".." for part in plain.parts):
            room.bytes(size)  # hidden: of macOS, or being written; it is passed over, not free
            continue
        if is_sums(plain.name) and not isinstance(opened, UnusableArchive):
            room.bytes(min(size, _LARGEST_SUMS))
            with opened() as file:
                text = file.read(_LARGEST_SUMS).decode(errors="replace")
            found.sums |= read_sums(text, plain)
        elif is_fits_name(plain.name):
            found.members[plain.as_posix()] = _unpacked(name, opened, folder / plain, room)
        else:
            room.bytes(size)


def _unpacked(
    name: str, opened: Callable[[], IO[bytes]] | UnusableArchive, target: Path, room: _Room
) -> Member:
    if isinstance(opened, UnusableArchive):
        return Member(error=opened)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with opened() as file:
            return Member(_write(file, target, room))
    except UnusableArchive:
        target.unlink(missing_ok=True)
        raise
    except _UNREADABLE as error:
        target.unlink(missing_ok=True)
        if _is_of_the_disk(error):
            raise
        return Member(error=UnusableFrame(f"{name} cannot be unpacked: {_said(error)}."))


def _write(file: IO[bytes], target: Path, room: _Room) -> str:
    digest = hashlib.sha256()
    with target.open("wb") as out:
        while chunk := file.read(_CHUNK):
            room.bytes(len(chunk))
            digest.update(chunk)
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def _is_of_the_disk(error: BaseException) -> bool:
    """Return whether the disk has failed, not the archive.

    Who follows a damaged archive to a place before its beginning is told EINVAL by the system.
    """
    return isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)


def _said(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno == errno.EINVAL:
        return "the archive says that it begins before the archive does"
    return str(error).rstrip(".") or type(error).__name__


class _Watched(tarfile.TarInfo):
    """Notes whether a tar file had its end mark: `tarfile` takes any rubbish for the end."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Any:
        try:
            return super().fromtarfile(tarfile)
        except _END:
            tarfile.ended = True  # type: ignore[attr-defined]
            raise


_END: type[Exception] = tarfile.EOFHeaderError  # type: ignore[attr-defined]


def _require_end(tar: tarfile.TarFile, archive: Path) -> None:
    if not getattr(tar, "ended", False):
        raise UnusableArchive(
            f"{archive.name} breaks off before its end: what was behind is not here."
        )


def _in_tar(tar: tarfile.TarFile) -> Iterator[_Entry]:
    for member in tar:
        if member.isdir():
            continue
        try:
            checked = tarfile.data_filter(member, "/nowhere")
            checked.name.encode()
        except (tarfile.FilterError, UnicodeEncodeError) as error:
            name = member.name.encode(errors="replace").decode()
            yield _plain(name), member.size, UnusableArchive(f"{name} is refused: {_said(error)}.")
        else:
            yield checked.name, member.size, _opener(tar, member)


def _opener(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    def opened() -> IO[bytes]:
        # A link is followed inside the archive, never on the disk.
        file = tar.extractfile(member)
        if file is None:
            raise tarfile.ReadError("it is no file")
        return file

    return opened


def _in_zip(zipped: zipfile.ZipFile) -> Iterator[_Entry]:
    for member in zipped.infolist():
        if member.is_dir():
            continue
        path = PurePosixPath(member.filename)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if path.is_absolute() or ".." in path.parts or "\0" in member.filename:
            why = f"{member.filename!r} is refused: it leads out of its folder."
            yield _plain(member.filename), member.file_size, UnusableArchive(why)
        elif kind not in (0, stat.S_IFREG):
            why = f"{member.filename!r} is refused: it is no plain file."
            yield path.as_posix(), member.file_size, UnusableArchive(why)
        else:
            yield path.as_posix(), member.file_size, partial(zipped.open, member)


def _plain(name: str) -> str:
    """Return a name that leads nowhere, for the record of a member that wanted to."""
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..")]
    return "/".join(parts) or "nameless.fits"
