"""Checksums that lie beside files: ``SHA256SUMS``, or ``NAME.sha256`` for one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from toros.common.errors import WrongChecksum
from toros.imaging.headers import sha256_of

LISTS = ("SHA256SUMS", "SHA256SUMS.txt", "sha256sums.txt", "sha256sum.txt")
SUFFIX = ".sha256"

_DIGEST = re.compile(r"[0-9A-Fa-f]{64}")
_AT_END = re.compile(r"#sha256=([0-9A-Fa-f]{64})$")
_LINE = re.compile(r"([0-9A-Fa-f]{64})(?: [ *]?|\t)(\S.*)")
_BSD = re.compile(r"SHA256 \((.+)\) = ([0-9A-Fa-f]{64})")


@dataclass(frozen=True)
class Entry:
    """A line of a list: an address or a path, as it stands there, and the digest if it says one."""

    address: str
    sha256: str | None = None


def split_digest(source: str) -> Entry:
    """Take ``…#sha256=DIGEST`` apart."""
    found = _AT_END.search(source)
    return Entry(source[: found.start()], found[1].lower()) if found else Entry(source)


def is_sums(name: str) -> bool:
    """Return whether a file of this name holds checksums."""
    return name in LISTS or name.lower().endswith(SUFFIX)


def read_sums(text: str, where: PurePosixPath) -> dict[str, str]:
    """Return the digests in a file of checksums, by names relative to the source.

    Parameters
    ----------
    text : str
        As ``sha256sum`` writes it, with or without ``--tag``; ``NAME.sha256`` may hold a digest
        alone.
    where : pathlib.PurePosixPath
        The file's own path in the source: names in it are relative to its folder.
    """
    found: dict[str, str] = {}
    for line in map(str.strip, text.splitlines()):
        plain, tagged = _LINE.fullmatch(line), _BSD.fullmatch(line)
        if plain:
            found[_name(where, plain[2])] = plain[1].lower()
        elif tagged:
            found[_name(where, tagged[1])] = tagged[2].lower()
        elif _DIGEST.fullmatch(line) and where.name.lower().endswith(SUFFIX):
            found[_name(where, where.name[: -len(SUFFIX)])] = line.lower()
    return found


def _name(where: PurePosixPath, name: str) -> str:
    return (where.parent / name.removeprefix("./")).as_posix()


def sums_in(folder: Path) -> dict[str, str]:
    """Return the digests that lie in a folder and its subfolders, by names relative to it."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        if is_sums(path.name) and path.is_file():
            where = PurePosixPath(path.relative_to(folder).as_posix())
            found |= read_sums(path.read_text(errors="replace"), where)
    return found


def sum_beside(path: Path) -> str | None:
    """Return the digest that lies beside one file, None where there is none."""
    for name in (f"{path.name}{SUFFIX}", *LISTS):
        beside = path.with_name(name)
        if beside.is_file():
            found = read_sums(beside.read_text(errors="replace"), PurePosixPath(name))
            if path.name in found:
                return found[path.name]
    return None


def require_digest(path: Path, digest: str, said: str) -> None:
    """Raise `WrongChecksum` if a file is not the one of the digest.

    Parameters
    ----------
    said : str
        What the file is called in the message.
    """
    found = sha256_of(path)
    if found != digest:
        raise WrongChecksum(f"{said} is not what its checksum says: SHA-256 {found}, not {digest}.")
