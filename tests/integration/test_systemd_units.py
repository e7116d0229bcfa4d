"""The units as `make install` puts them in place, judged by systemd itself."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from toros.cli.main import WRONG_USE
from toros.cli.modules import ROOMS, SIMULATOR
from toros.common.config import load_config

ROOT = Path(__file__).parents[2]
MODULES = [*ROOMS, SIMULATOR]
# Of 10: what the unit would let a taken-over module do. 9.2 is a unit without a sandbox.
MOST_EXPOSED = 1.5

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is not on this machine: Debian's package systemd has it",
)


class Place:
    """Where a test installs to."""

    def __init__(self, folder: Path) -> None:
        self.prefix = folder / "usr"
        self.etc = folder / "etc"
        self.units = self.prefix / "lib/systemd/system"
        self.config = self.etc / "toros/toros.conf.yaml"

    def make(self, target: str) -> str:
        done = subprocess.run(
            [str(shutil.which("make")), target, f"PREFIX={self.prefix}", f"SYSCONFDIR={self.etc}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def unit(self, module: str) -> Path:
        return self.units / f"toros-{module}.service"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.make("install-files")
    return made


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Place:
    made = Place(tmp_path_factory.mktemp("installed"))
    made.make("install-files")
    return made


def settings(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


@needs_systemd
@pytest.mark.parametrize("module", [*MODULES, "database"])
def test_a_unit_leaves_little_exposed(installed: Place, module: str) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager"]
    done = subprocess.run(
        [*command, str(installed.unit(module))], capture_output=True, text=True, check=False
    )
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+) ", done.stdout)
    assert found, done.stderr
    assert float(found[1]) <= MOST_EXPOSED, done.stdout


@needs_systemd
def test_systemd_finds_nothing_wrong(installed: Place) -> None:
    units = sorted(str(path) for path in installed.units.glob("toros*"))
    assert len(units) == len(MODULES) + 2  # the target and the database
    command = ["systemd-analyze", "verify", "--man=no", *units]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("module", MODULES)
def test_each_module_has_its_unit(installed: Place, module: str) -> None:
    unit = settings(installed.unit(module))
    assert unit["ExecStart"] == [f"{installed.prefix}/bin/toros serve {module}"]
    assert (unit["Type"], unit["User"], unit["PartOf"]) == (["notify"], ["toros"], ["toros.target"])
    assert unit["Restart"] == ["on-failure"]
    assert unit["RestartPreventExitStatus"] == [str(WRONG_USE)]
    assert int(unit["WatchdogSec"][0]) > 0
    folder = f"{installed.etc}/toros/credentials"
    names = [line.split(":")[0] for line in unit["LoadCredential"]]
    assert unit["LoadCredential"] == [f"{name}:{folder}/{name}" for name in names]
    # What is not there is an empty line.
    assert unit["SetCredential"] == [rf"{name}:\n" for name in names]
    assert unit["IPAddressDeny"] == ["any"]
    # Only the preprocessor compiles at run time.
    jit = module == "preprocessor"
    assert unit["MemoryDenyWriteExecute"] == ["no" if jit else "yes"]
    assert ("NUMBA_CACHE_DIR=/var/cache/toros/numba" in unit["Environment"]) is jit


def test_the_installed_configuration_can_be_used(installed: Place) -> None:
    config = load_config(installed.config)
    assert config.logging.file == Path("/var/log/toros/toros.log")
    assert {name.replace("_", "-") for name in config.services} <= set(MODULES)


def test_an_edited_configuration_is_kept(place: Place) -> None:
    new = place.config.with_name("toros.conf.yaml.new")
    shipped = place.config.read_text()
    place.make("install-files")
    assert not new.exists()
    place.config.write_text("node: mine\n")
    said = place.make("install-files")
    # The shipped one is the same as before: nothing is new.
    assert place.config.read_text() == "node: mine\n"
    assert not new.exists()
    # As an older version would have left it.
    (place.prefix / "lib/toros/shipped/toros.conf.yaml").write_text("node: older\n")
    said = place.make("install-files")
    assert "was edited and is kept" in said
    assert place.config.read_text() == "node: mine\n"
    assert new.read_text() == shipped


def test_a_configuration_that_nobody_edited_is_brought_up_to_date(place: Place) -> None:
    shipped = place.config.read_text()
    kept = place.prefix / "lib/toros/shipped/toros.conf.yaml"
    for path in (place.config, kept):
        path.write_text("node: older\n")
    place.make("install-files")
    assert place.config.read_text() == kept.read_text() == shipped


def test_secrets_have_a_folder_that_only_root_reads(place: Place) -> None:
    assert (place.etc / "toros/credentials").stat().st_mode & 0o777 == 0o700


def test_uninstall_leaves_what_is_not_ours(place: Place) -> None:
    place.make("uninstall")
    root = place.etc.parent
    left = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert left == {
        "etc/toros/toros.conf.yaml",
        "etc/systemd/system/toros-.service.d/network.conf",
    }
