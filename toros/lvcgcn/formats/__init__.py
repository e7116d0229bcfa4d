"""The formats in which notices come, one file each."""

from __future__ import annotations

from toros.common.errors import UnreadableNotice
from toros.lvcgcn.formats.avro import AVRO_MAGIC, read_avro
from toros.lvcgcn.formats.gwalert import read_gwalert
from toros.lvcgcn.formats.voevent import read_voevent
from toros.lvcgcn.notice import Notice

__all__ = ["read_notice"]

#: A notice with two embedded sky maps is 2 MB; the largest seen were below 4 MiB.
MAX_NOTICE_BYTES = 16 * 2**20

_UTF8_BOM = b"\xef\xbb\xbf"


def read_notice(content: bytes) -> Notice:
    """Read a notice in whatever format it is.

    Parameters
    ----------
    content : bytes
        VOEvent XML, `igwn.gwalert` JSON, or an Avro container of it.

    Raises
    ------
    UnreadableNotice
        With one sentence that says what is wrong.
    """
    if len(content) > MAX_NOTICE_BYTES:
        raise UnreadableNotice(
            f"The notice has {len(content)} bytes; no more than {MAX_NOTICE_BYTES} are read."
        )
    if content.startswith(AVRO_MAGIC):
        return read_avro(content)
    text = content.removeprefix(_UTF8_BOM).lstrip()
    if text.startswith(b"<"):
        return read_voevent(text)
    if text.startswith(b"{"):
        return read_gwalert(text)
    if not text:
        raise UnreadableNotice("The notice is empty.")
    raise UnreadableNotice("The notice is neither VOEvent XML, gwalert JSON nor Avro.")
