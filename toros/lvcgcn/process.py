"""What can be said of a notice or a sky map with no daemon, archive or network.

The command line calls these functions; the daemon uses `assess`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from toros.common.atomic import write_bytes
from toros.common.clock import iso
from toros.common.config.lvcgcn import LvcgcnSettings
from toros.common.errors import UnreadableNotice, UnusableSkyMap
from toros.lvcgcn import catalogue_sources as catalogues
from toros.lvcgcn.catalogue import Catalogue, Weight
from toros.lvcgcn.formats import MAX_NOTICE_BYTES, read_notice
from toros.lvcgcn.maps import ObtainedMap, obtain_map, read_file
from toros.lvcgcn.notice import Notice
from toros.lvcgcn.ranking import Ranking, rank
from toros.lvcgcn.skymap import SkyMap
from toros.lvcgcn.skymap_disc import around
from toros.lvcgcn.skymap_fits import read_sky_map
from toros.lvcgcn.trigger import Decision, Evidence, decide, follows

#: Hosts that the archive keeps of every alert, so that it can be asked without ranking again.
KEPT_HOSTS = 100


@dataclass(frozen=True)
class Assessment:
    """A notice, its sky map and hosts, and whether it is followed."""

    notice: Notice
    obtained: ObtainedMap | None
    sky_map: SkyMap | None
    ranking: Ranking | None
    decision: Decision
    problems: tuple[str, ...]

    def as_json(self, *, hosts: int) -> dict[str, Any]:
        """Return what `alert process` prints, but for the revision and the relayed orders."""
        notice = self.notice
        sky_map, position = self.sky_map, notice.position
        return {
            "event": notice.event,
            "revision_name": notice.revision,
            "alert_type": notice.alert_type.value,
            "role": notice.role,
            "label": notice.label,
            "significant": notice.significant,
            "observatory": notice.observatory,
            "time_created": iso(notice.time_created),
            "event_time": iso(notice.event_time) if notice.event_time else None,
            "far_hz": notice.far_hz,
            "classification": dict(notice.classification),
            "properties": dict(notice.properties),
            "instruments": list(notice.instruments),
            "group": notice.group,
            "search": notice.search,
            "pipeline": notice.pipeline,
            "external": notice.external.as_json() if notice.external else None,
            "urls": dict(notice.urls),
            "position": asdict(position) if position else None,
            "sky_map": sky_map.summary() if sky_map else None,
            "sky_map_origin": self.obtained.origin if self.obtained else None,
            "hosts": self.ranking.hosts(hosts) if self.ranking else [],
            "dimensions": self.ranking.dimensions if self.ranking else None,
            "weight": self.ranking.weight.value if self.ranking else None,
            "completeness": self.ranking.completeness if self.ranking else None,
            "triggered": self.decision.triggered,
            "why": self.decision.why,
            "rules": self.decision.as_json(),
            "problems": list(self.problems),
        }


def assess(
    notice: Notice,
    settings: LvcgcnSettings,
    *,
    galaxies: Catalogue | None = None,
    sky_map: Path | None = None,
    received: datetime | None = None,
) -> Assessment:
    """Get a notice's sky map, rank its hosts and decide whether it is followed.

    Parameters
    ----------
    notice : Notice
        The notice.
    settings : LvcgcnSettings
        The rules, and what may be downloaded.
    galaxies : Catalogue, optional
        By default the catalogue of the settings.
    sky_map : pathlib.Path, optional
        A sky map to use instead of the notice's.
    received : datetime, optional
        When the notice came.

    Notes
    -----
    A sky map that cannot be used does not lose the notice: it is among the problems.
    """
    problems = list(notice.warnings)
    obtained, ranking, map_problem = None, None, None
    try:
        # The maps of missions that are not followed are recorded by their address only.
        followed = notice.is_gravitational or follows(settings, notice.observatory)
        if followed or sky_map is not None:
            obtained = obtain_map(notice, settings, sky_map)
    except UnusableSkyMap as error:
        map_problem = str(error)
        problems.append(map_problem)
    if obtained is not None:
        problems += [*obtained.problems, *obtained.sky_map.notes]
    found = obtained.sky_map if obtained else _error_circle(notice, settings)
    if found is not None:
        if galaxies is None:
            galaxies = catalogues.load(settings.catalog, settings.catalog_folder)
        count = max(settings.hosts, KEPT_HOSTS)
        ranking = rank(found, galaxies, count, Weight(settings.weight))
    evidence = Evidence(found, len(ranking) if ranking else 0, map_problem, received)
    decision = decide(notice, evidence, settings)
    return Assessment(notice, obtained, found, ranking, decision, tuple(problems))


def _error_circle(notice: Notice, settings: LvcgcnSettings) -> SkyMap | None:
    """Return a map of another mission's position, if the mission is followed and it is no map."""
    position = notice.position
    if position is None or notice.is_gravitational or notice.is_retraction:
        return None
    if not follows(settings, notice.observatory):
        return None
    if position.radius_deg is None or position.radius_deg > settings.max_radius_deg:
        return None
    return around(position)


