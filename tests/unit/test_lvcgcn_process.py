"""From files to documents with no daemon: triggering, catalogues, distances, visibility."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.cosmology import FlatLambdaCDM

from toros.cli.main import run
from toros.common.config import parse_config
from toros.common.config.lvcgcn import LvcgcnSettings, TriggerSettings
from toros.common.errors import UnreadableNotice, UnusableCatalogue, UnusableSkyMap
from toros.lvcgcn import catalogue_sources as catalogues
from toros.lvcgcn import openngc
from toros.lvcgcn.catalogue_admin import catalog_build, catalog_info, catalog_list
from toros.lvcgcn.distances import (
    H0_KM_S_MPC,
    OMEGA_M,
    SOLAR_APEX_DEG,
    local_group_redshift,
    luminosity_distance_mpc,
)
from toros.lvcgcn.process import process_file, rank_file
from toros.lvcgcn.visibility import dark_times
from toros.simulator.replay import Replay, make_gw170817
from toros.sky.site import Site

ALERTS = Path(__file__).parents[2].parent / "shared" / "data" / "alerts"
needs_alerts = pytest.mark.skipif(not ALERTS.is_dir(), reason=f"the notices of {ALERTS} are absent")

MACON = Site("Cordon Macon", -24.6226, -67.3218, 4650.0)
EVENING = datetime(2017, 8, 17, 22, 0, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> LvcgcnSettings:
    return LvcgcnSettings(folder=tmp_path / "alerts", catalog_folder=tmp_path / "catalogues")


@pytest.fixture(scope="module")
def replay() -> Replay:
    return make_gw170817()


def changed(settings: LvcgcnSettings, **values: object) -> LvcgcnSettings:
    return LvcgcnSettings.model_validate(settings.model_dump() | values)


def notice_file(folder: Path, replay: Replay, **changes: object) -> Path:
    """GW170817's notice with other values; those of `event` are merged into the event."""
    record = json.loads(replay.notice)
    event = changes.pop("event", {})
    assert isinstance(event, dict)
    path = folder / "notice.json"
    path.write_text(json.dumps(record | changes | {"event": record["event"] | event}))
    return path


def test_gw170817_is_followed_and_its_host_is_first(
    settings: LvcgcnSettings, replay: Replay, tmp_path: Path
) -> None:
    document = process_file(notice_file(tmp_path, replay), settings)
    assert document["event"] == "GW170817"
    assert document["alert_type"] == "INITIAL"
    assert (document["role"], document["significant"]) == ("observation", True)
    assert document["triggered"] is True
    assert "40 ± 8 Mpc" in document["why"]
    assert document["relayed"] == []
    assert document["revision"] == 1
    assert len(document["hosts"]) == settings.hosts
    assert document["hosts"][0]["name"] == "NGC 4993"
    assert set(document["hosts"][0]) == {
        *("rank", "name", "ra", "dec", "distance_mpc", "score", "probability"),
        "probability_corrected",
    }
    json.dumps(document, allow_nan=False)


@pytest.mark.parametrize(
    ("changes", "rules", "why"),
    [
        ({"superevent_id": "MS170817a"}, {}, "A mock event moves no telescope"),
        ({"superevent_id": "TS170817a"}, {}, "A test moves no telescope"),
        ({"event": {"significant": False}}, {}, "low significance"),
        ({"event": {"skymap": None}}, {}, "no sky map"),
        ({"event": {"skymap": "AAAA"}}, {}, "no FITS file"),
        ({"event": {"far": 1e-8}}, {"max_far_hz": 1e-9}, "false-alarm rate"),
        ({}, {"max_distance_mpc": 30.0}, "40 Mpc, is above 30"),
        ({}, {"max_area_90_deg2": 10.0}, "28 deg², is above 10"),
        ({"event": {"classification": {"Terrestrial": 0.8}}}, {"max_terrestrial": 0.5}, "noise"),
        ({"alert_type": "RETRACTION"}, {}, "retracted"),
    ],
)
def test_what_is_not_followed_says_why(
    settings: LvcgcnSettings,
    replay: Replay,
    tmp_path: Path,
    changes: dict[str, object],
    rules: dict[str, float],
    why: str,
) -> None:
    ruled = changed(settings, trigger=TriggerSettings.model_validate(rules))
    document = process_file(notice_file(tmp_path, replay, **changes), ruled)
    assert document["triggered"] is False
    assert why in document["why"]


@pytest.mark.parametrize("written", ["BNS", "bns"])
@pytest.mark.parametrize(("least", "triggered"), [(0.9, True), (1.0, False)])
def test_classes_are_asked_as_a_configuration_has_them(
    replay: Replay, tmp_path: Path, written: str, least: float, *, triggered: bool
) -> None:
    text = f"lvcgcn: {{trigger: {{classes: {{{written}: {least}, NSBH: 0.5}}}}}}"
    path = notice_file(tmp_path, replay, event={"classification": {"BNS": 0.95, "NSBH": 0.05}})
    document = process_file(path, parse_config(text).lvcgcn)
    assert document["triggered"] is triggered
    if not triggered:
        assert document["why"] == (
            f"Its classes: {written} 0.95 (1.00 is asked), NSBH 0.05 (0.50 is asked)."
        )


