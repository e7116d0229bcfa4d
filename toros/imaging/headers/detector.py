"""The detector: temperature, binning, gain, read noise, read-out mode, saturation."""

from __future__ import annotations

import re

from toros.imaging.headers.cards import Card, Cards, Findings

# CCDATEMP: Liverpool Telescope; CAMTEMP: MicroObservatory (kelvin) and POCS ('44 C').
_TEMPERATURE = (
    "CCD-TEMP", "CCDTEMP", "CCD_TEMP", "TEMPERAT", "DET-TEMP", "DETTEMP", "CCDATEMP", "CAMTEMP",
    "CAHA DET CCD1 TEMP", "SENSTEMP",
)  # fmt: skip
_SET_POINT = ("SET-TEMP", "SETTEMP", "CCDSTEMP", "CCDSET")
_ELECTRONS_PER_ADU = ("EGAIN", "E-GAIN", "EPERDN", "CCDSENS", "CAHA DET CCD1 CF")
_GAIN_SETTING = ("GAINSET", "GAIN", "CAM-GAIN", "GAINRAW", "CCDGAIN", "ISO", "ISOSPEED")
# OFFSET may be one of the telescope too, where no comment tells.
_OFFSET = ("BLKLEVEL", "OFFSET")
_OF_CAMERA = re.compile(r"camera|sensor|black", re.IGNORECASE)
_READ_NOISE = (
    "RDNOISE", "READNOIS", "READNOISE", "RDNOIS", "CCDRON", "RON", "ENOISE", "CAHA DET CCD1 RON",
)  # fmt: skip
_READ_OUT_MODE = ("READOUTM", "READMODE", "READOUT", "RDMODE", "CCDSPEED", "READ-MOD")
_SATURATION = ("SATURATE", "SATLEVEL", "SATURATN", "SATURATI", "MAXLIN")
_BINNING = (
    ("XBINNING", "YBINNING"), ("CCDXBIN", "CCDYBIN"), ("CCDBINX", "CCDBINY"), ("XBIN", "YBIN"),
    ("BINX", "BINY"), ("HBIN", "VBIN"), ("CAHA DET CCD1 WIN1 BINX", "CAHA DET CCD1 WIN1 BINY"),
)  # fmt: skip

_ZERO_CELSIUS_K = 273.15
# No CCD works at +100 °C or more; kelvin scales give 150 to 320.
_PLAUSIBLE_C = (-200.0, 100.0)
_KELVIN = re.compile(r"kelvin|\[K\]|\bdeg\.? ?K\b", re.IGNORECASE)
_KELVIN_VALUE = re.compile(r"[\d.]\s*K\b")
_ELECTRONS = frozenset({"electron", "electrons", "e-", "e", "elec", "photoelectron"})
_PER_ADU = re.compile(r"(electrons?|e-?)\s*(/|per)\s*(adu|dn|count|a/d)", re.IGNORECASE)
_IN_ELECTRONS = re.compile(r"\(e-?\)|\[e-?\]|electron", re.IGNORECASE)
_IN_ADU = re.compile(r"\badu\b|\bdn\b|\bcounts?\b", re.IGNORECASE)


def _celsius(card: Card, findings: Findings) -> float | None:
    value = card.number()
    if value is None:
        return None
    if "-1 if no data" in card.comment and value == -1:
        return None
    kelvin = (
        bool(_KELVIN.search(card.comment))
        or bool(_KELVIN_VALUE.search(str(card.value)))
        or _PLAUSIBLE_C[1] < value < 400
    )
    celsius = value - _ZERO_CELSIUS_K if kelvin else value
    if not _PLAUSIBLE_C[0] <= celsius <= _PLAUSIBLE_C[1]:
        findings.note(f"{card.keyword} = {card.text()} is no temperature of a detector.")
        return None
    if kelvin:
        findings.note(f"{card.keyword} = {card.text()} is in kelvin: converted to Celsius.")
    return round(celsius, 6)


def celsius_told(value: object) -> float | None:
    """Return the temperature [°C] that the value of a card tells, None if it tells none."""
    return _celsius(Card("", value, ""), Findings())


def decide_temperatures(cards: Cards, findings: Findings) -> tuple[float | None, float | None]:
    """Return (measured, set point) of the detector in Celsius."""
    measured = set_point = None
    for card in cards.every(_TEMPERATURE):
        measured = _celsius(card, findings)
        if measured is not None:
            findings.decide("ccd_temp", card.keyword)
            break
    for card in cards.every(_SET_POINT):
        set_point = _celsius(card, findings)
        if set_point is not None:
            findings.decide("set_temp", card.keyword)
            break
    if measured is None and set_point is not None:
        findings.note("Only the set point of the cooler is known, not the CCD's temperature.")
    return measured, set_point


