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
        return list(fastavro.reader(io.BytesIO(content)))
    except damaged as error:
        raise UnreadableNotice(f"The Avro notice is damaged: {error}.") from error
