"""The observatories that alerts are relayed to."""

from __future__ import annotations

from dataclasses import dataclass

from toros.common.config import Config
from toros.sky.site import Site


@dataclass(frozen=True)
class Station:
    """One observatory: its name, the front desk of its telescope, and where it stands."""

    name: str
    telescope_url: str
    site: Site


def stations_of(config: Config) -> tuple[Station, ...]:
    """Return the configured observatories; with none, this node if it has a telescope."""
    if config.observatories:
        return tuple(
            Station(
                found.name,
                found.telescope,
                Site(found.name, found.location.lat, found.location.lon, found.location.height),
            )
            for found in config.observatories
        )
    if "telescope" not in config.services:
        return ()
    site = config.site
    here = Site(site.name, site.latitude, site.longitude, site.elevation)
    return (Station(config.node, config.url_of("telescope"), here),)
