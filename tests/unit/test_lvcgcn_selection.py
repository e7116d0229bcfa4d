"""Which hosts an observatory is given, and how they are grouped into pointings."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_body
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st

from toros.common.config.lvcgcn import LvcgcnSettings
from toros.lvcgcn import openngc
from toros.lvcgcn.catalogue import PEAK_ORDER
from toros.lvcgcn.notice import AlertType, Notice, NoticeFormat, Position
from toros.lvcgcn.pointings import pointings_of
from toros.lvcgcn.ranking import Ranking, rank
from toros.lvcgcn.selection import (
    LEAST_SHARE,
    observatory_pointings,
    position_pointing,
    visible_hosts,
)
from toros.lvcgcn.skymap import FINEST_ORDER, SkyMap
from toros.lvcgcn.skymap_disc import around
from toros.lvcgcn.skymap_fits import read_sky_map
from toros.lvcgcn.trigger import is_target_itself
from toros.lvcgcn.visibility import Tonight, dark_times, nights
from toros.simulator.replay import make_gw170817
from toros.sky.site import Site
from toros.sky.visibility import altitude
from toros.telescope.order_fields import AlertTarget

MACON = Site("Cordon Macon", -24.6226, -67.3218, 4650.0)
NORTH = Site("North", 55.0, 10.0, 0.0)
EVENING = datetime(2017, 8, 17, 22, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def event() -> tuple[SkyMap, Ranking]:
    sky_map = read_sky_map(make_gw170817().sky_map)
    return sky_map, rank(sky_map, openngc.build())


def night(site: Site = MACON, moment: datetime = EVENING, **limits: Any) -> Tonight:
    return Tonight(site, moment, LvcgcnSettings(**limits))


@pytest.mark.parametrize(("site", "least"), [(MACON, 30.0), (MACON, 33.0)])
@pytest.mark.parametrize("ranked", [None, 20])
def test_the_likeliest_that_rise_are_chosen_with_their_ranks_among_all(
    event: tuple[SkyMap, Ranking], site: Site, least: float, ranked: int | None
) -> None:
    sky_map, everything = event
    ranking = everything if ranked is None else rank(sky_map, everything.catalogue, ranked)
    chosen = visible_hosts(sky_map, ranking, night(site, min_altitude_deg=least), 40)
    catalogue, rows = everything.catalogue, everything.order
    times = dark_times(site, EVENING, -12)
    highest = altitude(site, times, catalogue.ra_deg[rows], catalogue.dec_deg[rows]).max(axis=1)
    likely = everything.score >= LEAST_SHARE * everything.score[0]
    places = np.flatnonzero((highest >= least) & likely)[:40]
    assert len(chosen) == len(places) > 9
    assert [host["name"] for host in chosen] == [catalogue.name_of(int(rows[p])) for p in places]
    assert [host["rank"] for host in chosen] == [int(place) + 1 for place in places]
    if least == 30.0:
        assert chosen[0]["name"] == "NGC 4993"  # an hour before it sets below 30°


def test_where_the_sun_does_not_set_nothing_is_chosen(event: tuple[SkyMap, Ranking]) -> None:
    tonight = night(Site("North", 80.0, 0.0, 0.0), datetime(2017, 6, 21, 12, tzinfo=UTC))
    assert visible_hosts(*event, tonight, 9) == []


@pytest.mark.parametrize("late", [1, 5, 9])
def test_what_has_set_when_the_notice_comes_is_for_the_next_night(
    event: tuple[SkyMap, Ranking], late: int
) -> None:
    moment = datetime(2017, 8, 18, late, 15, tzinfo=UTC)  # dark, and NGC 4993 is too low
    usable = nights(MACON, moment, LvcgcnSettings())
    assert visible_hosts(*event, usable[0], 30) == []
    pointings = observatory_pointings(*event, usable, 30, None)
    assert pointings[0].name == "NGC 4993"
    in_daylight = observatory_pointings(
        *event, nights(MACON, datetime(2017, 8, 18, 15, tzinfo=UTC), LvcgcnSettings()), 30, None
    )
    assert [one.name for one in pointings] == [one.name for one in in_daylight]


def test_the_next_night_takes_no_place_of_this_one(event: tuple[SkyMap, Ranking]) -> None:
    # NGC 4993 has just sunk below 30°; hosts farther south-east have not.
    usable = nights(MACON, datetime(2017, 8, 18, 0, 30, tzinfo=UTC), LvcgcnSettings())
    now = [host["name"] for host in visible_hosts(*event, usable[0], 5)]
    pointings = observatory_pointings(*event, usable, 5, None)
    assert len(now) == 5
    assert "NGC 4993" not in now
    assert pointings[0].name == "NGC 4993"
    assert set(now) < {one.name for one in pointings}
    assert len(pointings) <= 10
    assert [one.score for one in pointings] == sorted(one.score for one in pointings)[::-1]


def test_by_day_and_without_a_night_there_is_nothing_after_it() -> None:
    day = datetime(2017, 8, 18, 15, tzinfo=UTC)
    assert len(nights(MACON, day, LvcgcnSettings())) == 1
    summer = datetime(2017, 6, 21, 12, tzinfo=UTC)
    assert len(nights(Site("North", 80.0, 0.0, 0.0), summer, LvcgcnSettings())) == 1
    late = datetime(2017, 8, 18, 9, tzinfo=UTC)
    first, second = nights(MACON, late, LvcgcnSettings())
    assert first.times[-1] < late.timestamp() + 2 * 3600
    whole = dark_times(MACON, day, -12)
    assert second.times[0] == pytest.approx(whole[0], abs=600)
    assert second.times[-1] == pytest.approx(whole[-1], abs=600)


def test_no_pixel_with_something_visible_is_left_out() -> None:
    rng = np.random.default_rng(6)
    ra, dec = rng.uniform(0, 360, 20_000), np.degrees(np.arcsin(rng.uniform(-1, 1, 20_000)))
    from toros.lvcgcn.skymap import pixels_of

    coarse = pixels_of(ra, dec) >> (2 * (FINEST_ORDER - PEAK_ORDER))
    for site in (MACON, NORTH):
        tonight = night(site)
        visible = tonight.visible(ra, dec)
        assert visible.any()
        assert not np.any(visible & ~tonight.pixels()[coarse])


def test_the_moon_and_the_airmass_leave_out_what_astropy_says() -> None:
    place = EarthLocation(lat=MACON.latitude_deg, lon=MACON.longitude_deg, height=4650.0)
    times = Time(night().times, format="unix")
    moon = get_body("moon", times, place)
    frame = AltAz(obstime=times, location=place)
    moon_altitude = moon.transform_to(frame).alt.deg
    rng = np.random.default_rng(9)
    ra, dec = rng.uniform(0, 360, 60), rng.uniform(-80, 40, 60)
    seen = night(min_altitude_deg=20, max_airmass=2.0, min_moon_separation_deg=50).visible(ra, dec)
    sure = 0
    for number in range(60):
        target = SkyCoord(ra[number], dec[number], unit="deg")
        height = target.transform_to(frame).alt.deg
        apart = moon.separation(target, origin_mismatch="ignore").deg

        def kept(margin: float, height: Any = height, apart: Any = apart) -> bool:
            high = (height > 30 + margin) & (height > 20 + margin)  # airmass 2 is at 30°
            far = (apart > 50 + margin) | (moon_altitude < -margin)
            return bool(np.any(high & far))

        if kept(1.0) == kept(-1.0):
            sure += 1
            assert seen[number] == kept(0.0), number
    assert sure > 40


def hosts_at(places: list[tuple[float, float]]) -> list[dict[str, Any]]:
    return [
        {
            "rank": number + 1,
            "name": f"G{number}",
            "ra": ra % 360,
            "dec": dec,
            "score": 1.0 / (number + 1),
            "probability": 0.1,
            "distance_mpc": 40.0,
        }
        for number, (ra, dec) in enumerate(places)
    ]


def test_without_a_field_of_view_each_host_is_a_pointing() -> None:
    pointings = pointings_of(hosts_at([(10, 0), (10.01, 0)]), None)
    assert [(one.name, one.members) for one in pointings] == [("G0", ("G0",)), ("G1", ("G1",))]


def test_hosts_of_one_field_are_one_pointing_with_their_sum() -> None:
    far, near = (50.0, 20.0), [(359.9, 0.0), (0.1, 0.1), (0.2, -0.1)]
    (first, second) = pointings_of(hosts_at([near[0], far, *near[1:]]), 0.5)
    assert first.name == "G0"
    assert first.members == ("G0", "G2", "G3")
    assert first.probability == pytest.approx(0.3)
    assert (first.ra_deg, first.dec_deg) == pytest.approx((0.05, 0.0), abs=1e-3)
    assert second.members == ("G1",)
    assert (second.ra_deg, second.dec_deg) == far


def test_every_pointing_is_one_that_a_telescope_takes() -> None:
    """It refuses an order for one target that is no place, or whose name stands there twice."""
    hosts = hosts_at([(1, 1), (2, 2), (3, 3), (4, 4)])
    for host, name in zip(hosts, ("Leo", "Leo", "Leo (2)", "Leo"), strict=True):
        host["name"] = name
    hosts[0]["ra"] = -1e-14 % 360.0
    assert hosts[0]["ra"] == 360.0
    pointings = pointings_of(hosts, None)
    assert [one.name for one in pointings] == ["Leo", "Leo (2)", "Leo (2) (2)", "Leo (3)"]
    assert pointings[0].ra_deg == 0.0
    burst = notice_at(Position.read(-1e-14, -40.0, 0.05))
    (alone,) = position_pointing(burst, [night()])
    for one in (*pointings, alone):
        AlertTarget(name=one.name, ra=one.ra_deg, dec=one.dec_deg, weight=one.probability)


def test_names_that_are_the_same_are_told_apart() -> None:
    hosts = [{**host, "name": "Leo"} for host in hosts_at([(1, 1), (2, 2), (3, 3)])]
    assert [one.name for one in pointings_of(hosts, None)] == ["Leo", "Leo (2)", "Leo (3)"]


@settings(max_examples=60)
@given(
    centre=st.tuples(st.floats(0, 360), st.floats(-89, 89)),
    offsets=st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), min_size=1, max_size=30),
    field=st.floats(0.05, 2),
)
def test_every_host_is_in_one_pointing_and_within_its_field(
    centre: tuple[float, float], offsets: list[tuple[float, float]], field: float
) -> None:
    ra0, dec0 = centre
    stretch = max(np.cos(np.radians(dec0)), 0.02)
    places = [(ra0 + x / stretch, float(np.clip(dec0 + y, -89.9, 89.9))) for x, y in offsets]
    hosts = hosts_at(places)
    by_name = {host["name"]: host for host in hosts}
    pointings = pointings_of(hosts, field)
    members = [name for one in pointings for name in one.members]
    assert sorted(members) == sorted(by_name)
    for one in pointings:
        middle = SkyCoord(one.ra_deg, one.dec_deg, unit="deg")
        for name in one.members:
            there = SkyCoord(by_name[name]["ra"], by_name[name]["dec"], unit="deg")
            # Half the diagonal of the field, and a little for the plane's distortion.
            assert middle.separation(there).deg <= field * 0.7072 * 1.01 + 1e-6


def notice_at(position: Position | None) -> Notice:
    return Notice(
        format=NoticeFormat.VOEVENT,
        event="Swift 1",
        alert_type=AlertType.OTHER,
        time_created=EVENING,
        role="observation",
        sha256="",
        observatory="Swift",
        position=position,
    )


def test_an_exact_position_is_the_target_itself() -> None:
    south = notice_at(Position(ra_deg=250.0, dec_deg=-40.0, radius_deg=0.05))
    (pointing,) = position_pointing(south, [night()])
    assert (pointing.name, pointing.ra_deg, pointing.probability) == ("Swift 1", 250.0, 1.0)
    late = nights(MACON, datetime(2017, 8, 18, 9, tzinfo=UTC), LvcgcnSettings())
    assert position_pointing(south, late[:1]) == []  # it has set
    assert len(position_pointing(south, late)) == 1
    north = notice_at(Position(ra_deg=250.0, dec_deg=80.0, radius_deg=0.05))
    assert position_pointing(north, [night()]) == []
    assert position_pointing(notice_at(None), [night()]) == []


def test_a_position_is_a_target_if_a_field_of_view_holds_its_circle() -> None:
    wide = notice_at(Position(ra_deg=250.0, dec_deg=-40.0, radius_deg=3.0))
    narrow = notice_at(Position(ra_deg=250.0, dec_deg=-40.0, radius_deg=0.05))
    plain = LvcgcnSettings()
    fields = LvcgcnSettings(fields_of_view_deg={"MACON": 8.0, "NORTH": 0.05})
    assert [is_target_itself(one, plain) for one in (wide, narrow)] == [False, True]
    assert [is_target_itself(wide, fields, who) for who in (None, "MACON", "NORTH", "OTHER")] == [
        *(True, True, False, False)
    ]
    assert not is_target_itself(narrow, fields, "NORTH")
    assert not is_target_itself(notice_at(None), fields)


@pytest.mark.parametrize("radius", [0.0, 0.01, 1.5, 10.0])
def test_an_error_circle_becomes_a_map_that_holds_68_percent_of_it(radius: float) -> None:
    position = Position(ra_deg=359.95, dec_deg=89.0 if radius > 1 else -20.0, radius_deg=radius)
    sky_map = around(position)
    assert np.sum(sky_map.probability) == pytest.approx(1)
    shown = max(radius, 1 / 3600)
    assert sky_map.credible_area_deg2(0.68) == pytest.approx(np.pi * shown**2, rel=0.03)
    assert np.all(np.diff(sky_map.first) > 0)
