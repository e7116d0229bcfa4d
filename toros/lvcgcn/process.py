"""What can be said of a notice or a sky map with no daemon, archive or network.

The command line calls these functions; the daemon uses `assess`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toros.common.clock import iso
from toros.common.config.lvcgcn import LvcgcnSettings
from toros.common.errors import UnreadableNotice, UnusableSkyMap
from toros.lvcgcn import catalogue as catalogues
from toros.lvcgcn.catalogue import Catalogue
from toros.lvcgcn.formats import MAX_NOTICE_BYTES, read_notice
from toros.lvcgcn.maps import ObtainedMap, obtain_map, read_file
from toros.lvcgcn.notice import Notice
from toros.lvcgcn.ranking import Ranking, rank
from toros.lvcgcn.skymap_fits import read_sky_map
from toros.lvcgcn.trigger import Decision, decide


@dataclass(frozen=True)
class Assessment:
    """A notice, its sky map and hosts, and whether it is followed."""

    notice: Notice
    obtained: ObtainedMap | None
    ranking: Ranking | None
    decision: Decision
    problems: tuple[str, ...]

    def as_json(self, *, hosts: int) -> dict[str, Any]:
        """Return what `alert process` prints, but for the revision and the relayed orders."""
        notice = self.notice
        sky_map = self.obtained.sky_map if self.obtained else None
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
            "sky_map": sky_map.summary() if sky_map else None,
            "hosts": self.ranking.hosts(hosts) if self.ranking else [],
            "dimensions": self.ranking.dimensions if self.ranking else None,
            "triggered": self.decision.triggered,
            "why": self.decision.why,
            "problems": list(self.problems),
        }


def assess(
    notice: Notice,
    settings: LvcgcnSettings,
    *,
    galaxies: Catalogue | None = None,
    sky_map: Path | None = None,
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

    Notes
    -----
    A sky map that cannot be used does not lose the notice: it is among the problems.
    """
    problems = list(notice.warnings)
    obtained, ranking, map_problem = None, None, None
    try:
        # The maps of other missions are recorded by their address only.
        if notice.is_gravitational or sky_map is not None:
            obtained = obtain_map(notice, settings, sky_map)
    except UnusableSkyMap as error:
        map_problem = str(error)
        problems.append(map_problem)
    if obtained is not None:
        problems += [*obtained.problems, *obtained.sky_map.notes]
        if galaxies is None:
            galaxies = catalogues.load(settings.catalog, settings.catalog_folder)
        ranking = rank(obtained.sky_map, galaxies)
    decision = decide(
        notice,
        obtained.sky_map if obtained else None,
        len(ranking) if ranking else 0,
        settings,
        map_problem,
    )
    return Assessment(notice, obtained, ranking, decision, tuple(problems))


def process_file(
    path: Path, settings: LvcgcnSettings, *, sky_map: Path | None = None
) -> dict[str, Any]:
    """Return what `toros alert process FILE` prints: one notice by hand, nothing is relayed.

    Raises
    ------
    UnreadableNotice
        If the file cannot be read as a notice.
    """
    notice = read_notice(read_notice_file(path))
    document = assess(notice, settings, sky_map=sky_map).as_json(hosts=settings.hosts)
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
    path: Path, settings: LvcgcnSettings, *, top: int | None = None, catalog: str | None = None
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

    Raises
    ------
    UnusableSkyMap, UnusableCatalogue
        If either cannot be used.
    """
    sky_map = read_sky_map(
        read_file(path, settings.max_map_bytes), max_bytes=settings.max_map_bytes
    )
    galaxies = catalogues.load(catalog or settings.catalog, settings.catalog_folder)
    ranking = rank(sky_map, galaxies)
    return {
        "hosts": ranking.hosts(settings.hosts if top is None else top),
        "event": sky_map.event,
        "catalog": galaxies.info.name,
        "dimensions": ranking.dimensions,
        **sky_map.summary(),
    }


def catalog_list(settings: LvcgcnSettings) -> list[dict[str, Any]]:
    """Return what `toros catalog list` prints: the catalogues, and whether each is built."""
    folder = settings.catalog_folder
    return [
        {
            "name": name,
            "title": catalogues.title(name),
            "built": catalogues.cache_path(name, folder).exists(),
            "path": str(catalogues.cache_path(name, folder)),
        }
        for name in catalogues.names()
    ]


def catalog_info(name: str, settings: LvcgcnSettings) -> dict[str, Any]:
    """Return what `toros catalog info NAME` prints."""
    found = catalogues.load(name, settings.catalog_folder)
    path = catalogues.cache_path(name, settings.catalog_folder)
    return {**found.describe(), "path": str(path)}


def catalog_build(name: str, settings: LvcgcnSettings) -> dict[str, Any]:
    """Build a catalogue anew, and return what `toros catalog build NAME` prints."""
    built, path = catalogues.build(name, settings.catalog_folder)
    return {**built.describe(), "path": str(path)}
