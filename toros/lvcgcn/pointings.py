"""Hosts that share a field of view become one pointing.

The best host that has no pointing yet begins one. The others join it, the likeliest first, while
all of them still lie within the field; it points at the middle. This is greedy, and does not
look for the fewest pointings: the best host keeps the first place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from toros.lvcgcn.skymap import Floats


@dataclass(frozen=True)
class Pointing:
    """One place for a telescope to look at.

    Parameters
    ----------
    name : str
        The likeliest host in it.
    ra_deg, dec_deg : float
        Where to point (ICRS).
    rank : int
        Of that host among all galaxies, counted from 1.
    score, probability : float
        Summed over the hosts in it.
    distance_mpc : float or None
        Of that host.
    members : tuple of str
        All hosts in it, the likeliest first.
    """

    name: str
    ra_deg: float
    dec_deg: float
    rank: int
    score: float
    probability: float
    distance_mpc: float | None
    members: tuple[str, ...]


def pointings_of(hosts: Sequence[dict[str, Any]], field_deg: float | None) -> list[Pointing]:
    """Return the pointings that cover some hosts, the likeliest first.

    Parameters
    ----------
    hosts : sequence of dict
        As `Ranking.hosts` gives them, the likeliest first.
    field_deg : float or None
        Side of the square field, less the margin that one wants; None gives each host its own.
    """
    if field_deg is None:
        groups = [[place] for place in range(len(hosts))]
    else:
        ra = np.array([host["ra"] for host in hosts], dtype=float)
        dec = np.array([host["dec"] for host in hosts], dtype=float)
        groups = _groups(ra, dec, field_deg)
    found = [_pointing([hosts[place] for place in group]) for group in groups]
    return _told_apart(sorted(found, key=lambda pointing: -pointing.score))


def in_one_turn(ra_deg: float) -> float:
    """Return a right ascension, 0 ≤ ra < 360: of a tiny negative one the remainder is 360."""
    turned = ra_deg % 360.0
    return turned if turned < 360.0 else 0.0


def _told_apart(pointings: list[Pointing]) -> list[Pointing]:
    """Number the pointings that share a name: a telescope tells its targets apart by name."""
    taken: set[str] = set()
    result = []
    for pointing in pointings:
        name, number = pointing.name, 1
        while name in taken:
            number += 1
            name = f"{pointing.name} ({number})"
        taken.add(name)
        result.append(pointing if number == 1 else replace(pointing, name=name))
    return result


def _groups(ra_deg: Floats, dec_deg: Floats, field_deg: float) -> list[list[int]]:
    free = np.ones(ra_deg.size, dtype=bool)
    groups = []
    for seed in range(ra_deg.size):
        if not free[seed]:
            continue
        x, y = _offsets_deg(ra_deg, dec_deg, seed)
        near = np.flatnonzero(free & (np.abs(x) <= field_deg) & (np.abs(y) <= field_deg))
        group, box = [seed], np.zeros(4)
        for place in near[near > seed]:
            grown = _grown(box, x[place], y[place])
            if max(grown[1] - grown[0], grown[3] - grown[2]) <= field_deg:
                group.append(int(place))
                box = grown
        free[group] = False
        groups.append(group)
    return groups


def _grown(box: Floats, x: float, y: float) -> Floats:
    """Return the box (x from, x to, y from, y to) that also holds a point."""
    return np.array([min(box[0], x), max(box[1], x), min(box[2], y), max(box[3], y)])


def _offsets_deg(ra_deg: Floats, dec_deg: Floats, seed: int) -> tuple[Floats, Floats]:
    """Return offsets to the east and north on the tangent plane at `seed`; ∞ behind it."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    sin0, cos0 = np.sin(dec[seed]), np.cos(dec[seed])
    turn = ra - ra[seed]
    toward = sin0 * np.sin(dec) + cos0 * np.cos(dec) * np.cos(turn)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.cos(dec) * np.sin(turn) / toward
        y = (cos0 * np.sin(dec) - sin0 * np.cos(dec) * np.cos(turn)) / toward
    behind = toward <= 0
    x[behind], y[behind] = np.inf, np.inf
    return np.degrees(x), np.degrees(y)


def _pointing(hosts: list[dict[str, Any]]) -> Pointing:
    best = hosts[0]
    ra_deg, dec_deg = best["ra"], best["dec"]
    if len(hosts) > 1:
        ra_deg, dec_deg = _middle(hosts)
    return Pointing(
        name=best["name"],
        ra_deg=in_one_turn(ra_deg),
        dec_deg=dec_deg,
        rank=best["rank"],
        score=sum(host["score"] for host in hosts),
        probability=sum(host["probability"] for host in hosts),
        distance_mpc=best["distance_mpc"],
        members=tuple(host["name"] for host in hosts),
    )


def _middle(hosts: list[dict[str, Any]]) -> tuple[float, float]:
    """Return the middle of the box around some hosts, from the tangent plane at the first."""
    ra = np.array([host["ra"] for host in hosts], dtype=float)
    dec = np.array([host["dec"] for host in hosts], dtype=float)
    x, y = (np.radians(axis) for axis in _offsets_deg(ra, dec, 0))
    east, north = (x.min() + x.max()) / 2, (y.min() + y.max()) / 2
    sin0, cos0 = np.sin(np.radians(dec[0])), np.cos(np.radians(dec[0]))
    turn = np.arctan2(east, cos0 - north * sin0)
    up = np.arctan2(sin0 + north * cos0, np.hypot(east, cos0 - north * sin0))
    return float(ra[0] + np.degrees(turn)), float(np.degrees(up))