def test_drill_mode_follows_a_mock_event_and_says_that_it_is_one(
    settings: LvcgcnSettings, replay: Replay, tmp_path: Path
) -> None:
    drill = changed(settings, drill_mode=True)
    document = process_file(notice_file(tmp_path, replay, superevent_id="MS170817a"), drill)
    assert document["triggered"] is True
    assert document["label"] == "MOCK"
    assert document["why"].startswith("A mock event, in drill mode: Significant, BNS")


def test_a_mock_event_is_said_to_be_one_once(
    replay: Replay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = notice_file(tmp_path, replay, superevent_id="MS170817a")
    assert run(["alert", "process", str(path)]) == 0
    first, heading, best, *_ = capsys.readouterr().out.splitlines()
    assert first == (
        "MS170817a INITIAL [MOCK]: A mock event moves no telescope while lvcgcn.drill_mode is off."
    )
    assert heading.split()[:2] == ["rank", "name"]
    assert best.split()[:3] == ["1", "NGC", "4993"]
    retraction = notice_file(tmp_path, replay, alert_type="RETRACTION", event={"skymap": None})
    assert run(["alert", "process", str(retraction)]) == 0
    assert capsys.readouterr().out == "GW170817 RETRACTION: The event is retracted.\n"


@needs_alerts
def test_every_notice_file_goes_through(settings: LvcgcnSettings) -> None:
    paths = sorted(
        path for kind in ("voevent", "gwalert", "other") for path in (ALERTS / kind).iterdir()
    )
    assert len(paths) == 20
    for path in paths:
        document = process_file(path, settings)
        assert document["triggered"] is False  # mocks, and other missions
        assert document["why"]
        json.dumps(document, allow_nan=False)


@needs_alerts
def test_the_embedded_map_of_the_mock_event_ranks_ngc_4993_first(settings: LvcgcnSettings) -> None:
    drill = changed(settings, drill_mode=True)
    for name in ("initial.json", "initial.avro", "ext-update.json"):
        document = process_file(ALERTS / "gwalert" / f"MS181101ab-{name}", drill)
        assert document["triggered"] is True
        assert document["hosts"][0]["name"] == "NGC 4993"


@needs_alerts
def test_the_combined_map_is_used_where_there_is_one(settings: LvcgcnSettings) -> None:
    path = ALERTS / "gwalert" / "MS181101ab-ext-update.json"
    combined = process_file(path, settings)["sky_map"]["area_90_deg2"]
    alone = process_file(path, changed(settings, combined_maps=False))["sky_map"]["area_90_deg2"]
    assert (round(combined, 1), round(alone, 1)) == (27.7, 31.0)


@needs_alerts
def test_a_voevent_takes_its_map_from_a_file(settings: LvcgcnSettings) -> None:
    path = ALERTS / "voevent" / "MS181101ab-3-Initial.xml"
    drill = changed(settings, drill_mode=True)
    alone = process_file(path, drill)
    assert alone["triggered"] is False
    assert "allowed_hosts" in alone["why"]
    document = process_file(path, drill, sky_map=ALERTS / "skymaps" / "bayestar.multiorder.fits")
    assert document["triggered"] is True
    assert document["revision"] == 3  # the VOEvent's own number
    assert document["hosts"][0]["name"] == "NGC 4993"


@needs_alerts
def test_rank_file_gives_the_contract_s_document(settings: LvcgcnSettings) -> None:
    document = rank_file(ALERTS / "skymaps" / "bayestar.multiorder.fits", settings, top=7)
    assert len(document["hosts"]) == 7
    assert document["hosts"][0]["name"] == "NGC 4993"
    assert document["area_90_deg2"] == pytest.approx(31.0, abs=0.1)
    assert document["distance_mpc"] == pytest.approx(39.77, abs=0.01)
    assert document["distance_sigma_mpc"] == pytest.approx(8.31, abs=0.01)
    json.dumps(document, allow_nan=False)


def test_files_that_are_not_there_are_one_sentence(settings: LvcgcnSettings) -> None:
    with pytest.raises(UnreadableNotice, match="No such file"):
        process_file(Path("/nonexistent/notice.xml"), settings)
    with pytest.raises(UnreadableNotice, match="cannot be read"):
        process_file(Path("/"), settings)
    with pytest.raises(UnusableSkyMap, match="No such file"):
        rank_file(Path("/nonexistent/map.fits"), settings)
    with pytest.raises(UnusableCatalogue, match="did you mean 'openngc'"):
        catalog_info("opengnc", settings)


@needs_alerts
def test_a_map_that_is_named_and_cannot_be_used_fails(
    settings: LvcgcnSettings, tmp_path: Path
) -> None:
    path = ALERTS / "voevent" / "MS181101ab-3-Initial.xml"
    with pytest.raises(UnusableSkyMap, match="No such file"):
        process_file(path, settings, sky_map=tmp_path / "nothing.fits")
    (tmp_path / "text.fits").write_text("no map")
    with pytest.raises(UnusableSkyMap, match="is no FITS file"):
        process_file(path, settings, sky_map=tmp_path / "text.fits")


def test_a_catalogue_is_built_once_and_read_back_the_same(settings: LvcgcnSettings) -> None:
    def is_built() -> bool:
        return {one["name"]: one["built"] for one in catalog_list(settings)}["openngc"]

    assert not is_built()
    built = catalog_build("openngc", settings)
    assert (built["galaxies"], built["with_distance"]) == (10521, 9980)
    assert is_built()
    fresh, stored = openngc.build(), catalogues.load("openngc", settings.catalog_folder)
    assert stored.info == fresh.info
    assert [name.decode() for name in stored.name] == [*fresh.name]
    assert np.array_equal(stored.pixel, fresh.pixel)
    assert np.all(np.diff(stored.pixel) >= 0)
    np.testing.assert_array_equal(stored.distance_mpc, fresh.distance_mpc)


def test_a_damaged_cache_is_built_again(
    settings: LvcgcnSettings, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(catalog_build("openngc", settings)["path"])
    with (path / "distance_mpc").open("r+b") as file:
        file.truncate(5000)
    with caplog.at_level(logging.WARNING):
        assert len(catalogues.load("openngc", settings.catalog_folder)) == 10521
    assert "built again" in caplog.text
    assert len(catalogues.load("openngc", settings.catalog_folder)) == 10521


def test_a_cache_that_cannot_be_written_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        assert len(catalogues.load("openngc", tmp_path / "file")) == 10521
    assert "cannot be kept" in caplog.text
    with pytest.raises(UnusableCatalogue, match="cannot be written"):
        catalogues.build("openngc", tmp_path / "file")


def test_positions_and_names_are_those_of_the_sky() -> None:
    found = openngc.build()
    row = int(np.flatnonzero(found.name == "NGC 4993")[0])
    known = SkyCoord("13h09m47.7s", "-23d23m02s")
    place = SkyCoord(found.ra_deg[row], found.dec_deg[row], unit="deg")
    assert place.separation(known).arcsec < 2
    assert "NGC 224" in found.name
    assert "IC 4287 NED02" in found.name
    assert found.ra_deg.min() >= 0
    assert found.ra_deg.max() < 360


@pytest.mark.parametrize(
    ("name", "known_mpc"),
    # Surface brightness fluctuations, Cepheids, TRGB: not redshifts.
    [("NGC 4993", 40.7), ("NGC 4486", 16.7), ("NGC 253", 3.7), ("NGC 5128", 3.7), ("NGC 224", 0.8)],
)
def test_distances_are_near_those_of_other_methods(name: str, known_mpc: float) -> None:
    found = openngc.build()
    row = int(np.flatnonzero(found.name == name)[0])
    assert abs(found.distance_mpc[row] - known_mpc) < found.distance_error_mpc[row]
    if name == "NGC 4993":
        assert found.distance_mpc[row] == pytest.approx(40, abs=1.5)


def test_the_frame_of_the_local_group_is_karachentsev_s() -> None:
    apex = SkyCoord(l=93, b=-4, unit="deg", frame="galactic").icrs
    assert (apex.ra.deg, apex.dec.deg) == pytest.approx(SOLAR_APEX_DEG, abs=1e-3)
    toward = local_group_redshift(
        np.zeros(2), np.array([325.3704, 145.3704]), np.array([47.5268, -47.5268])
    )
    np.testing.assert_allclose(toward * 299792.458, [316, -316], rtol=1e-6)


def test_distances_are_the_cosmology_s_and_none_is_negative() -> None:
    redshift = np.array([0.01, 0.1, -0.001, np.nan])
    distance = luminosity_distance_mpc(redshift)
    cosmology = FlatLambdaCDM(H0=H0_KM_S_MPC, Om0=OMEGA_M)
    expected = cosmology.luminosity_distance(redshift[:2]).value
    np.testing.assert_allclose(distance[:2], expected)
    assert distance[2] == 1.0
    assert np.isnan(distance[3])


def test_the_night_is_what_is_left_of_it_or_the_next_one() -> None:
    evening = dark_times(MACON, EVENING, -12)
    assert 9 * 3600 < evening[-1] - evening[0] < 13 * 3600
    midnight = datetime(2017, 8, 18, 4, 30, tzinfo=UTC)
    rest = dark_times(MACON, midnight, -12)
    assert rest[0] == midnight.timestamp()
    assert abs(rest[-1] - evening[-1]) <= 600
    morning = datetime(2017, 8, 18, 14, 0, tzinfo=UTC)
    assert dark_times(MACON, morning, -12)[0] > morning.timestamp() + 6 * 3600