def decide_binning(cards: Cards, findings: Findings) -> tuple[int, int] | None:
    """Return the binning (x, y)."""
    for x_name, y_name in _BINNING:
        x, y = cards.first_number((x_name,)), cards.first_number((y_name,))
        if x is not None and y is not None and _is_binning(x[1]) and _is_binning(y[1]):
            findings.decide("binning", f"{x_name}, {y_name}")
            return int(x[1]), int(y[1])
    for card in cards.every(("CCDSUM", "BINNING")):
        numbers = [int(found) for found in re.findall(r"\d+", card.text())][:2]
        if numbers and all(_is_binning(number) for number in numbers):
            findings.decide("binning", card.keyword)
            return numbers[0], numbers[-1]
    return None


def _is_binning(value: float) -> bool:
    return value == int(value) and 1 <= value <= 64


def decide_gain(cards: Cards, findings: Findings) -> tuple[float | None, float | None]:
    """Return (gain in e-/ADU, gain setting); a card GAIN may be either."""
    gain = setting = None
    found = cards.first_positive(_ELECTRONS_PER_ADU)
    if found is not None:
        gain = found[1]
        findings.decide("gain", found[0].keyword)
    for card in cards.every(_GAIN_SETTING):
        value = card.number()
        if value is None:
            continue
        if card.keyword == "GAIN" and value > 0 and _is_electrons(card, value):
            if gain is None:
                gain = value
                findings.decide("gain", "GAIN")
            continue
        setting = value
        findings.decide("gain_setting", card.keyword)
        break
    if gain is None and setting is not None:
        findings.note(
            f"{findings.decided_by['gain_setting']} = {setting:g} is a gain setting: "
            "the electrons per ADU are unknown."
        )
    return gain, setting


def decide_offset(cards: Cards, findings: Findings) -> float | None:
    """Return the camera's offset setting, in its own units: the pedestal goes with it."""
    for card in cards.every(_OFFSET):
        value = card.number()
        if value is not None and (card.keyword != "OFFSET" or _OF_CAMERA.search(card.comment)):
            findings.decide("offset_setting", card.keyword)
            return value
    return None


def gain_of_unit(cards: Cards, gain: float | None, findings: Findings) -> float | None:
    """Return the gain of the pixels of a raw frame: 1 where they are in electrons already."""
    unit = cards.get("BUNIT")
    if unit is None or unit.text().lower() not in _ELECTRONS:
        return gain
    findings.decide("gain", "BUNIT")
    findings.note(f"BUNIT = {unit.text()!r}: the pixels are electrons, the gain is 1.")
    return 1.0


def _is_electrons(card: Card, value: float) -> bool:
    if _PER_ADU.search(card.comment):
        return True
    # IRAF's GAIN is e-/ADU and comes without a comment; a setting is a whole number.
    return not card.comment and value != int(value) and value < 50


def decide_read_noise(cards: Cards, gain: float | None, findings: Findings) -> float | None:
    """Return the read noise in electrons."""
    found = cards.first_positive(_READ_NOISE)
    if found is None:
        return None
    card, value = found
    if _IN_ADU.search(card.comment) and not _IN_ELECTRONS.search(card.comment):
        if gain is None:
            findings.note(f"{card.keyword} is in ADU and the gain is unknown: not used.")
            return None
        value *= gain
        findings.note(f"{card.keyword} is in ADU: converted with the gain.")
    findings.decide("read_noise", card.keyword)
    return value


def decide_read_out_mode(cards: Cards, findings: Findings) -> str | None:
    """Return the name of the read-out mode."""
    card = cards.first(_READ_OUT_MODE)
    if card is None:
        return None
    findings.decide("read_out_mode", card.keyword)
    return card.text()


def decide_saturation(
    cards: Cards, gain: float | None, bits: int | None, step: int, findings: Findings
) -> float | None:
    """Return the raw level [ADU] from which a pixel is saturated.

    `bits` is how many of the bits of integer pixels tell what is above 0, and they count by `step`:
    no level over their ceiling can be seen.
    """
    ceiling = float(2**bits - step) if bits in (8, 15, 16) else None
    if step > 1:
        findings.note(f"All counts are multiples of {step}: the highest is {ceiling:g}.")
    level = _saturation_card(cards, gain)
    if level is not None and (ceiling is None or level[1] <= ceiling):
        findings.decide("saturation", level[0])
        return level[1]
    if ceiling is not None:
        findings.decide("saturation", "BITPIX")
    return ceiling


def _saturation_card(cards: Cards, gain: float | None) -> tuple[str, float] | None:
    found = cards.first_positive(_SATURATION)
    if found is not None:
        card, level = found
        electrons = _IN_ELECTRONS.search(card.comment) and not _IN_ADU.search(card.comment)
        if not electrons:
            return card.keyword, level
        if gain:
            return card.keyword, level / gain
    # Calar Alto gives the full well, in electrons.
    full_well = cards.first_positive(("CCDSAT",))
    if full_well is not None and gain:
        return "CCDSAT", full_well[1] / gain
    # In SBFITSEXT headers DATAMAX is the saturation level; elsewhere it is the largest pixel.
    datamax = cards.first_positive(("DATAMAX",))
    if datamax is not None:
        sbig = cards.get("SBSTDVER") is not None
        if sbig or "saturation" in datamax[0].comment.lower():
            return "DATAMAX", datamax[1]
    return None
