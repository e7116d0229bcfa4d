"""Settings of the lvcgcn module."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from toros.common.config.alert_sources import AlertSources, AnnounceSettings
from toros.common.config.section import Section


class TriggerSettings(Section):
    """Which events are followed. What does not pass is recorded, with the reason."""

    significant_only: bool = Field(
        True, description="Follow only what the LVK call significant (or what does not say)."
    )
    max_far_hz: float | None = Field(
        None, gt=0, description="Greatest false-alarm rate; null: whatever it is."
    )
    max_area_90_deg2: float | None = Field(
        None, gt=0, description="Largest 90 % credible area; null: whatever it is."
    )
    max_distance_mpc: float | None = Field(
        None, gt=0, description="Greatest mean distance; null: whatever it is."
    )
    max_age_h: float | None = Field(
        None, gt=0, description="Greatest age of a notice when it comes; null: whatever it is."
    )
    min_has_ns: float = Field(
        0.0, ge=0, le=1, description="Least probability of a neutron star, where it is stated."
    )
    classes: dict[str, float] = Field(
        {}, description="Least probabilities, of which one must be met, as {BNS: 0.1, NSBH: 0.1}."
    )
    min_instruments: int = Field(1, ge=1, le=5, description="Least number of detectors.")
    max_terrestrial: float = Field(
        1.0, ge=0, le=1, description="Greatest probability that it is only noise."
    )


class LvcgcnSettings(Section):
    """Settings of the lvcgcn module."""

    folder: Path = Field(
        Path("/var/lib/toros/alerts"),
        description="Where every notice and sky map is kept, as it was received.",
    )
    catalog: str = Field("openngc", description="The catalogue of galaxies: see toros catalog.")
    catalog_folder: Path | None = Field(
        None, description="Where built catalogues are kept; null: the user's cache folder."
    )
    weight: Literal["none", "luminosity", "stellar_mass"] = Field(
        "none", description="What hosts are weighted with, where the catalogue knows it."
    )
    hosts: int = Field(
        30, ge=1, le=10_000, description="Most host galaxies that one observatory is given a night."
    )
    fields_of_view_deg: dict[str, float] = Field(
        {},
        description="Of observatories, as {MACON: 0.4}: hosts in one field are one pointing.",
    )
    min_altitude_deg: float = Field(
        30.0,
        ge=0,
        lt=90,
        description="Hosts that stay below this altitude all night are not sent to a telescope.",
    )
    max_sun_altitude_deg: float = Field(
        -12.0, ge=-90, le=0, description="It is night for a host while the Sun is below this."
    )
    max_airmass: float | None = Field(
        None, ge=1, description="Hosts must come below this airmass; null: the altitude says it."
    )
    min_moon_separation_deg: float = Field(
        0.0, ge=0, le=180, description="Hosts must be so far from the Moon while it is up."
    )
    drill_mode: bool = Field(
        False, description="Whether mock (M…) and test (T…) events may move a telescope."
    )
    combined_maps: bool = Field(
        True, description="Use the sky map combined with a coincident burst, where there is one."
    )
    other_missions: list[str] = Field(
        [],
        description="Whose notices are followed too, as [Swift, Fermi, IceCube, Einstein Probe].",
    )
    max_radius_deg: float = Field(
        10.0, gt=0, le=90, description="Largest error circle of another mission that is followed."
    )
    trigger: TriggerSettings = Field(TriggerSettings(), description="Which events are followed.")
    allowed_hosts: list[str] = Field(
        ["gracedb.ligo.org"], description="Hosts from which sky maps may be downloaded."
    )
    download_timeout_s: float = Field(
        20.0, gt=0, le=300, description="How long a silent download of a sky map is waited for."
    )
    download_pause_s: float = Field(
        1.0, ge=0, le=60, description="Pause before it is tried again; twice that, a third time."
    )
    late_map_pause_s: float = Field(
        60.0, gt=0, le=3600, description="Pause before a map that did not come is asked for anew."
    )
    late_map_hours: float = Field(
        6.0, ge=0, le=168, description="How long after its notice that goes on; 0: not at all."
    )
    max_map_bytes: int = Field(
        512 * 2**20, ge=2**20, description="Largest sky map, downloaded or unpacked."
    )
    relay_timeout_s: float = Field(
        10.0, gt=0, le=300, description="How long a telescope may take to answer an order."
    )
    relay_retry_s: float = Field(
        15.0, gt=0, description="Pause before a telescope that did not answer is tried again."
    )
    sources: AlertSources = Field(AlertSources(), description="Where notices come from.")
    announce: AnnounceSettings = Field(AnnounceSettings(), description="Who is told.")
