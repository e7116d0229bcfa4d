"""Replays of past events: a sky map and a notice made from the published figures.

GW170817 (Abbott et al. 2017, PRL 119, 161101; ApJL 848, L12): 28 deg² at 90 %, 40 ± 8 Mpc, seen
by Hanford, Livingston and Virgo at 2017-08-17 12:41:04.4 UTC, in NGC 4993. The map here is a
smooth ellipse of that area and lie, not the LVK's own samples.
"""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from toros.common.clock import iso

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Base order of the mesh, and how often its most probable quarter is cut in four (as BAYESTAR
#: does from order 4): to cells of 1.7′, in 5,376 rows.
_BASE_ORDER = 3
_REFINEMENTS = 8


@dataclass(frozen=True)
class Localisation:
    """An elliptical localisation, Gaussian on the tangent plane and in distance.

    Parameters
    ----------
    ra_deg, dec_deg : float
        Where it is densest, in degrees (ICRS).
    area_90_deg2 : float
        Area of the 90 % credible region.
    elongation : float
        Long axis over short axis.
    position_angle_deg : float
        Of the long axis, from north through east.
    distance_mpc, distance_sigma_mpc : float
        Posterior mean and standard deviation of the distance.
    tilt : float
        Relative change of the mean distance per standard deviation along the long axis: a real
        map's distance varies over the sky.
    """

    ra_deg: float
    dec_deg: float
    area_90_deg2: float
    elongation: float
    position_angle_deg: float
    distance_mpc: float
    distance_sigma_mpc: float
    tilt: float = 0.0


#: The densest point lies 1.8° north-north-west of NGC 4993 (197.449°, −23.384°), along the region.
GW170817 = Localisation(
    ra_deg=196.65,
    dec_deg=-21.7,
    area_90_deg2=28.0,
    elongation=7.0,
    position_angle_deg=155.0,
    distance_mpc=40.0,
    distance_sigma_mpc=8.0,
    tilt=0.03,
)
GW170817_TIME = datetime(2017, 8, 17, 12, 41, 4, 400_000, tzinfo=UTC)
#: When the map of all three detectors went out (GCN Circular 21513).
GW170817_NOTICE_TIME = datetime(2017, 8, 17, 17, 54, 51, tzinfo=UTC)
#: Less than one in 80,000 years (Abbott et al. 2017), in Hz.
_GW170817_FAR_HZ = 1.0 / (80_000 * 365.25 * 86400)
_GW170817_DETECTORS = ("H1", "L1", "V1")


@dataclass(frozen=True)
class Replay:
    """What an observatory would have received of an event."""

    event: str
    sky_map: bytes
    notice: bytes


def make_gw170817(*, created: datetime = GW170817_NOTICE_TIME) -> Replay:
    """Return GW170817 as a multi-order FITS sky map and an `igwn.gwalert` notice in JSON.

    Parameters
    ----------
    created : datetime
        When the notice says it was made.
    """
    sky_map = make_sky_map(
        GW170817,
        event="GW170817",
        event_time=GW170817_TIME,
        created=created,
        instruments=_GW170817_DETECTORS,
    )
    notice = {
        "alert_type": "INITIAL",
        "time_created": created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "superevent_id": "GW170817",
        "urls": {"gracedb": "https://gracedb.ligo.org/superevents/GW170817/view/"},
        "event": {
            "time": iso(GW170817_TIME),
            "far": _GW170817_FAR_HZ,
            "significant": True,
            "instruments": list(_GW170817_DETECTORS),
            "group": "CBC",
            "pipeline": "gstlal",
            "search": "AllSky",
            "properties": {"HasNS": 1.0, "HasRemnant": 1.0, "HasMassGap": 0.0},
            "classification": {"BNS": 1.0, "NSBH": 0.0, "BBH": 0.0, "Terrestrial": 0.0},
            "duration": None,
            "central_frequency": None,
            "skymap": base64.b64encode(sky_map).decode("ascii"),
        },
        "external_coinc": None,
    }
    return Replay("GW170817", sky_map, json.dumps(notice).encode())


def make_sky_map(
    place: Localisation,
    *,
    event: str,
    event_time: datetime,
    created: datetime,
    instruments: tuple[str, ...],
) -> bytes:
    """Return a multi-order sky map with distances as the bytes of a FITS file.

    Notes
    -----
    Each cell has p(r) = DISTNORM · r² · N(r; DISTMU, DISTSIGMA), normalised over r > 0 (Singer et
    al. 2016, ApJS 226, 10).
    """
    order, index = _mesh(place)
    along, density = _density(place, order, index)
    area = np.pi / 3.0 * 4.0**-order
    density /= np.sum(density * area)
    mean, spread = _moments(place, along, density * area)
    mu, sigma = distance_parameters(spread)
    mu_mpc, sigma_mpc = mu * mean, sigma * mean
    rows = np.argsort(_uniq(order, index))
    columns = {
        "UNIQ": (_uniq(order, index)[rows], "K", None),
        "PROBDENSITY": (density[rows], "D", "sr-1"),
        "DISTMU": (mu_mpc[rows], "D", "Mpc"),
        "DISTSIGMA": (sigma_mpc[rows], "D", "Mpc"),
        "DISTNORM": (distance_norm(mu_mpc, sigma_mpc)[rows], "D", "Mpc-2"),
    }
    cards = [
        ("OBJECT", event, "Unique identifier for this event"),
        ("INSTRUME", ",".join(instruments), "Instruments that triggered this event"),
        ("DATE-OBS", _fits_time(event_time), "UTC date of the observation"),
        ("DATE", _fits_time(created), "UTC date of file creation"),
        ("CREATOR", "TOROS", "Program that created this file"),
        ("DISTMEAN", place.distance_mpc, "Posterior mean distance (Mpc)"),
        ("DISTSTD", place.distance_sigma_mpc, "Posterior standard deviation (Mpc)"),
        ("MOCORDER", int(order.max()), "MOC resolution (best order)"),
    ]
    return _fits(columns, cards)


def distance_norm(mu_mpc: Floats, sigma_mpc: Floats) -> Floats:
    """Return DISTNORM, which makes ∫₀^∞ DISTNORM · r² · N(r; μ, σ) dr = 1, in Mpc⁻²."""
    from scipy.special import ndtr

    ratio = mu_mpc / sigma_mpc
    peak = np.exp(-0.5 * ratio**2) / np.sqrt(2.0 * np.pi)
    result: Floats = 1.0 / ((mu_mpc**2 + sigma_mpc**2) * ndtr(ratio) + mu_mpc * sigma_mpc * peak)
    return result


def distance_parameters(spread: float) -> tuple[float, float]:
    """Return μ and σ of the distribution r² · N(r; μ, σ) with mean 1 and deviation `spread`.

    Parameters
    ----------
    spread : float
        Below 0.3: the Gaussian's part below r = 0 is then negligible, and left out.
    """
    from scipy.optimize import root

    if not 0 < spread < 0.3:
        raise ValueError(f"a relative deviation of {spread:g} is not between 0 and 0.3")

    def misfit(parameters: Floats) -> list[float]:
        mu, sigma = parameters
        # Moments of a Gaussian about zero; the r² raises each by two.
        second = mu**2 + sigma**2
        third = mu**3 + 3 * mu * sigma**2
        fourth = mu**4 + 6 * mu**2 * sigma**2 + 3 * sigma**4
        mean = third / second
        return [mean - 1.0, fourth / second - mean**2 - spread**2]

    found = root(misfit, [1.0 - 2 * spread**2, spread])
    if not found.success:
        raise ValueError(f"no distribution with a relative deviation of {spread:g} was found")
    mu, sigma = found.x
    return float(mu), float(sigma)


def _mesh(place: Localisation) -> tuple[Integers, Integers]:
    """Return the orders and nested indices of a mesh that is finest where it matters."""
    index = np.arange(12 * 4**_BASE_ORDER, dtype=np.int64)
    order = np.full(index.size, _BASE_ORDER, dtype=np.int64)
    quarter = index.size // 4
    for _ in range(_REFINEMENTS):
        _, density = _density(place, order, index)
        probable = np.argsort(-density * 4.0**-order, kind="stable")
        cut, kept = probable[:quarter], probable[quarter:]
        children = (index[cut, None] * 4 + np.arange(4)).ravel()
        index = np.concatenate([index[kept], children])
        order = np.concatenate([order[kept], np.repeat(order[cut] + 1, 4)])
    return order, index


def _density(place: Localisation, order: Integers, index: Integers) -> tuple[Floats, Floats]:
    """Return the place along the long axis, in standard deviations, and the relative density."""
    from cdshealpix import nested

    longitude, latitude = nested.healpix_to_lonlat(
        index.astype(np.uint64), order.astype(np.uint8), num_threads=1
    )
    east, north = _offsets_deg(place, longitude.rad, latitude.rad)
    angle = np.radians(place.position_angle_deg)
    # The 90 % ellipse of a plane Gaussian has semi-axes √(−2 ln 0.1) σ.
    product = place.area_90_deg2 / (np.pi * -2.0 * np.log(0.1))
    long_sigma = np.sqrt(product * place.elongation)
    short_sigma = np.sqrt(product / place.elongation)
    along = (east * np.sin(angle) + north * np.cos(angle)) / long_sigma
    across = (east * np.cos(angle) - north * np.sin(angle)) / short_sigma
    return along, np.exp(-0.5 * (along**2 + across**2))


def _offsets_deg(place: Localisation, ra: Floats, dec: Floats) -> tuple[Floats, Floats]:
    """Return offsets to the east and north, in degrees: azimuthal, true in distance, all-sky."""
    centre_ra, centre_dec = np.radians(place.ra_deg), np.radians(place.dec_deg)
    east = np.cos(dec) * np.sin(ra - centre_ra)
    north = np.sin(dec) * np.cos(centre_dec) - np.cos(dec) * np.sin(centre_dec) * np.cos(
        ra - centre_ra
    )
    toward = np.sin(dec) * np.sin(centre_dec) + np.cos(dec) * np.cos(centre_dec) * np.cos(
        ra - centre_ra
    )
    sine = np.hypot(east, north)
    stretch = np.degrees(np.arctan2(sine, toward)) / np.where(sine > 0, sine, 1.0)
    return east * stretch, north * stretch


def _moments(place: Localisation, along: Floats, probability: Floats) -> tuple[Floats, float]:
    """Return each cell's mean distance, and the relative deviation common to all of them.

    The variance over the map is the mean of the cells' variances and the variance of their means.
    With every cell's deviation in proportion to its mean both moments come out exactly.
    """
    tilted = 1.0 + place.tilt * np.clip(along, -3.0, 3.0)
    mean = place.distance_mpc * tilted / np.sum(probability * tilted)
    squares = np.sum(probability * mean**2)
    wanted = place.distance_sigma_mpc**2 + place.distance_mpc**2
    return mean, float(np.sqrt(wanted / squares - 1.0))


def _uniq(order: Integers, index: Integers) -> Integers:
    return 4 * 4**order + index


def _fits_time(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def _fits(
    columns: dict[str, tuple[npt.NDArray[Any], str, str | None]],
    cards: list[tuple[str, Any, str]],
) -> bytes:
    from astropy.io import fits

    table = fits.BinTableHDU.from_columns(
        [
            fits.Column(name=name, array=values, format=form, unit=unit)
            for name, (values, form, unit) in columns.items()
        ]
    )
    table.header["PIXTYPE"] = ("HEALPIX", "HEALPIX pixelisation")
    table.header["ORDERING"] = ("NUNIQ", "Pixel ordering scheme: RING, NESTED, or NUNIQ")
    table.header["COORDSYS"] = ("C", "Ecliptic, Galactic or Celestial (equatorial)")
    table.header["INDXSCHM"] = ("EXPLICIT", "Indexing: IMPLICIT or EXPLICIT")
    table.header["MOC"] = (True, "Multi-order coverage map")
    for key, value, comment in cards:
        table.header[key] = (value, comment)
    out = io.BytesIO()
    # No checksum: astropy dates it by the machine's clock, and a replay is always the same bytes.
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(out)
    return out.getvalue()
