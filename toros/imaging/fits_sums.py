"""DATASUM and CHECKSUM of an HDU.

References
----------
FITS standard 4.0, section 4.4.2.7 and appendix J; R. Seaman, W. Pence and A. Rots (2012),
"FITS Checksum Proposal".
"""

from __future__ import annotations

import numpy as np
from astropy.io import fits

from toros.imaging.kernels.encoding import sum_bytes

_ALL = 0xFFFFFFFF
# Between the digits and the letters, and between both kinds of letters, stand signs.
_SIGNS = frozenset((*range(0x3A, 0x41), *range(0x5B, 0x61)))
_ZEROS = "0" * 16
_DATASUM_COMMENT = "sum of the data's 32-bit words"
_CHECKSUM_COMMENT = "makes the sum of the HDU's words -0"


def folded(total: int) -> int:
    """Return a sum of 32-bit words in ones-complement arithmetic: carries are added again."""
    while total > _ALL:
        total = (total & _ALL) + (total >> 32)
    return total


def encoded(value: int) -> str:
    """Return a 32-bit number as the 16 letters and digits of a CHECKSUM card."""
    rows = []
    for shift in (24, 16, 8, 0):
        byte = (value >> shift) & 0xFF
        parts = [byte // 4 + 0x30] * 4
        parts[0] += byte % 4
        while any(part in _SIGNS for part in parts):
            for k in (0, 2):
                if parts[k] in _SIGNS or parts[k + 1] in _SIGNS:
                    parts[k] += 1
                    parts[k + 1] -= 1
        rows.append(parts)
    # Byte by byte of each of the four; then turned by one place, as the card's value starts.
    text = "".join(chr(rows[byte][place]) for place in range(4) for byte in range(4))
    return text[-1] + text[:-1]


def unsealed(header: fits.Header) -> bytes:
    """Return the bytes of a header, padded to a block, with a place for CHECKSUM and DATASUM.

    Parameters
    ----------
    header : astropy.io.fits.Header
        With every card that describes the data; the two cards are set in it.
    """
    header["CHECKSUM"] = (_ZEROS, _CHECKSUM_COMMENT)
    header["DATASUM"] = ("0", _DATASUM_COMMENT)
    text: str = header.tostring()
    return text.encode("ascii")


def sealed(content: bytes, data_sum: int) -> bytes:
    """Return what `unsealed` did with the right CHECKSUM and DATASUM.

    The values are put in their places: to make the text again takes astropy some milliseconds.

    Parameters
    ----------
    data_sum : int
        Sum of the data's words.
    """
    total = folded(data_sum)
    content = content.replace(_data_sum_card(0), _data_sum_card(total), 1)
    checksum = folded(sum_bytes(np.frombuffer(content, np.uint8), 0) + total)
    value = encoded(~checksum & _ALL)
    card = f"CHECKSUM= '{_ZEROS}'".encode()
    return content.replace(card, card.replace(_ZEROS.encode(), value.encode()), 1)


def _data_sum_card(total: int) -> bytes:
    """Return the card up to its comment, as the standard wants text: 8 characters at least."""
    value = f"'{total:<8}'"
    return f"DATASUM = {value:<20} /".encode()
