"""From a header to an `ExposureInfo`."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from astropy.io import fits

from toros.common.errors import UnreadableFile
from toros.imaging.fits_io import BROKEN, image_hdu, open_fits, plane_shape, quiet
from toros.imaging.gzipped import check_gzipped
from toros.imaging.headers.angles import decide_pointing, note_bogus_wcs
from toros.imaging.headers.cards import Cards, Findings
from toros.imaging.headers.detector import (
    decide_binning,
    decide_gain,
    decide_offset,
    decide_read_noise,
    decide_read_out_mode,
    decide_saturation,
    decide_temperatures,
    gain_of_unit,
)
from toros.imaging.headers.exposure import ExposureInfo
from toros.imaging.headers.foreign import spell_out
from toros.imaging.headers.image_type import decide_image_type
from toros.imaging.headers.layout import ImageCards, Layout, decide_layout
from toros.imaging.headers.names import (
    FILTER_CARDS,
    decide_filter,
    decide_instrument,
    decide_object,
    decide_serial,
)
from toros.imaging.headers.processed import why_processed
from toros.imaging.headers.signs import SIGNED, bits_above_zero, part_below, why_misread
from toros.imaging.headers.steps import step_of_counts
from toros.imaging.headers.times import decide_date_obs
from toros.imaging.headers.window import decide_window

logger = logging.getLogger(__name__)

# Whoever wants the pixels will say so; the header may be sound.
_DAMAGED = "What its pixels tell is not known: %s"
_EXPTIME = ("EXPTIME", "EXPOSURE", "EXP-TIME", "EXP_TIME", "ITIME", "CAHA DET REQTIM")
_LONGEST_S = 7 * 86400.0
_SECONDS = re.compile(r"[\[(]s(ec)?[\])]|(?<![-\w])sec(ond)?s?\b", re.IGNORECASE)
# In the comment, or after the number; "us" alone is a word too.
_PARTS_OF_A_SECOND = (
    ("milliseconds", 1e3, re.compile(r"(\b|\d)(?-i:ms)\b|\bmilli-?sec|(\b|\d)msec", re.IGNORECASE)),
    (
        "microseconds",
        1e6,
        re.compile(r"[\[(]us[\])]|\d\s*us\b|\bmicro-?sec|(\b|\d)usec", re.IGNORECASE),
    ),
)


def read_anew(path: Path) -> ExposureInfo:
    """Read the header of the first image in the FITS file `path`; see `read_exposure`."""
    with open_fits(path) as hdus:
        check_gzipped(path)
        try:
            with quiet():
                return _described(path, hdus)
        except BROKEN as error:
            raise UnreadableFile(f"{path}: its header cannot be read: {error}") from error


def _described(path: Path, hdus: fits.HDUList) -> ExposureInfo:
    hdu = image_hdu(hdus, path)
    shape = hdu.shape
    headers = [hdu.header] if hdu is hdus[0] else [hdu.header, hdus[0].header]
    spell_out(hdus[0].header, path, FILTER_CARDS)
    images = _images(hdus)
    bits = bits_above_zero(hdu.header)
    info = describe_header(
        path,
        *headers,
        naxis=(shape[-1], shape[-2]),
        bits=bits,
        step=_step(path, hdu) if bits == 16 and plane_shape(shape) is not None else 1,
        images=images,
    )
    return _judged(info, [hdus[image.hdu] for image in images]) if bits == SIGNED else info


def _step(path: Path, hdu: Any) -> int:
    try:
        return step_of_counts(path, hdu)
    except UnreadableFile as error:
        logger.debug(_DAMAGED, error)
        return 1


def _judged(info: ExposureInfo, hdus: Sequence[Any]) -> ExposureInfo:
    """Return what is known of a frame of signed counts, with why they cannot be such."""
    if info.processed is not None:
        return info
    try:
        part = part_below(info.path, hdus)
    except UnreadableFile as error:
        logger.debug(_DAMAGED, error)
        return info
    why = why_misread(part, info.image_type)
    return info if why is None else replace(info, misread=why, notes=(*info.notes, why))


def _images(hdus: fits.HDUList) -> list[ImageCards]:
    return [
        ImageCards(index, Cards(hdu.header), plane)
        for index, hdu in enumerate(hdus)
        if getattr(hdu, "is_image", False)
        and len(hdu.shape) >= 2
        and (plane := plane_shape(hdu.shape)) is not None
    ]


def describe_header(
    path: Path,
    *headers: fits.Header,
    naxis: tuple[int, int] | None = None,
    bits: int | None = None,
    step: int = 1,
    images: Sequence[ImageCards] = (),
) -> ExposureInfo:
    """Return what `headers` (the image's first, then what it inherits) say of the exposure.

    Parameters
    ----------
    path : pathlib.Path
        Where they come from; its name is looked at when nothing else tells the image type.
    naxis : tuple of int, optional
        (NAXIS1, NAXIS2) of the image; otherwise taken from the header.
    bits : int, optional
        Of integer pixels, those that tell what is above 0.
    step : int
        By which they count.
    images : sequence of ImageCards, optional
        Every plain image of the file, for its amplifiers, overscan and trim.

    Raises
    ------
    UnreadableFile
        If its amplifiers do not fit together.
    """
    cards, findings = Cards(*headers), Findings()
    for keyword in cards.unreadable:
        findings.note(f"The card {keyword} cannot be read.")
    exptime_s = _exptime(cards, findings)
    ccd_temp_c, set_temp_c = decide_temperatures(cards, findings)
    gain_e_adu, gain_setting = decide_gain(cards, findings)
    ra_deg, dec_deg = decide_pointing(cards, findings)
    note_bogus_wcs(cards, findings)
    processed = why_processed(cards)
    if processed is not None:
        findings.note(processed)
    else:
        gain_e_adu = gain_of_unit(cards, gain_e_adu, findings)
    width, height = naxis or _naxis(cards)
    # A product of ours, or of anybody, is whole and trimmed.
    layout = decide_layout(path, images, findings) if processed is None else None
    if layout is not None:
        gain_e_adu = _common_gain(layout, gain_e_adu, findings)
    read_noise_e = decide_read_noise(cards, gain_e_adu, findings)
    if layout is not None and layout.read_noise_e is not None:
        read_noise_e = layout.read_noise_e
        findings.decide("read_noise", "root mean square of the amplifiers")
    values: dict[str, Any] = {
        "image_type": decide_image_type(cards, path, exptime_s, findings),
        "filter": decide_filter(cards, findings),
        "binning": decide_binning(cards, findings),
        "window": decide_window(cards, findings),
        "read_noise_e": read_noise_e,
        "read_out_mode": decide_read_out_mode(cards, findings),
        "saturation_adu": decide_saturation(cards, gain_e_adu, bits, step, findings),
        "date_obs": decide_date_obs(cards, findings),
        "instrument": decide_instrument(cards, findings),
        "serial": decide_serial(cards, findings),
        "object": decide_object(cards, findings),
    }
    return ExposureInfo(
        path=path,
        exptime_s=exptime_s,
        ccd_temp_c=ccd_temp_c,
        set_temp_c=set_temp_c,
        gain_e_adu=gain_e_adu,
        gain_setting=gain_setting,
        offset_setting=decide_offset(cards, findings),
        naxis1=width,
        naxis2=height,
        ra_deg=ra_deg,
        dec_deg=dec_deg,
        layout=layout,
        processed=processed,
        decided_by=findings.decided_by,
        notes=tuple(findings.notes),
        header=cards.as_json(),
        **values,
    )


def _common_gain(layout: Layout, of_header: float | None, findings: Findings) -> float | None:
    """Return the gain that the amplifiers are brought to, else that of the header for them all."""
    if layout.gain_e_adu is not None:
        findings.decide("gain", "mean of the amplifiers")
        return layout.gain_e_adu
    if any(one.gain_e_adu is not None for one in layout.amplifiers):
        # The header's may be that of the first amplifier alone.
        findings.decided_by.pop("gain", None)
        findings.note("Not every amplifier tells its gain: the electrons per ADU are unknown.")
        return None
    return of_header


def _exptime(cards: Cards, findings: Findings) -> float | None:
    for card in cards.every(_EXPTIME):
        value = card.number()
        if value is None:
            findings.note(f"{card.keyword} = {card.text()!r} is no number: not used.")
            continue
        told = card.text() if _SECONDS.search(card.comment) else f"{card.text()} / {card.comment}"
        for unit, parts, pattern in _PARTS_OF_A_SECOND:
            if pattern.search(told):
                findings.note(f"{card.keyword} is in {unit}: converted.")
                value /= parts
        if not 0 <= value <= _LONGEST_S:
            findings.note(f"{card.keyword} = {card.text()} is no exposure time in seconds.")
            continue
        findings.decide("exptime", card.keyword)
        return value
    return None


def _naxis(cards: Cards) -> tuple[int | None, int | None]:
    # A compressed image keeps its size in ZNAXIS.
    width = cards.first_number(("ZNAXIS1", "NAXIS1"))
    height = cards.first_number(("ZNAXIS2", "NAXIS2"))
    return (int(width[1]) if width else None, int(height[1]) if height else None)
