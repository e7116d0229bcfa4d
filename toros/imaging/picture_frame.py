"""What is around a picture: title, axes in pixels, and the scale of its greys.

Drawn with Pillow: matplotlib takes five times as long for it as all that is in the picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from math import floor, log10
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

# Pixels around the picture, and between it and the scale.
_LEFT, _RIGHT, _TOP, _BOTTOM, _GAP = 76, 112, 40, 56, 20
_BAR, _TICK = 17, 5
_BLACK, _WHITE = 0, 255
_TITLE_PX, _LABEL_PX, _NUMBER_PX = 15, 12, 11
# No axis has numbers closer than this; across they are longer than high.
_APART_X, _APART_Y = 70, 40
_LEAST_HEIGHT = 90
# No page is wide enough for more characters.
_LONGEST_TITLE = 200


def framed(
    grey: NDArray[np.uint8],
    shape: tuple[int, int],
    title: str,
    levels: Sequence[str],
    unit: str,
) -> Image.Image:
    """Return the picture `grey` with what belongs around it.

    Parameters
    ----------
    grey : numpy.ndarray
        The image [y, x], its first row to be at the bottom.
    shape : tuple of int
        (height, width) of the image that is shown, in its own pixels: what the axes count.
    levels : sequence of str
        What stands at even steps of grey, black first.
    unit : str
        Of `levels`.

    Returns
    -------
    PIL.Image.Image
        In shades of grey (mode ``"L"``).
    """
    height, width = grey.shape
    page = Image.new(
        "L", (_LEFT + width + _RIGHT, _TOP + max(height, _LEAST_HEIGHT) + _BOTTOM), _WHITE
    )
    draw = ImageDraw.Draw(page)
    page.paste(Image.fromarray(np.flipud(grey)), (_LEFT, _TOP))
    _title(draw, title, page.width)
    _across(draw, grey.shape, shape[1])
    _up(page, draw, grey.shape, shape[0])
    _scale(page, draw, grey.shape, levels, unit)
    return page


def _title(draw: ImageDraw.ImageDraw, title: str, width: int) -> None:
    text, font = _printable(title[:_LONGEST_TITLE]), _font(_TITLE_PX)
    whole = text
    while text and draw.textlength(text, font) > width - 10:
        whole = whole[:-1]
        text = f"{whole}…" if whole else ""
    draw.text((width // 2, _TOP // 2), text, _BLACK, font, anchor="mm")


def _across(draw: ImageDraw.ImageDraw, size: tuple[int, int], pixels: int) -> None:
    height, width = size
    bottom = _TOP + height
    _box(draw, _LEFT, _TOP, width, height)
    for number, place in _places(pixels, width, _APART_X):
        x = _LEFT + place
        draw.line((x, bottom, x, bottom + _TICK), _BLACK)
        draw.text((x, bottom + 8), f"{number}", _BLACK, _font(_NUMBER_PX), anchor="mt")
    middle = _LEFT + width // 2
    draw.text((middle, bottom + 30), "x [pixel]", _BLACK, _font(_LABEL_PX), anchor="mt")


def _up(page: Image.Image, draw: ImageDraw.ImageDraw, size: tuple[int, int], pixels: int) -> None:
    height, _width = size
    for number, place in _places(pixels, height, _APART_Y):
        y = _TOP + height - 1 - place
        draw.line((_LEFT - 1 - _TICK, y, _LEFT - 1, y), _BLACK)
        draw.text((_LEFT - 10, y), f"{number}", _BLACK, _font(_NUMBER_PX), anchor="rm")
    _upwards(page, "y [pixel]", 18, _TOP + height // 2)


def _scale(
    page: Image.Image,
    draw: ImageDraw.ImageDraw,
    size: tuple[int, int],
    levels: Sequence[str],
    unit: str,
) -> None:
    height, width = size
    tall = max(height, _LEAST_HEIGHT)
    left = _LEFT + width + _GAP
    greys = np.round(np.linspace(_WHITE, _BLACK, tall)).astype(np.uint8)
    page.paste(Image.fromarray(np.repeat(greys[:, None], _BAR, axis=1)), (left, _TOP))
    _box(draw, left, _TOP, _BAR, tall)
    right = left + _BAR
    for index, level in enumerate(levels):
        y = _TOP + round((tall - 1) * (1 - index / max(len(levels) - 1, 1)))
        draw.line((right, y, right + _TICK, y), _BLACK)
        draw.text((right + 8, y), level, _BLACK, _font(_NUMBER_PX), anchor="lm")
    _upwards(page, _printable(unit), page.width - 14, _TOP + tall // 2)


def _box(draw: ImageDraw.ImageDraw, left: int, top: int, width: int, height: int) -> None:
    draw.rectangle((left - 1, top - 1, left + width, top + height), outline=_BLACK)


def _upwards(page: Image.Image, text: str, x: int, y: int) -> None:
    """Write `text` from below to above, its middle at (`x`, `y`)."""
    font = _font(_LABEL_PX)
    start, top, end, bottom = (round(edge) for edge in font.getbbox(text))
    label = Image.new("L", (max(end - start, 1), max(bottom - top, 1)), _WHITE)
    ImageDraw.Draw(label).text((-start, -top), text, _BLACK, font)
    turned = label.transpose(Image.Transpose.ROTATE_90)
    page.paste(turned, (x - turned.width // 2, y - turned.height // 2))


def _places(pixels: int, length: int, apart: int) -> Iterable[tuple[int, int]]:
    """Yield round numbers of pixels, and where they are on an axis of `length`.

    The first pixel is 1, as FITS counts, and the middle of a pixel is a whole number.
    """
    step = _round_step(pixels * apart / length)
    for number in range(step, pixels + 1, step):
        yield number, min(int((number - 0.5) * length / pixels), length - 1)


def _round_step(least: float) -> int:
    """Return the smallest of 1, 2, 5, 10, 20, … that is not below `least`."""
    if least <= 1:
        return 1
    power = int(10 ** floor(log10(least)))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)


def _printable(text: str) -> str:
    """Return `text` on one line; a file name that is no UTF-8 is shown as far as it can be."""
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return "".join(one if one.isprintable() else "\ufffd" for one in line)


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    # DejaVu Sans has Greek too; its file comes with matplotlib, which need not be imported.
    found = find_spec("matplotlib")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("matplotlib is not installed: the font of previews is its.")
    folder = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(folder / "DejaVuSans.ttf", size)
