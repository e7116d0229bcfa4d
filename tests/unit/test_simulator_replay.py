"""GW170817 as the simulator replays it: the published figures, and the host first."""

import base64
import json

import numpy as np
import pytest
from astropy.io import fits
from scipy.integrate import quad

from toros.lvcgcn import openngc
from toros.lvcgcn.formats import read_notice
from toros.lvcgcn.ranking import rank
from toros.lvcgcn.skymap import SkyMap, pixels_of
from toros.lvcgcn.skymap_fits import read_sky_map
from toros.simulator.replay import Replay, distance_norm, distance_parameters, make_gw170817


@pytest.fixture(scope="module")
def replay() -> Replay:
    return make_gw170817()


@pytest.fixture(scope="module")
def sky_map(replay: Replay) -> SkyMap:
    return read_sky_map(replay.sky_map)


def test_the_notice_says_what_was_published(replay: Replay) -> None:
    notice = read_notice(replay.notice)
    assert notice.event == replay.event == "GW170817"
    assert (notice.alert_type, notice.role, notice.label) == ("INITIAL", "observation", None)
    assert notice.significant is True
    assert notice.far_hz is not None
    assert notice.far_hz < 1e-12
    assert notice.instruments == ("H1", "L1", "V1")
    assert notice.classification["BNS"] == 1.0
    assert notice.event_time is not None
    assert notice.event_time.isoformat().startswith("2017-08-17T12:41:04")
    assert notice.sky_map == replay.sky_map
    assert notice.warnings == ()


def test_the_notice_fits_in_a_work_order(replay: Replay) -> None:
    assert len(base64.b64encode(replay.notice)) < 2**20
    assert json.loads(replay.notice)["superevent_id"] == "GW170817"


def test_the_map_has_the_published_area_and_distance(sky_map: SkyMap) -> None:
    assert sky_map.credible_area_deg2(0.9) == pytest.approx(28, abs=1)
    assert (sky_map.distance_mpc, sky_map.distance_sigma_mpc) == (40.0, 8.0)
    assert sky_map.probability.sum() == pytest.approx(1)
    assert sky_map.area_sr.sum() == pytest.approx(4 * np.pi)
    assert sky_map.notes == ()


def test_the_header_is_that_of_a_multi_order_map(replay: Replay) -> None:
    header = fits.Header.fromstring(replay.sky_map[2880:].decode("latin-1"))
    assert header["ORDERING"] == "NUNIQ"
    assert header["DATE-OBS"].startswith("2017-08-17T12:41:04")
    assert header["INSTRUME"] == "H1,L1,V1"
    assert header["TTYPE1"] == "UNIQ"
    assert header["TUNIT5"] == "Mpc-2"


def test_the_distances_are_normalised_and_have_the_map_s_moments(sky_map: SkyMap) -> None:
    """Each cell by quadrature: ∫ p dr = 1, and the moments over the sky are 40 and 8 Mpc."""
    assert sky_map.distances is not None
    mean = square = 0.0
    probable = np.argsort(-sky_map.probability)[:400]
    for cell in probable:
        mu = sky_map.distances.mu_mpc[cell]
        sigma = sky_map.distances.sigma_mpc[cell]
        norm = sky_map.distances.norm[cell]

        def density(r: float, mu: float = mu, sigma: float = sigma, norm: float = norm) -> float:
            gauss = np.exp(-0.5 * ((r - mu) / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma)
            return float(norm * r**2 * gauss)

        whole, first, second = (
            quad(lambda r, n=n, f=density: r**n * f(r), 0, 150, points=[mu])[0] for n in range(3)
        )
        assert whole == pytest.approx(1, rel=1e-6)
        mean += sky_map.probability[cell] * first
        square += sky_map.probability[cell] * second
    held = sky_map.probability[probable].sum()
    assert mean / held == pytest.approx(40, rel=0.02)
    assert np.sqrt(square / held - (mean / held) ** 2) == pytest.approx(8, rel=0.03)


@pytest.mark.parametrize(("mu", "sigma"), [(40.0, 8.0), (10.0, 20.0), (-8.4, 32.8), (150.0, 1.0)])
def test_the_norm_is_the_integral(mu: float, sigma: float) -> None:
    def density(r: float) -> float:
        return float(r**2 * np.exp(-0.5 * ((r - mu) / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma))

    whole = quad(density, 0, max(mu, 0) + 12 * sigma, points=[max(mu, 0.1)])[0]
    assert distance_norm(np.array([mu]), np.array([sigma]))[0] == pytest.approx(1 / whole, rel=1e-7)


def test_the_norm_agrees_with_bayestar_s() -> None:
    # The first pixel of the LVK's M323277_flat.fits.gz.
    norm = distance_norm(np.array([-8.37487111]), np.array([32.8116706]))
    assert norm[0] == pytest.approx(0.00284296, rel=1e-5)


def test_an_impossible_spread_is_refused() -> None:
    with pytest.raises(ValueError, match="deviation"):
        distance_parameters(5.0)


def test_ngc_4993_ranks_first_and_does_not_lie_at_the_peak(sky_map: SkyMap) -> None:
    ranking = rank(sky_map, openngc.build())
    host, second = ranking.hosts(2)
    assert host["name"] == "NGC 4993"
    assert host["score"] > 1.5 * second["score"]
    cell = sky_map.cells_at(pixels_of(np.array([host["ra"]]), np.array([host["dec"]])))
    denser = sky_map.density > sky_map.density[cell]
    assert 0.05 < sky_map.probability[denser].sum() < 0.5
