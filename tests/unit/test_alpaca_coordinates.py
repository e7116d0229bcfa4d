"""What a mount's driver is told, against astropy."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from alpaca.telescope import EquatorialCoordinateType as System
from astropy import units as u
from astropy.coordinates import TETE, SkyCoord
from astropy.time import Time
from astropy.utils import iers
from hypothesis import given
from hypothesis import strategies as st

from toros.alpaca.coordinates import from_mount, separation_deg, to_mount
from toros.common.errors import DeviceError

UNIX = datetime(2026, 2, 3, 4, tzinfo=UTC).timestamp()


@pytest.fixture(autouse=True)
def _installed_earth_orientation() -> Iterator[None]:
    with (
        iers.conf.set_temp("auto_download", False),
        iers.earth_orientation_table.set(iers.IERS_A.open(iers.IERS_A_FILE)),
    ):
        yield


@pytest.mark.parametrize("dec", [-89.0, -23.4, 0.0, 60.0])
@pytest.mark.parametrize("ra", [0.0, 100.0, 359.99])
def test_topocentric_is_the_true_equator_of_date(ra: float, dec: float) -> None:
    found_h, found_dec = to_mount(System.equTopocentric, UNIX, ra, dec)
    exact = SkyCoord(ra * u.deg, dec * u.deg).transform_to(TETE(obstime=Time(UNIX, format="unix")))
    assert separation_deg(found_h * 15, found_dec, exact.ra.deg, exact.dec.deg) < 0.5 / 3600
    # 26 years of precession are a third of a degree.
    assert separation_deg(found_h * 15, found_dec, ra, dec) > 0.05


@given(
    ra=st.floats(0, 359.999),
    dec=st.floats(-90, 90),
    system=st.sampled_from([System.equTopocentric, System.equJ2000, System.equOther]),
    unix=st.floats(9e8, 2.5e9),
)
def test_there_and_back(ra: float, dec: float, system: System, unix: float) -> None:
    ra_h, mount_dec = to_mount(system, unix, ra, dec)
    assert 0 <= ra_h < 24
    back = from_mount(system, unix, ra_h, mount_dec)
    assert separation_deg(*back, ra, dec) < 1e-3 / 3600


def test_an_old_system_is_refused() -> None:
    with pytest.raises(DeviceError, match="J2000"):
        to_mount(System.equB1950, UNIX, 10, 10)