def process_file(
    path: Path, settings: LvcgcnSettings, *, sky_map: Path | None = None
) -> dict[str, Any]:
    """Return what `toros alert process FILE` prints: one notice by hand, nothing is relayed.

    Raises
    ------
    UnreadableNotice
        If the file cannot be read as a notice.
    UnusableSkyMap
        If the sky map that was named cannot be used.
    """
    notice = read_notice(read_notice_file(path))
    assessment = assess(notice, settings, sky_map=sky_map)
    refused = [check for check in assessment.decision.checks if check.rule == "map"]
    if sky_map is not None and refused:
        # The daemon records the notice all the same; who names a file wants that one.
        raise UnusableSkyMap(refused[0].says)
    document = assessment.as_json(hosts=settings.hosts)
    # Without the archive nobody counts revisions but a VOEvent itself.
    return {**document, "revision": notice.serial or 1, "relayed": []}


def read_notice_file(path: Path) -> bytes:
    """Return the bytes of a notice's file.

    Raises
    ------
    UnreadableNotice
        If it cannot be read, or is too large for a notice.
    """
    try:
        if path.stat().st_size > MAX_NOTICE_BYTES:
            raise UnreadableNotice(f"{path} has over {MAX_NOTICE_BYTES} bytes: no notice.")
        return path.read_bytes()
    except OSError as error:
        raise UnreadableNotice(f"The notice {path} cannot be read: {error.strerror}.") from error


def rank_file(
    path: Path,
    settings: LvcgcnSettings,
    *,
    top: int | None = None,
    catalog: str | None = None,
    weight: Weight | None = None,
) -> dict[str, Any]:
    """Return what `toros alert rank SKYMAP` prints.

    Parameters
    ----------
    path : pathlib.Path
        The sky map.
    settings : LvcgcnSettings
        For the catalogue, and the number of hosts if `top` is not given.
    top : int, optional
        How many hosts to list.
    catalog : str, optional
        Name of another catalogue.
    weight : Weight, optional
        Another weight than that of the settings.

    Raises
    ------
    UnusableSkyMap, UnusableCatalogue
        If either cannot be used.
    """
    sky_map = read_sky_map(
        read_file(path, settings.max_map_bytes), max_bytes=settings.max_map_bytes
    )
    galaxies = catalogues.load(catalog or settings.catalog, settings.catalog_folder)
    count = settings.hosts if top is None else top
    ranking = rank(sky_map, galaxies, count, Weight(settings.weight) if weight is None else weight)
    return {
        "hosts": ranking.hosts(count),
        "event": sky_map.event,
        "catalog": galaxies.info.name,
        "dimensions": ranking.dimensions,
        "weight": ranking.weight.value,
        "completeness": ranking.completeness,
        **sky_map.summary(),
    }


def plot_file(
    path: Path, settings: LvcgcnSettings, hosts: list[dict[str, Any]], picture: Path
) -> None:
    """Draw a sky map with its hosts as a PNG."""
    from toros.lvcgcn.plot import plot_sky_map

    limit = settings.max_map_bytes
    sky_map = read_sky_map(read_file(path, limit), max_bytes=limit)
    places = [(host["name"], host["ra"], host["dec"]) for host in hosts]
    write_bytes(picture, plot_sky_map(sky_map, sky_map.event or path.name, places))
