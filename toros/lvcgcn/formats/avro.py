"""`igwn.gwalert` as Avro, the way SCiMMA's Hopskotch carries it."""

from __future__ import annotations

import io
import zlib
from typing import Any

from toros.common.errors import UnreadableNotice
from toros.lvcgcn.formats.gwalert import from_record
from toros.lvcgcn.notice import Notice, NoticeFormat

#: The first bytes of an Avro object container file (Avro 1.11 specification).
AVRO_MAGIC = b"Obj\x01"
#: No more is unpacked: a notice with two embedded sky maps is 2 MB.
MAX_UNPACKED_BYTES = 16 * 2**20

#: What stands before the blocks.
_CONTAINER = {
    "type": "record",
    "name": "org.apache.avro.file.Header",
    "fields": [
        {"name": "magic", "type": {"type": "fixed", "name": "magic", "size": 4}},
        {"name": "meta", "type": {"type": "map", "values": "bytes"}},
        {"name": "sync", "type": {"type": "fixed", "name": "sync", "size": 16}},
    ],
}


def read_avro(content: bytes) -> Notice:
    """Read the one record of an Avro container.

    Raises
    ------
    UnreadableNotice
        If the container is damaged, or holds no record or several.
    """
    records = _records(content)
    if len(records) != 1:
        raise UnreadableNotice(f"The Avro notice holds {len(records)} records; one is expected.")
    return from_record(records[0], content, NoticeFormat.AVRO)


def _records(content: bytes) -> list[Any]:
    import fastavro

    damaged = (
        # What fastavro raises on damaged containers, none of it under a class of its own.
        ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError, MemoryError,
        AttributeError, RecursionError, zlib.error, fastavro.schema.SchemaParseException,
        fastavro.schema.UnknownType,
    )  # fmt: skip
    try:
        # Its header is read by this, and no block yet.
        reader = fastavro.reader(io.BytesIO(content))
        _require_small(content, reader.codec)
        return list(reader)
    except damaged as error:
        raise UnreadableNotice(f"The Avro notice is damaged: {error}.") from error


def _require_small(content: bytes, codec: str) -> None:
    """Refuse a container that would unpack to more than a notice has."""
    import fastavro

    if codec not in ("null", "deflate"):
        raise UnreadableNotice(f"The Avro notice is packed by {codec!r:.20}; deflate is read.")
    left = MAX_UNPACKED_BYTES
    blocks = io.BytesIO(content)
    fastavro.schemaless_reader(blocks, _CONTAINER, None)
    while (packed := _next_block(blocks)) is not None:
        if codec == "deflate":
            left -= len(zlib.decompressobj(wbits=-15).decompress(packed, left + 1))
            if left < 0:
                raise UnreadableNotice(
                    f"The Avro notice unpacks to over {MAX_UNPACKED_BYTES} bytes."
                )


def _next_block(blocks: io.BytesIO) -> bytes | None:
    """Return the packed bytes of the next block: count, size, bytes, 16 bytes of a mark."""
    import fastavro

    if blocks.tell() >= len(blocks.getbuffer()):
        return None
    fastavro.schemaless_reader(blocks, "long", None)
    packed: Any = fastavro.schemaless_reader(blocks, "bytes", None)
    blocks.seek(16, io.SEEK_CUR)
    return bytes(packed)
