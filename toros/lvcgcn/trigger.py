"""Whether an event is followed, and why or why not: one sentence for people, and every rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from toros.common.config.lvcgcn import LvcgcnSettings
from toros.common.own_names import value_of
from toros.lvcgcn.notice import Notice
from toros.lvcgcn.skymap import SkyMap

_LABELS = {
    "MOCK": "A mock event",
    "TEST": "A test",
    "INJECTION": "A hardware injection",
}

#: A position that is better known than this is a target itself, where no field of view is given.
POINT_RADIUS_DEG = 0.1


@dataclass(frozen=True)
class Check:
    """One rule: whether the event passes, and one sentence that says so."""

    rule: str
    passed: bool
    says: str


@dataclass(frozen=True)
class Decision:
    """Whether an event is followed, one sentence that says why, and each rule that was asked."""

    triggered: bool
    why: str
    checks: tuple[Check, ...] = ()

    def as_json(self) -> list[dict[str, Any]]:
        """Return the rules as data."""
        return [asdict(check) for check in self.checks]


@dataclass(frozen=True)
class Evidence:
    """What is known beside the notice.

    Parameters
    ----------
    sky_map : SkyMap or None
        Its usable sky map.
    hosts : int
        How many galaxies of the catalogue can be its host.
    map_problem : str or None
        Why there is no usable map, where the notice has one.
    received : datetime or None
        When it came.
    """

    sky_map: SkyMap | None = None
    hosts: int = 0
    map_problem: str | None = None
    received: datetime | None = None


def decide(notice: Notice, evidence: Evidence, settings: LvcgcnSettings) -> Decision:
    """Decide whether a notice moves telescopes.

    Every rule is asked, so that the record says all that stands in the way; `why` is the first.
    """
    checks = [*_about_the_notice(notice, settings)]
    if not notice.is_retraction:  # which says nothing of the event but that it is none
        checks += _about_the_rules(notice, evidence, settings)
        checks += _about_the_map(notice, evidence, settings)
    reasons = [check.says for check in checks if not check.passed]
    if reasons:
        return Decision(False, reasons[0], tuple(checks))
    return Decision(True, _followed(notice, evidence.sky_map, settings), tuple(checks))


def follows(settings: LvcgcnSettings, observatory: str) -> bool:
    """Return whether the notices of another mission are followed."""
    return observatory.casefold() in {name.casefold() for name in settings.other_missions}


def is_target_itself(
    notice: Notice, settings: LvcgcnSettings, observatory: str | None = None
) -> bool:
    """Return whether another mission's position is so good that it is the target itself.

    Parameters
    ----------
    notice : Notice
        The notice.
    settings : LvcgcnSettings
        The fields of view.
    observatory : str, optional
        For whom; by default, for any.
    """
    position = notice.position
    if notice.is_gravitational or position is None or position.radius_deg is None:
        return False
    known = settings.fields_of_view_deg
    fields = known.values() if observatory is None else filter(None, [value_of(known, observatory)])
    return position.radius_deg <= max((field / 2 for field in fields), default=POINT_RADIUS_DEG)


def _about_the_notice(notice: Notice, settings: LvcgcnSettings) -> Iterator[Check]:
    who = notice.observatory
    if not notice.is_gravitational and follows(settings, who):
        yield Check("mission", True, f"{who} is among lvcgcn.other_missions.")
    elif not notice.is_gravitational:
        says = f"A notice of {who}, not of gravitational waves: recorded only."
        yield Check("mission", False, says)
    if notice.is_retraction:
        yield Check("alert_type", False, "The event is retracted.")
    if notice.label and settings.drill_mode:
        yield Check("label", True, f"{_LABELS[notice.label]}, in drill mode.")
    elif notice.label:
        says = f"{_LABELS[notice.label]} moves no telescope while lvcgcn.drill_mode is off."
        yield Check("label", False, says)


def _about_the_rules(
    notice: Notice, evidence: Evidence, settings: LvcgcnSettings
) -> Iterator[Check]:
    rules = settings.trigger
    if rules.significant_only and notice.is_gravitational:
        passed = notice.significant is not False
        yield Check(
            "significant_only",
            passed,
            f"The event is {_significance(notice.significant)}.",
        )
    if rules.max_far_hz is not None and notice.far_hz is not None:
        yield _at_most(
            "max_far_hz", "Its false-alarm rate", notice.far_hz, rules.max_far_hz, "{:.3g} Hz"
        )
    if rules.max_age_h is not None and evidence.received is not None:
        age_h = (evidence.received - notice.time_created).total_seconds() / 3600
        yield _at_most("max_age_h", "Its age", age_h, rules.max_age_h, "{:.1f} h")
    if not notice.is_gravitational:
        return
    terrestrial = notice.classification.get("Terrestrial", 0.0)
    yield Check(
        "max_terrestrial",
        terrestrial <= rules.max_terrestrial,
        f"It is noise with a probability of {terrestrial:.2f}.",
    )
    yield from _about_its_kind(notice, settings)


def _about_its_kind(notice: Notice, settings: LvcgcnSettings) -> Iterator[Check]:
    rules = settings.trigger
    star = notice.properties.get("HasNS")
    if rules.min_has_ns > 0 and star is not None:
        yield Check(
            "min_has_ns",
            star >= rules.min_has_ns,
            f"It holds a neutron star with a probability of {star:.2f}; "
            f"{rules.min_has_ns:.2f} is asked.",
        )
    # A burst has no classes; it is for the other rules to decide on.
    if rules.classes and notice.classification:
        said = {name: value_of(notice.classification, name) or 0.0 for name in rules.classes}
        yield Check(
            "classes",
            any(said[name] >= least for name, least in rules.classes.items()),
            "Its classes: "
            + ", ".join(
                f"{name} {said[name]:.2f} ({least:.2f} is asked)"
                for name, least in rules.classes.items()
            )
            + ".",
        )
    if rules.min_instruments > 1 and notice.instruments:
        yield Check(
            "min_instruments",
            len(notice.instruments) >= rules.min_instruments,
            f"It was seen by {', '.join(notice.instruments)}; "
            f"{rules.min_instruments} detectors are asked.",
        )


def _about_the_map(notice: Notice, evidence: Evidence, settings: LvcgcnSettings) -> Iterator[Check]:
    rules = settings.trigger
    sky_map = evidence.sky_map
    if sky_map is None:
        yield Check("map", False, evidence.map_problem or "The notice has no sky map.")
        return
    if not is_target_itself(notice, settings):
        galaxies = f"{evidence.hosts} or more galaxies" if evidence.hosts else "No galaxy"
        says = f"{galaxies} of the catalogue {settings.catalog} can be its host."
        yield Check("hosts", evidence.hosts > 0, says)
    if rules.max_distance_mpc is not None and sky_map.distance_mpc is not None:
        yield _at_most(
            "max_distance_mpc",
            "Its distance",
            sky_map.distance_mpc,
            rules.max_distance_mpc,
            "{:.0f} Mpc",
        )
    if rules.max_area_90_deg2 is not None:
        area = sky_map.credible_area_deg2(0.9)
        yield _at_most(
            "max_area_90_deg2", "Its 90 % area", area, rules.max_area_90_deg2, "{:.0f} deg²"
        )


def _at_most(rule: str, what: str, value: float, limit: float, form: str) -> Check:
    passed = value <= limit
    side = "within" if passed else "above"
    return Check(rule, passed, f"{what}, {form.format(value)}, is {side} {form.format(limit)}.")


def _significance(said: bool | None) -> str:
    if said is None:
        return "of unstated significance"
    return "significant" if said else "of low significance"


def _followed(notice: Notice, sky_map: SkyMap | None, settings: LvcgcnSettings) -> str:
    parts = []
    if notice.is_gravitational:
        said = _significance(notice.significant)
        parts.append(said[0].upper() + said[1:])
    else:
        parts.append(f"Of {notice.observatory}")
    if notice.classification:
        likeliest = max(notice.classification, key=lambda name: notice.classification[name])
        parts.append(f"{likeliest} with probability {notice.classification[likeliest]:.2f}")
    if notice.external is not None:
        parts.append(f"coincident with {notice.external.observatory or 'another event'}")
    if is_target_itself(notice, settings):
        parts.append("its position is the target")
    elif sky_map is not None:
        parts.append(f"{area_text(sky_map.credible_area_deg2(0.9))} at 90 %")
        if sky_map.distance_mpc is not None and sky_map.distance_sigma_mpc is not None:
            parts.append(f"{sky_map.distance_mpc:.0f} ± {sky_map.distance_sigma_mpc:.0f} Mpc")
        if sky_map.distances is None:
            parts.append("ranked by sky position alone, as there are no distances")
    drill = f"{_LABELS[notice.label]}, in drill mode: " if notice.label else ""
    return f"{drill}{', '.join(parts)}."


def area_text(area_deg2: float) -> str:
    """Return an area for people: whole square degrees, or one digit of less."""
    return f"{area_deg2:.0f} deg²" if area_deg2 >= 1 else f"{area_deg2:.1g} deg²"
