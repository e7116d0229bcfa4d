"""The sky map that a notice brings along as text."""

from __future__ import annotations

import base64


def map_of_text(text: str) -> bytes:
    """Return the bytes of a map in base64, which encoders of mail break into lines.

    Raises
    ------
    binascii.Error
        If it is no whole base64.
    """
    return base64.b64decode("".join(text.split()), validate=True)
