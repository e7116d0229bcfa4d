"""Where on the detector the pixels of a raw file are: amplifiers, overscan, trim.

The convention is that of NOAO and IRAF [1]_: DATASEC is the part of the image that saw light,
BIASSEC its overscan, TRIMSEC what is to be kept, DETSEC (or CCDSEC) the place of DATASEC on the
detector in unbinned pixels; an axis given backwards was read out backwards. A file of several
amplifiers has an extension for each, or numbered cards (BIASSEC1, DATASEC1, DETSEC1, GAIN1).

References
----------
.. [1] F. Valdes, "Guide to the NOAO Mosaic Data Handling Software", NOAO (1998); the keyword
   dictionary at http://iraf.noao.edu/projects/ccdmosaic/imagedef/imagedef.html
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from toros.common.errors import UnreadableFile
from toros.imaging.headers.cards import Card, Cards, Findings
from toros.imaging.headers.detector import decide_gain, decide_read_noise
from toros.imaging.headers.sections import Section, parse_section, whole

# Cards that IRAF's and ccdproc's tools leave when they have done it already.
_DONE = ("TRIM", "OVERSCAN", "TRIMIM", "TRIM_IMAGE", "SUBOVER", "SUBTRACT_OVERSCAN")
_NOT_DONE = frozenset({"f", "false", "n", "no", "none", "0"})
_MOST_AMPLIFIERS = 64


@dataclass(frozen=True)
class Amplifier:
    """What one amplifier read out.

    Parameters
    ----------
    hdu : int
        Index of the HDU in the file.
    data : Section
        Its pixels that saw light and are kept, in that HDU.
    bias : Section, optional
        Its overscan, in that HDU.
    place : Section
        Where `data` goes in the frame; `flip_x` and `flip_y` say whether it is turned over.
    gain_e_adu, read_noise_e : float, optional
        Of this amplifier [e-/ADU], [e-].
    """

    hdu: int
    data: Section
    bias: Section | None
    place: Section
    gain_e_adu: float | None = None
    read_noise_e: float | None = None


@dataclass(frozen=True)
class Layout:
    """How a frame is put together from what its amplifiers read out.

    Parameters
    ----------
    shape : tuple of int
        (height, width) of the frame: trimmed, all amplifiers in place.
    amplifiers : tuple of Amplifier
        In the order of the file.
    """

    shape: tuple[int, int]
    amplifiers: tuple[Amplifier, ...]

    @property
    def gain_e_adu(self) -> float | None:
        """The gain that the frame is brought to: the mean of the amplifiers', if all are known."""
        gains = [one.gain_e_adu for one in self.amplifiers]
        known = [gain for gain in gains if gain is not None]
        return sum(known) / len(known) if len(known) == len(gains) else None

    @property
    def read_noise_e(self) -> float | None:
        """The read noise of all amplifiers together, if all are known: the root mean square."""
        known = [one.read_noise_e for one in self.amplifiers if one.read_noise_e is not None]
        if len(known) < len(self.amplifiers):
            return None
        return math.sqrt(sum(noise**2 for noise in known) / len(known))

    @property
    def has_overscan(self) -> bool:
        """Whether every amplifier has one."""
        return all(one.bias is not None for one in self.amplifiers)


@dataclass(frozen=True)
class ImageCards:
    """One image of a file: the index of its HDU, its own cards, its (height, width)."""

    hdu: int
    cards: Cards
    shape: tuple[int, int]


def decide_layout(path: Path, images: Sequence[ImageCards], findings: Findings) -> Layout | None:
    """Return the layout of a raw file; None where the first image is the frame as it is.

    Raises
    ------
    UnreadableFile
        If the file is of several amplifiers that do not fit together.
    """
    if not images:
        return None
    placed = [image for image in images if image.cards.first(("DETSEC", "CCDSEC")) is not None]
    if len(placed) > 1:
        amplifiers = [_of_extension(path, image, findings) for image in placed]
        findings.decide("layout", "DETSEC of each extension")
        return _fitted(path, amplifiers)
    if len(images) > 1:
        findings.note(f"The file holds {len(images)} images: the first is the frame.")
    return _numbered(path, images[0], findings) or _trimmed(images[0], findings)


def _trimmed(image: ImageCards, findings: Findings) -> Layout | None:
    done = next((card for card in image.cards.every(_DONE) if _says_done(card)), None)
    names = ("BIASSEC", "TRIMSEC", "DATASEC")
    if done is not None:
        if image.cards.first(names) is not None:
            findings.note(f"{done.keyword}: overscan or trim was done already.")
        return None
    bias = _section(image, "BIASSEC", findings)
    data = _section(image, "TRIMSEC", findings) or _section(image, "DATASEC", findings)
    if bias is not None and data is not None and bias.overlaps(data):
        if data.shape != image.shape:
            findings.note("BIASSEC overlaps the data: not used as overscan.")
            bias = None
        else:
            data = None
    if data is None:
        data = whole(image.shape) if bias is None else _beside(bias, image.shape)
        if data is None:
            findings.note("BIASSEC is not along an edge of the image: not used as overscan.")
            return None
    if bias is None and data.shape == image.shape:
        return None
    findings.decide("layout", "BIASSEC, TRIMSEC" if bias else "TRIMSEC")
    place = Section(0, data.shape[1], 0, data.shape[0])
    return Layout(data.shape, (Amplifier(image.hdu, data, bias, place),))


def _says_done(card: Card) -> bool:
    """Return whether a card of `_DONE` means that: some cameras count their overscan in it."""
    if isinstance(card.value, bool):
        return card.value
    if isinstance(card.value, int | float):
        return card.keyword != "OVERSCAN" and card.value != 0
    return card.text().lower() not in _NOT_DONE


