"""The sources of a file batch, and where the raw files of each are read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from toros.common.errors import TorosError
from toros.preprocessor.checksums import split_digest
from toros.preprocessor.grouping import slug
from toros.preprocessor.sources import stem, without_suffix


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """A frame on its way into a batch: from a path, or an address, or why it cannot come.

    Parameters
    ----------
    name : str
        Its path below the folder of the raw files.
    sha256 : str, optional
        The digest that it must have.
    staged : bool
        Whether the file at `path` is ours, unpacked, and is moved; else it is copied.
    """

    name: str
    path: Path | None = None
    url: str | None = None
    sha256: str | None = None
    staged: bool = False
    error: TorosError | None = None

    @property
    def is_frame(self) -> bool:
        """Whether it is one file; else it stands for a source that cannot be had."""
        return self.path is not None or self.url is not None or stem(Path(self.name)) != self.name


@dataclass(frozen=True)
class Place:
    """One source of a batch.

    Parameters
    ----------
    source : str
        A folder, a file or an address, as it was ordered.
    folder : pathlib.Path
        Where its raw files are read: the source itself, or our copy of it.
    label : str
        What sets it apart in a batch of several; empty in a batch of one.
    incoming : tuple of Incoming
        What is to be brought into `folder`.
    """

    source: str
    folder: Path
    label: str = ""
    incoming: tuple[Incoming, ...] = ()

    @property
    def in_place(self) -> bool:
        """Whether the raw files are read where they were given."""
        return self.source == str(self.folder)

    def key(self, path: Path) -> str:
        """Return the name of one of its files within the batch."""
        return self.named(path.relative_to(self.folder).as_posix())

    def named(self, name: str) -> str:
        """Return a name below its folder as a name within the batch."""
        return f"{self.label}/{name}" if self.label else name


def pack(texts: Sequence[str]) -> str:
    """Return one or several sources or folders as the archive keeps them in one column.

    A path or an address never begins with a bracket: several are a list in JSON.
    """
    return texts[0] if len(texts) == 1 else json.dumps(list(texts))


def unpack_texts(packed: str) -> tuple[str, ...]:
    """Return what `pack` put together."""
    return tuple(json.loads(packed)) if packed.startswith("[") else (packed,)


def own_name(source: str) -> str:
    """Return the last name in a source: of a folder or a file, without what says its kind."""
    address = split_digest(source).address
    path = unquote(urlsplit(address).path) if "://" in address else address
    name = PurePosixPath(path).name or (urlsplit(address).hostname or "batch")
    return stem(Path(without_suffix(name)))


def labels(sources: Sequence[str]) -> list[str]:
    """Return what each source of a batch is called in it: nothing where there is only one."""
    if len(sources) == 1:
        return [""]
    found: list[str] = []
    for source in sources:
        plain = slug(own_name(source))
        label, number = plain, 1
        while label in found:
            number += 1
            label = f"{plain}-{number}"
        found.append(label)
    return found


def batch_name(sources: Sequence[str]) -> str:
    """Return what a batch of these sources is called where nobody says."""
    more = len(sources) - 1
    return f"{own_name(sources[0])}+{more}" if more else own_name(sources[0])


def places_of(sources: Sequence[str], folders: Sequence[str]) -> tuple[Place, ...]:
    """Return the places of a batch, each with its folder."""
    return tuple(
        Place(source, Path(folder), label)
        for source, folder, label in zip(sources, folders, labels(sources), strict=True)
    )


def name_within(places: Sequence[Place], path: Path) -> str:
    """Return the name of a raw file within the batch of these places."""
    within = [place for place in places if path.is_relative_to(place.folder)]
    if not within:
        return path.name
    return max(within, key=lambda place: len(place.folder.parts)).key(path)
