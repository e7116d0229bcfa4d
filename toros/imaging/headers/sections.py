"""Image sections as FITS headers write them: ``[x1:x2,y1:y2]``, both ends included."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_AXIS = r"\s*(?:(\d+)\s*:\s*(\d+)|(\*|:|-\*))\s*"
_SECTION = re.compile(rf"\[{_AXIS},{_AXIS}\]")


@dataclass(frozen=True)
class Section:
    """A rectangle of pixels as numpy counts: from 0, the end left out.

    Parameters
    ----------
    x_start, x_stop, y_start, y_stop : int
        The rectangle.
    flip_x, flip_y : bool
        Whether the header gave the axis from its far end: the pixels run backwards.
    """

    x_start: int
    x_stop: int
    y_start: int
    y_stop: int
    flip_x: bool = False
    flip_y: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return (self.y_stop - self.y_start, self.x_stop - self.x_start)

    @property
    def slices(self) -> tuple[slice, slice]:
        """The rectangle as an index of an image [y, x]."""
        return (slice(self.y_start, self.y_stop), slice(self.x_start, self.x_stop))

    def inside(self, shape: tuple[int, int]) -> bool:
        """Return whether the rectangle lies in an image of (height, width)."""
        return self.y_stop <= shape[0] and self.x_stop <= shape[1]

    def overlaps(self, other: Section) -> bool:
        """Return whether the two have a pixel in common."""
        return (
            self.x_start < other.x_stop
            and other.x_start < self.x_stop
            and self.y_start < other.y_stop
            and other.y_start < self.y_stop
        )

    def moved(self, x: int, y: int) -> Section:
        """Return the rectangle moved by (x, y) pixels."""
        return replace(
            self,
            x_start=self.x_start + x,
            x_stop=self.x_stop + x,
            y_start=self.y_start + y,
            y_stop=self.y_stop + y,
        )


def whole(shape: tuple[int, int]) -> Section:
    """Return the section that is all of an image of (height, width)."""
    return Section(0, shape[1], 0, shape[0])


def parse_section(text: str, shape: tuple[int, int] | None = None) -> Section | None:
    """Return the section that `text` means, None if it is none.

    Parameters
    ----------
    text : str
        As in BIASSEC; ``*`` or ``:`` is the whole axis, and only understood with a `shape`.
    shape : tuple of int, optional
        (height, width) of the image.

    Examples
    --------
    >>> parse_section("[1:4,11:20]")
    Section(x_start=0, x_stop=4, y_start=10, y_stop=20, flip_x=False, flip_y=False)
    """
    found = _SECTION.fullmatch(text.strip())
    if found is None:
        return None
    x = _axis(found.group(1, 2, 3), shape[1] if shape else None)
    y = _axis(found.group(4, 5, 6), shape[0] if shape else None)
    if x is None or y is None:
        return None
    return Section(x[0], x[1], y[0], y[1], x[2], y[2])


def _axis(parts: tuple[str | None, ...], size: int | None) -> tuple[int, int, bool] | None:
    first, last, everything = parts
    if everything is not None:
        return None if size is None else (0, size, everything == "-*")
    one, two = int(first or 0), int(last or 0)
    if min(one, two) < 1:
        return None
    return (min(one, two) - 1, max(one, two), one > two)
