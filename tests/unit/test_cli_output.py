"""What commands print for people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from tests.support.ports import free_port
from toros.cli.main import run


def test_status_shows_whole_addresses_where_there_is_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    port = free_port()
    config = tmp_path / "c.yaml"
    config.write_text(f"services: {{preprocessor: {{ip: 127.0.0.1, port: {port}}}}}")
    assert run(["status", "--config", str(config)]) == 0
    assert f"http://127.0.0.1:{port}" in capsys.readouterr().out


def test_inspect_shows_brackets_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    header = fits.Header({"OBJECT": "[red]M 83[/x]"})
    fits.PrimaryHDU(np.zeros((4, 4), np.uint16), header).writeto("[b]a.fits")
    assert run(["inspect", "[b]a.fits"]) == 0
    shown = capsys.readouterr().out
    assert "[b]a.fits" in shown
    assert "[red]M 83[/x]" in shown


def test_a_plan_without_targets_says_how_to_name_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("node: a")
    assert run(["plan", "--night", "2017-08-17", "--config", str(config)]) == 0
    assert "--targets FILE" in capsys.readouterr().out
