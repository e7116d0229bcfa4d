"""Each observatory's hosts: the likeliest of those that it can see tonight, or the next night."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from toros.common.connection_handler import MAX_BODY
from toros.lvcgcn.notice import Notice
from toros.lvcgcn.pointings import Pointing, in_one_turn, pointings_of
from toros.lvcgcn.ranking import Ranking, host_row
from toros.lvcgcn.search import Best, HostSearch
from toros.lvcgcn.skymap import Floats, Integers, SkyMap
from toros.lvcgcn.visibility import Tonight

#: A host that is so many times less likely than the best one is not worth a telescope's time.
LEAST_SHARE = 1e-6

#: What a front desk reads of one call, less the envelope.
_ORDER_BYTES = MAX_BODY - 2**14
#: What a target of an order takes in XML beside its name, and a member of it beside its own.
_TARGET_BYTES, _MEMBER_BYTES = 720, 48


def visible_hosts(
    sky_map: SkyMap, ranking: Ranking, tonight: Tonight, count: int
) -> list[dict[str, Any]]:
    """Return the `count` likeliest hosts that can be seen tonight, with their ranks among all.

    None of them is less likely than `LEAST_SHARE` of the best of all.

    Parameters
    ----------
    sky_map : SkyMap
        The event.
    ranking : Ranking
        Its hosts: the catalogue, the weight and the sum of the scores are taken from it.
    tonight : Tonight
        The observatory's night.
    count : int
        How many.
    """
    search = HostSearch(sky_map, ranking.catalogue, ranking.weight, within=tonight.pixels())
    seen = _seen(search, ranking, tonight, count)
    ranks = _ranks(sky_map, ranking, seen)
    return [
        host_row(ranking, int(row), float(score), int(rank))
        for row, score, rank in zip(seen.rows, seen.scores, ranks, strict=True)
    ]


def observatory_pointings(
    sky_map: SkyMap,
    ranking: Ranking,
    nights: Sequence[Tonight],
    count: int,
    field_deg: float | None,
) -> list[Pointing]:
    """Return one observatory's pointings for an event, the likeliest first.

    Each of the nights gives up to `count` hosts: what only the next one shows must not take the
    place of what can be looked at now.
    """
    found: dict[tuple[str, float, float], dict[str, Any]] = {}
    for night in nights:
        for host in visible_hosts(sky_map, ranking, night, count):
            found[host["name"], host["ra"], host["dec"]] = host
    hosts = sorted(found.values(), key=lambda host: (-host["score"], host["rank"]))
    return pointings_of(hosts, field_deg)


def _seen(search: HostSearch, ranking: Ranking, tonight: Tonight, count: int) -> Best:
    """Return the best hosts that are visible: looked at in ever longer lists, until enough are."""
    catalogue = ranking.catalogue
    least = LEAST_SHARE * float(ranking.score[0]) if len(ranking) else 0.0
    wanted, looked_at = count + count // 4 + 16, 0
    rows, scores = [np.empty(0, np.intp)], [np.empty(0)]
    while True:
        best = search.best(wanted, least)
        fresh = best.rows[looked_at:]
        good = tonight.visible(catalogue.ra_deg[fresh], catalogue.dec_deg[fresh])
        rows.append(fresh[good])
        scores.append(best.scores[looked_at:][good])
        looked_at = best.rows.size
        if looked_at < wanted or sum(part.size for part in rows) >= count:
            break
        wanted *= 3
    return Best(np.concatenate(rows)[:count], np.concatenate(scores)[:count])


def _ranks(sky_map: SkyMap, ranking: Ranking, seen: Best) -> Integers:
    """Return the hosts' ranks among all galaxies, counted from 1."""
    rows, scores = ranking.order, ranking.score
    if seen.scores.size and (not scores.size or seen.scores[-1] < scores[-1]):
        # Hosts that rise may be far down the list of all.
        search = HostSearch(sky_map, ranking.catalogue, ranking.weight)
        every = search.at_least(float(seen.scores[-1]))
        rows, scores = every.rows, every.scores
    place = {int(row): rank for rank, row in enumerate(rows, 1)}
    better: Floats = -scores
    return np.array(
        [
            place.get(int(row), int(np.searchsorted(better, -score)) + 1)
            for row, score in zip(seen.rows, seen.scores, strict=True)
        ],
        dtype=np.int64,
    )


def that_fit(pointings: list[Pointing]) -> list[Pointing]:
    """Return as many of the likeliest pointings as a telescope's front desk reads in one order."""
    left = _ORDER_BYTES
    for count, pointing in enumerate(pointings):
        left -= _TARGET_BYTES + _bytes_of(pointing.name)
        if len(pointing.members) > 1:
            left -= sum(_MEMBER_BYTES + _bytes_of(member) for member in pointing.members)
        if left < 0:
            return pointings[:count]
    return pointings


def _bytes_of(name: str) -> int:
    return len(escape(name).encode())


def position_pointing(notice: Notice, nights: Sequence[Tonight]) -> list[Pointing]:
    """Return the pointing at another mission's position; none if it rises in none of the nights."""
    position = notice.position
    if position is None:
        return []
    ra, dec = np.array([position.ra_deg]), np.array([position.dec_deg])
    if not any(night.visible(ra, dec)[0] for night in nights):
        return []
    return [
        Pointing(
            name=notice.event,
            ra_deg=in_one_turn(position.ra_deg),
            dec_deg=position.dec_deg,
            rank=1,
            score=1.0,
            probability=1.0,
            distance_mpc=None,
            members=(notice.event,),
        )
    ]
