"""Whether an event is followed, and why or why not: one sentence for people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from toros.common.config.lvcgcn import LvcgcnSettings
from toros.lvcgcn.notice import Notice
from toros.lvcgcn.skymap import SkyMap

_LABELS = {
    "MOCK": "a mock event",
    "TEST": "a test",
    "INJECTION": "a hardware injection",
}


@dataclass(frozen=True)
class Decision:
    """Whether an event is followed, and one sentence that says why."""

    triggered: bool
    why: str


def decide(
    notice: Notice,
    sky_map: SkyMap | None,
    hosts: int,
    settings: LvcgcnSettings,
    map_problem: str | None = None,
) -> Decision:
    """Decide whether a notice moves telescopes.

    Parameters
    ----------
    notice : Notice
        The notice.
    sky_map : SkyMap or None
        Its usable sky map.
    hosts : int
        How many galaxies of the catalogue can be its host.
    settings : LvcgcnSettings
        The rules.
    map_problem : str, optional
        Why there is no usable map, where the notice has one.
    """
    reasons = [
        *_about_the_notice(notice, settings),
        *_about_the_rules(notice, settings),
        *_about_the_map(sky_map, hosts, settings, map_problem),
    ]
    if reasons:
        return Decision(False, reasons[0])
    return Decision(True, _followed(notice, sky_map))


def _about_the_notice(notice: Notice, settings: LvcgcnSettings) -> Iterator[str]:
    if not notice.is_gravitational:
        yield f"A notice of {notice.observatory}, not of gravitational waves: recorded only."
    elif notice.is_retraction:
        yield "The event is retracted."
    if notice.label and not settings.drill_mode:
        yield (
            f"{notice.label}: {_LABELS[notice.label]} moves no telescope while "
            "lvcgcn.drill_mode is off."
        )


def _about_the_rules(notice: Notice, settings: LvcgcnSettings) -> Iterator[str]:
    rules = settings.trigger
    if rules.significant_only and notice.significant is False:
        yield "The event is of low significance."
    if rules.max_far_hz is not None and (notice.far_hz or 0.0) > rules.max_far_hz:
        yield f"Its false-alarm rate {notice.far_hz:.3g} Hz is above {rules.max_far_hz:.3g} Hz."
    terrestrial = notice.classification.get("Terrestrial", 0.0)
    if terrestrial > rules.max_terrestrial:
        yield f"It is noise with a probability of {terrestrial:.2f}."


def _about_the_map(
    sky_map: SkyMap | None, hosts: int, settings: LvcgcnSettings, problem: str | None
) -> Iterator[str]:
    rules = settings.trigger
    if sky_map is None:
        yield problem or "The notice has no sky map."
        return
    if hosts == 0:
        yield f"No galaxy of the catalogue {settings.catalog} can be its host."
    distance = sky_map.distance_mpc
    if rules.max_distance_mpc is not None and (distance or 0.0) > rules.max_distance_mpc:
        yield f"Its distance, {distance:.0f} Mpc, is above {rules.max_distance_mpc:.0f} Mpc."
    if rules.max_area_90_deg2 is not None:
        area = sky_map.credible_area_deg2(0.9)
        if area > rules.max_area_90_deg2:
            yield f"Its 90 % area, {area:.0f} deg², is above {rules.max_area_90_deg2:.0f} deg²."


def _followed(notice: Notice, sky_map: SkyMap | None) -> str:
    parts = ["Significant" if notice.significant else "Of unstated significance"]
    if notice.classification:
        likeliest = max(notice.classification, key=lambda name: notice.classification[name])
        parts.append(f"{likeliest} with probability {notice.classification[likeliest]:.2f}")
    if sky_map is not None:
        parts.append(f"{sky_map.credible_area_deg2(0.9):.0f} deg² at 90 %")
        if sky_map.distance_mpc is not None and sky_map.distance_sigma_mpc is not None:
            parts.append(f"{sky_map.distance_mpc:.0f} ± {sky_map.distance_sigma_mpc:.0f} Mpc")
        if sky_map.distances is None:
            parts.append("ranked by sky position alone: the map has no distances")
    drill = f"{notice.label} in drill mode: " if notice.label else ""
    return f"{drill}{', '.join(parts)}."