def _section(image: ImageCards, keyword: str, findings: Findings) -> Section | None:
    card = image.cards.get(keyword)
    if card is None:
        return None
    section = parse_section(card.text(), image.shape)
    if section is None:
        findings.note(f"{keyword} = {card.text()!r} is no image section: not used.")
    elif not section.inside(image.shape):
        findings.note(
            f"{keyword} = {card.text()!r} is outside this image of "
            f"{image.shape[1]}×{image.shape[0]}: not used."
        )
        section = None
    return section


def _beside(bias: Section, shape: tuple[int, int]) -> Section | None:
    """Return what is left of an image when an overscan along one of its edges is cut off."""
    height, width = shape
    if bias.y_start == 0 and bias.y_stop == height:
        if bias.x_stop == width and bias.x_start > 0:
            return Section(0, bias.x_start, 0, height)
        if bias.x_start == 0 and bias.x_stop < width:
            return Section(bias.x_stop, width, 0, height)
    if bias.x_start == 0 and bias.x_stop == width:
        if bias.y_stop == height and bias.y_start > 0:
            return Section(0, width, 0, bias.y_start)
        if bias.y_start == 0 and bias.y_stop < height:
            return Section(0, width, bias.y_stop, height)
    return None


def _numbered(path: Path, image: ImageCards, findings: Findings) -> Layout | None:
    amplifiers = []
    for number in range(1, _MOST_AMPLIFIERS + 1):
        detector = image.cards.first((f"DETSEC{number}", f"CCDSEC{number}"))
        if detector is None:
            break
        data = _section(image, f"DATASEC{number}", findings)
        trim = _section(image, f"TRIMSEC{number}", findings)
        bias = _section(image, f"BIASSEC{number}", findings)
        gain = image.cards.first_positive((f"GAIN{number}", f"EGAIN{number}", f"GTGAIN{number}"))
        noise = image.cards.first_positive((f"RDNOISE{number}", f"GTRON{number}"))
        amplifiers.append(
            _placed(
                path,
                image.hdu,
                data or trim,
                trim,
                bias,
                detector.text(),
                gain[1] if gain else None,
                noise[1] if noise else None,
            )
        )
    if len(amplifiers) < 2:
        return None
    findings.decide("layout", "DETSEC1, DETSEC2, …")
    return _fitted(path, amplifiers)


def _of_extension(path: Path, image: ImageCards, findings: Findings) -> Amplifier:
    own = Findings()  # the gain of one extension is not that of the frame
    gain, _setting = decide_gain(image.cards, own)
    noise = decide_read_noise(image.cards, gain, own)
    data = _section(image, "DATASEC", findings)
    trim = _section(image, "TRIMSEC", findings)
    bias = _section(image, "BIASSEC", findings)
    detector = image.cards.first(("DETSEC", "CCDSEC"))
    text = detector.text() if detector is not None else ""
    data = data or trim or whole(image.shape)
    return _placed(path, image.hdu, data, trim, bias, text, gain, noise)


def _placed(
    path: Path,
    hdu: int,
    data: Section | None,
    trim: Section | None,
    bias: Section | None,
    detector: str,
    gain: float | None,
    noise: float | None,
) -> Amplifier:
    on_detector = parse_section(detector)
    if data is None or on_detector is None:
        raise UnreadableFile(f"{path}: DATASEC or DETSEC {detector!r} of an amplifier is missing.")
    binning = [
        size / own for size, own in zip(on_detector.shape, data.shape, strict=True)
    ]  # (y, x)
    if any(factor != int(factor) or factor < 1 for factor in binning):
        raise UnreadableFile(f"{path}: DETSEC {detector!r} does not fit its DATASEC.")
    by, bx = int(binning[0]), int(binning[1])
    place = Section(
        on_detector.x_start // bx,
        on_detector.x_start // bx + data.shape[1],
        on_detector.y_start // by,
        on_detector.y_start // by + data.shape[0],
        on_detector.flip_x != data.flip_x,
        on_detector.flip_y != data.flip_y,
    )
    if trim is not None and trim != data:
        data, place = _cropped(data, place, trim)
    return Amplifier(hdu, data, bias, place, gain, noise)


def _cropped(data: Section, place: Section, trim: Section) -> tuple[Section, Section]:
    """Return data and place cut to what is to be kept."""
    x0, x1 = max(trim.x_start, data.x_start), min(trim.x_stop, data.x_stop)
    y0, y1 = max(trim.y_start, data.y_start), min(trim.y_stop, data.y_stop)
    left, right = x0 - data.x_start, data.x_stop - x1
    low, high = y0 - data.y_start, data.y_stop - y1
    if place.flip_x:
        left, right = right, left
    if place.flip_y:
        low, high = high, low
    kept = Section(x0, x1, y0, y1, data.flip_x, data.flip_y)
    moved = Section(
        place.x_start + left, place.x_stop - right,
        place.y_start + low, place.y_stop - high,
        place.flip_x, place.flip_y,
    )  # fmt: skip
    return kept, moved


def _fitted(path: Path, amplifiers: Sequence[Amplifier]) -> Layout:
    """Return the layout with its origin at the lowest pixel that any amplifier has."""
    for one, other in combinations(amplifiers, 2):
        if one.place.overlaps(other.place):
            raise UnreadableFile(f"{path}: two amplifiers have the same place on the detector.")
    x = min(one.place.x_start for one in amplifiers)
    y = min(one.place.y_start for one in amplifiers)
    moved = tuple(
        Amplifier(
            one.hdu, one.data, one.bias, one.place.moved(-x, -y), one.gain_e_adu, one.read_noise_e
        )
        for one in amplifiers
    )
    width = max(one.place.x_stop for one in moved)
    height = max(one.place.y_stop for one in moved)
    return Layout((height, width), moved)
