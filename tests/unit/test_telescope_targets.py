"""Tables of targets: what people write, right and wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import astropy.units as u
import pytest
from astropy.table import QTable, Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toros.common.config.telescope import TelescopeSettings
from toros.common.errors import UnusableTargetTable
from toros.telescope.target_table import read_targets

SETTINGS = TelescopeSettings(filter="r")


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "targets.csv"
    path.write_text(text)
    return path


def test_a_csv_table_with_every_column(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "# hosts\nName, RA ,Dec,priority,exptime,count,filter,not_before,expires,magnitude\n"
        '"NGC 4993",13:09:47.7,-23:23:02,9,30,5,g,2017-08-17T23:00:00,2017-08-19T00:00:00Z,12.9\n'
        "M 83,204.25,-29.87,,,,,,,\n\n",
    )
    first, second = read_targets(path, SETTINGS)
    assert first.name == "NGC 4993"
    assert first.ra_deg == pytest.approx(197.44875)
    assert first.dec_deg == pytest.approx(-23.383889, abs=1e-6)
    assert (first.priority, first.exptime_s, first.count, first.filter) == (9.0, 30.0, 5, "g")
    assert first.not_before == datetime(2017, 8, 17, 23, tzinfo=UTC)
    assert (second.exptime_s, second.count, second.filter) == (60.0, 3, "r")
    assert second.expires is None


def test_an_ecsv_table_with_units(tmp_path: Path) -> None:
    path = tmp_path / "targets.ecsv"
    QTable({"name": ["NGC 4993"], "ra": [13.163267] * u.hourangle, "dec": [-23.384] * u.deg}).write(
        path
    )
    (target,) = read_targets(path, SETTINGS)
    assert target.ra_deg == pytest.approx(197.449, abs=1e-4)
    assert target.dec_deg == pytest.approx(-23.384)


def test_a_table_of_astroplan_s_documentation(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        '# name ra_degrees dec_degrees\nPolaris 37.95456067 89.26410897\n"HD 1" 234.5 -33.25\n',
    )
    assert [(t.name, t.ra_deg, t.dec_deg) for t in read_targets(path, SETTINGS)] == [
        ("Polaris", 37.95456067, 89.26410897),
        ("HD 1", 234.5, -33.25),
    ]


def test_a_schedule_that_astroplan_wrote(tmp_path: Path) -> None:
    path = tmp_path / "schedule.ecsv"
    Table(
        {
            "target": ["M 83", "TransitionBlock", "NGC 4993"],
            "start time (UTC)": ["2017-08-17 23:00:00"] * 3,
            "duration (minutes)": [10.0, 0.5, 5.0],
            "ra": ["204.25", "", "197.449"],
            "dec": ["-29.87", "", "-23.384"],
        }
    ).write(path)
    first, second = read_targets(path, SETTINGS)
    assert (first.name, first.count, first.exptime_s) == ("M 83", 10, 60.0)
    assert (second.name, second.ra_deg, second.count) == ("NGC 4993", 197.449, 5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("name,ra,dec\n", "holds no target"),
        ("name,ra\nx,1\n", "line 1: there is no column 'dec'"),
        ("name,ra,dec,prioriti\nx,1,2,3\n", "did you mean 'priority'"),
        ("name,ra,dec,ra\nx,1,2,3\n", "'ra' stands there twice"),
        ("name,ra,dec\nx,1,2\ny,1\n", "line 3: 2 values for 3 columns"),
        ("name,ra,dec\nx,,2\n", "line 2: column 'ra' is empty"),
        ("name,ra,dec\nx,east,2\n", "ra 'east' is neither degrees nor sexagesimal"),
        ("name,ra,dec\nx,1,91\n", "dec 91 is not between -90 and 90"),
        ("name,ra,dec\nx,nan,1\n", "ra nan is not between"),
        ("name,ra,dec,count\nx,1,2,1.5\n", "count 1.5 is not a whole number"),
        ("name,ra,dec,priority\nx,1,2,11\n", "priority 11 is not a number between 0 and 10"),
        ("name,ra,dec,exptime\nx,1,2,long\n", "exptime 'long' is not a number"),
        ("name,ra,dec,expires\nx,1,2,soon\n", "expires 'soon' is not a time"),
        ("name,ra,dec\nx,1,2\nx,3,4\n", "two targets are called 'x'"),
        ("# %ECSV 1.0\nnonsense\n", "is not an ECSV table"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UnusableTargetTable) as caught:
        read_targets(table(tmp_path, text), SETTINGS)
    assert said in caught.value.message
    assert "targets.csv" in caught.value.message


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(UnusableTargetTable, match="cannot be read"):
        read_targets(tmp_path / "none.csv", SETTINGS)
    binary = tmp_path / "image.csv"
    binary.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UnusableTargetTable, match="UTF-8"):
        read_targets(binary, SETTINGS)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "any.csv"
    path.write_bytes(("name,ra,dec\n" + text).encode("utf-8", "ignore"))
    try:
        targets = read_targets(path, SETTINGS)
    except UnusableTargetTable:
        return
    assert all(0 <= target.ra_deg < 360 and -90 <= target.dec_deg <= 90 for target in targets)
