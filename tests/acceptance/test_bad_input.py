"""Bad input, as a user gives it: one clear line, the right exit status, nothing left behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from astropy.io import fits

from tests.support.ports import free_port

FAILED, WRONG_USE = 1, 2


def toros(
    *arguments: object, cwd: Path, output: IO[bytes] | int = subprocess.PIPE, **variables: str
) -> tuple[int, list[str]]:
    """Run the command; return its exit status and the lines on standard error."""
    environment = {key: value for key, value in os.environ.items() if key != "TOROS_CONFIG"}
    done = subprocess.run(
        [sys.executable, "-m", "toros", *map(str, arguments)],
        cwd=cwd,
        env=environment | variables,
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=120,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.splitlines()


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    path = tmp_path / "toros.conf.yaml"
    path.write_text(
        f"""
services:
  dome: {{ip: 127.0.0.1, port: {free_port()}}}
  telescope: {{ip: 127.0.0.1, port: {free_port()}}}
logging: {{file: null}}
database: {{url: "sqlite:///{tmp_path / "toros.db"}"}}
data: {{raw: {tmp_path / "raw"}, products: {tmp_path / "products"}}}
devices: {{dome: {{alpaca: "http://127.0.0.1:{free_port()}"}}}}
"""
    )
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sight: {}", "sight: unknown key (did you mean 'site'?)."),
        ("site: {latitude: 91}", "site.latitude: input should be less than or equal to 90"),
        ("site: [", "this is not YAML"),
        ("tls: {certificate: a.pem}", "tls: certificate and key go together"),
        ("services: {dome: {ip: 0.0.0.0, port: 1}}", "there is no 'access' in the configuration"),
    ],
)
def test_a_wrong_configuration_is_one_line_with_its_place(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"node: a\n{text}\n")
    status, lines = toros("config", "check", path, cwd=tmp_path)
    assert status == WRONG_USE
    assert len(lines) == 1
    assert lines[0].startswith(f"toros: {path}:")
    assert said in lines[0]


@pytest.mark.parametrize("command", ["check", "show"])
def test_two_configurations_at_once_are_refused(tmp_path: Path, command: str) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("node: a\n")
    status, lines = toros("config", command, "a.yaml", "--config", "b.yaml", cwd=tmp_path)
    assert status == WRONG_USE
    assert lines == ["toros: Two configurations are named, a.yaml and b.yaml: give one of them."]
    same = tmp_path / "a.yaml"
    assert toros("config", command, "a.yaml", "--config", same, cwd=tmp_path)[0] == 0


def test_a_missing_configuration_is_said_to_be_missing(tmp_path: Path) -> None:
    for command in (("status",), ("serve", "dome"), ("night",)):
        status, lines = toros(*command, "--config", "none.yaml", cwd=tmp_path)
        assert status == WRONG_USE
        assert lines == [
            "toros: none.yaml: there is no such configuration; "
            "name one with --config or $TOROS_CONFIG."
        ]


def test_a_database_that_is_not_there_is_not_made_by_serving(configured: Path) -> None:
    status, lines = toros("serve", "dome", "--config", configured, cwd=configured.parent)
    assert status != 0
    assert "run 'toros db upgrade'" in lines[-1]
    assert not (configured.parent / "toros.db").exists()


def test_a_port_in_use_is_named(configured: Path) -> None:
    assert toros("db", "upgrade", "--config", configured, cwd=configured.parent)[0] == 0
    port = int(configured.read_text().split("port: ")[1].split("}")[0])
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        status, lines = toros("serve", "dome", "--config", configured, cwd=configured.parent)
    assert status != 0
    assert f"Another process listens at 127.0.0.1:{port}" in lines[-1]


def test_modules_that_are_away_are_said_to_be_away(configured: Path) -> None:
    status, lines = toros("send", "dome", "dome_status", "--config", configured, cwd=Path.cwd())
    assert status == FAILED
    assert "cannot be reached (connection refused)" in lines[-1]
    assert toros("status", "--config", configured, cwd=Path.cwd())[0] == 0


def light(path: Path, **cards: Any) -> Path:
    pixels = np.random.default_rng(1).poisson(1000, (40, 50)).astype(np.uint16)
    header = fits.Header({"IMAGETYP": "LIGHT", "EXPTIME": 60.0, "INSTRUME": "cam"} | cards)
    fits.writeto(path, pixels, header)
    return path


def test_folders_without_use(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    status, lines = toros("calibrate", "empty", cwd=tmp_path)
    assert (status, len(lines)) == (FAILED, 1)
    assert lines[0].endswith("(code 101)")
    status, lines = toros("calibrate", "none", cwd=tmp_path)
    assert (status, len(lines)) == (FAILED, 1)
    assert "There is no folder" in lines[0]
    (tmp_path / "junk.fits").write_text("junk")
    status, lines = toros("calibrate", "junk.fits", cwd=tmp_path)
    assert (status, len(lines)) == (FAILED, 1)
    assert "is a file: give the folder that it is in." in lines[0]
    status, lines = toros("inspect", "junk.fits", cwd=tmp_path)
    assert (status, len(lines)) == (FAILED, 1)
    assert lines[0].startswith("toros: junk.fits: is no FITS file: ")
    assert "ignore_missing_simple" not in lines[0]


@pytest.mark.skipif(os.getuid() == 0, reason="root writes everywhere")
def test_a_folder_that_may_not_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    for command in (["calibrate", "."], ["masters", "."], ["night", "--simulated"]):
        status, lines = toros(*command, "--out", "closed/products", cwd=tmp_path)
        assert status == FAILED
        assert lines == [
            f"toros: closed/products cannot be written into: {tmp_path / 'closed'} may not be "
            "written to by you; name another with --out. (code 24)"
        ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    "command", [["--version"], ["inspect", "a.fits"], ["inspect", "a.fits", "--json"]]
)
def test_output_that_finds_no_room_is_one_line(tmp_path: Path, command: list[str]) -> None:
    light(tmp_path / "a.fits")
    with Path("/dev/full").open("wb") as full:
        status, lines = toros(*command, cwd=tmp_path, output=full)
    assert status == FAILED
    assert lines == ["toros: What the command writes cannot be written: No space left on device."]


def test_output_that_is_closed_is_written_nowhere(tmp_path: Path) -> None:
    light(tmp_path / "a.fits")
    command = f"exec {sys.executable} -m toros inspect a.fits --json >&-"
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_that_lacks_letters_is_no_failure(tmp_path: Path) -> None:
    light(tmp_path / "a.fits", OBJECT="M 83")
    odd = os.fsdecode(b"\xff.fits")
    (tmp_path / "a.fits").rename(tmp_path / odd)
    for encoding in ("utf-8:strict", "ascii", "latin-1"):
        with (tmp_path / "shown").open("wb") as shown:
            status, lines = toros(
                "inspect", odd, cwd=tmp_path, output=shown, PYTHONIOENCODING=encoding
            )
        assert (status, lines) == (0, [])
        assert b"M 83" in (tmp_path / "shown").read_bytes()
    targets = tmp_path / "t.csv"
    targets.write_text("name,ra,dec\n☉,10,80\n", encoding="utf-8")
    plan = ("plan", "--night", "2017-08-17", "--targets", targets)
    assert toros(*plan, cwd=tmp_path, PYTHONIOENCODING="ascii") == (0, [])


def test_a_truncated_file_is_recorded_and_the_others_are_calibrated(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    light(folder / "good.fits")
    whole = light(tmp_path / "whole.fits").read_bytes()
    (folder / "half.fits").write_bytes(whole[: len(whole) // 2])
    status, lines = toros("calibrate", "frames", "--out", "out", cwd=tmp_path)
    assert status == FAILED  # one frame was lost
    assert any("half.fits" in line and "code 102" in line for line in lines)
    assert (tmp_path / "out" / "calib_good.fits").is_file()
    assert (folder / "half.fits").read_bytes() == whole[: len(whole) // 2]


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        (["serve", "dmoe"], WRONG_USE, "There is no module 'dmoe' (did you mean 'dome'?)."),
        (["serve", "web"], WRONG_USE, "not in this version"),
        (["night", "--replay", "gw170817"], WRONG_USE, "--replay goes with --simulated"),
        (["plan", "--night", "2017-13-01"], WRONG_USE, "is not a date"),
        (["plan", "--targets", "none.csv"], FAILED, "none.csv"),
        (["inspect", "none.fits"], FAILED, "none.fits"),
        (["alert", "process", "none.xml"], FAILED, "none.xml"),
        (["alert", "rank", "none.fits"], FAILED, "none.fits"),
        (["alert", "rank", "none.fits", "--plot", "a.gif"], WRONG_USE, "a picture ends in .png"),
        (["alert", "rank", "none.fits", "--plot", "/proc"], WRONG_USE, "/proc is a folder"),
        (["plan", "--plot", "a.xyz"], WRONG_USE, "a picture ends in .png or .pdf or .svg"),
        (
            ["plan", "--plot", "c.yaml/a.png"],
            FAILED,
            "c.yaml is not a folder; name another with --plot.",
        ),
        (["night", "--simulated", "--out", "c.yaml/n"], FAILED, "c.yaml is not a folder"),
        (["calibrate", ".", "--out", "c.yaml"], FAILED, "c.yaml is not a folder"),
        (["masters", ".", "--out", "c.yaml"], FAILED, "c.yaml is not a folder"),
        (["calibrate", ".", "--out", "n\udcff"], WRONG_USE, "the name of n\\xff is not in UTF-8"),
        (["calibrat"], WRONG_USE, "calibrate"),
        (["plan", "--frob"], WRONG_USE, "No such option: --frob. See 'toros plan --help'."),
        (["night", "--frames", "big"], WRONG_USE, "'--frames': 'big' is not one of"),
        (["serve"], WRONG_USE, "Missing argument 'module'. See 'toros serve --help'."),
        (["send", "dome", "set_azim", "azim"], WRONG_USE, "'azim' is not key=value."),
    ],
)
def test_other_mistakes(tmp_path: Path, command: list[str], status: int, said: str) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("node: a")
    with_config = [*command, "--config", str(config)] if command != ["calibrat"] else command
    found, lines = toros(*with_config, cwd=tmp_path)
    assert found == status, lines
    assert len(lines) == 1
    assert said in lines[0]
