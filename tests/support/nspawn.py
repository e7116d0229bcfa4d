"""A machine in a container, with systemd as its first process and no network."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.processes import children_of
from tests.support.waiting import wait_until

BOOT_S = 120.0


class Guest:
    """A booted root file system, driven from outside."""

    def __init__(self, root: Path, log: Path) -> None:
        self.root = root
        with log.open("wb") as sink:
            self._process = subprocess.Popen(
                [
                    str(shutil.which("systemd-nspawn")),
                    "--quiet",
                    f"--directory={root}",
                    "--boot",
                    "--private-network",
                    "--register=no",
                    "--keep-unit",
                    "--console=pipe",
                    "--machine=toros-test",
                ],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
            )
        self._first = 0
        try:
            wait_until(self._is_up, f"the guest to boot ({log})", BOOT_S)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    def _is_up(self) -> bool:
        assert self._process.poll() is None, "the container has ended"
        # Looked up each time: the first child only prepares the container, and makes way.
        children = children_of(self._process.pid)
        if not children:
            return False
        self._first = children[0]
        said = self.run("systemctl", "is-system-running").stdout.strip()
        return said in ("running", "degraded")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the guest, as its root."""
        return subprocess.run(
            [str(shutil.which("nsenter")), f"--target={self._first}", "--all", "--root", *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def must(self, *command: str) -> str:
        """Run a command in the guest that must succeed; return what it wrote."""
        done = self.run(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def show(self, unit: str) -> dict[str, str]:
        """Return what systemd knows of a unit."""
        lines = self.must("systemctl", "show", unit).splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def journal(self, unit: str) -> str:
        """Return what a unit has logged."""
        return self.must("journalctl", "--no-pager", "--output=cat", "--unit", unit)

    def status(self, unit: str) -> str:
        """Return what an admin sees."""
        return self.run("systemctl", "status", "--no-pager", "--full", unit).stdout

    def drop_in(self, unit: str, text: str | None) -> None:
        """Change the settings of a unit until the next change; None takes the change back."""
        folder = self.root / f"etc/systemd/system/{unit}.d"
        if text is None:
            (folder / "test.conf").unlink()
        else:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "test.conf").write_text(f"[Service]\n{text}")
        self.must("systemctl", "daemon-reload")

    def stop(self) -> None:
        """Shut the guest down."""
        self.run("systemctl", "poweroff")
        try:
            self._process.wait(120)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            self._process.wait(60)
