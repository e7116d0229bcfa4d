"""Catalogues on disk: one file a column, mapped into memory, and a manifest.

::

    CATALOGUES/glade+ -> glade+@1f0c…      a link, so that a new build is swapped in at once
    CATALOGUES/glade+@1f0c…/manifest.json  source, cosmology, sha256, count, completeness
                            pixel.int64  distance_mpc.float32 …

A build that dies leaves a folder whose name begins with a dot, and the link as it was.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from toros.common.atomic import write_text
from toros.common.errors import UnusableCatalogue
from toros.lvcgcn.catalogue import Catalogue, CatalogueInfo, Weight

log = logging.getLogger(__name__)

#: One more whenever the columns or what they mean change.
LAYOUT = 2
MANIFEST = "manifest.json"

_COLUMNS = ("pixel", "ra_deg", "dec_deg", "distance_mpc", "distance_error_mpc", "name")
_WEIGHTS = (Weight.LUMINOSITY, Weight.STELLAR_MASS)
_CHUNK = 2**22


def write(folder: Path, catalogue: Catalogue) -> Path:
    """Write a catalogue and swap it in under its name; return the folder it is in now.

    Readers of the one before keep what they have mapped.

    Raises
    ------
    OSError
        If the disk refuses; the catalogue before is then still there.
    UnusableCatalogue
        If it has no galaxy.
    """
    name = catalogue.info.name
    if not len(catalogue):
        raise UnusableCatalogue(f"The catalogue {name} has no galaxy.")
    folder.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(dir=folder, prefix=f".{name}."))
    try:
        manifest = _manifest(catalogue, _write_columns(making, catalogue))
        write_text(making / MANIFEST, json.dumps(manifest, indent=2) + "\n")
        making.chmod(0o755)
        home = folder / f"{name}@{manifest['sha256'][:16]}"
        if home.exists() and not verify(folder, home.name):
            shutil.rmtree(making)  # the same galaxies, and whole
        else:
            if home.exists():
                _discard(home, folder)
            making.rename(home)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    _swap(folder / name, home)
    for other in folder.glob(f"{name}@*"):
        if other != home:
            _discard(other, folder)
    return home


def _discard(old: Path, folder: Path) -> None:
    """Take a folder out of the way at once, then delete it."""
    grave = Path(tempfile.mkdtemp(dir=folder, prefix=".old."))
    old.rename(grave / old.name)
    shutil.rmtree(grave, ignore_errors=True)


def _swap(link: Path, home: Path) -> None:
    fresh = link.with_name(f".{link.name}.link")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(home.name)
    fresh.replace(link)


def _write_columns(folder: Path, catalogue: Catalogue) -> dict[str, dict[str, str]]:
    columns: dict[str, npt.NDArray[Any]] = {key: getattr(catalogue, key) for key in _COLUMNS}
    columns["name"] = _as_bytes(catalogue.name)
    for weight in _WEIGHTS:
        values = catalogue.column_of(weight)
        if values is not None:
            columns[weight.value] = values
            columns[f"peak_{weight.value}"] = np.asarray(catalogue.peaks[weight])
    return {key: _write_column(folder, key, values) for key, values in columns.items()}


def _as_bytes(names: npt.NDArray[Any]) -> npt.NDArray[np.bytes_]:
    return names if names.dtype.kind == "S" else np.char.encode(names.astype(np.str_), "utf-8")


def _write_column(folder: Path, key: str, values: npt.NDArray[Any]) -> dict[str, str]:
    digest = hashlib.sha256()
    with (folder / key).open("wb") as file:
        for begin in range(0, values.size, _CHUNK):
            chunk = np.ascontiguousarray(values[begin : begin + _CHUNK]).tobytes()
            digest.update(chunk)
            file.write(chunk)
    return {"dtype": values.dtype.str, "sha256": digest.hexdigest()}


def _manifest(catalogue: Catalogue, columns: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    said = "".join(f"{key}={columns[key]['sha256']}\n" for key in sorted(columns))
    return {
        "layout": LAYOUT,
        **asdict(catalogue.info),
        "count": len(catalogue),
        "sha256": hashlib.sha256(said.encode()).hexdigest(),
        "typical": {weight.value: value for weight, value in catalogue.typical.items()},
        "columns": columns,
    }


def manifest_of(folder: Path, name: str) -> dict[str, Any] | None:
    """Return the manifest of a catalogue; ``None`` where it is not built.

    Raises
    ------
    UnusableCatalogue
        If it cannot be read or is of another layout.
    """
    path = folder / name / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UnusableCatalogue(f"The catalogue's {path} is damaged: {error}.") from error
    if not isinstance(manifest, dict) or manifest.get("layout") != LAYOUT:
        raise UnusableCatalogue(f"{path} is of another layout: build the catalogue again.")
    return manifest


def read(folder: Path, name: str) -> Catalogue | None:
    """Map a catalogue into memory; ``None`` where it is not built.

    Raises
    ------
    UnusableCatalogue
        If its files are not what its manifest says.
    """
    # Resolved once: a swap while its columns are opened must not mix two builds.
    home = (folder / name).resolve()
    manifest = manifest_of(home.parent, home.name)
    if manifest is None:
        return None
    try:
        return _mapped(home, manifest)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UnusableCatalogue(f"The catalogue in {home} is damaged: {error}.") from error


def _mapped(home: Path, manifest: dict[str, Any]) -> Catalogue:
    count, columns = int(manifest["count"]), manifest["columns"]

    def column(key: str) -> npt.NDArray[Any]:
        dtype = np.dtype(columns[key]["dtype"])
        size = (home / key).stat().st_size
        if not key.startswith("peak_") and size != count * dtype.itemsize:
            raise ValueError(f"{key} has {size} bytes, not {count * dtype.itemsize}")
        return np.memmap(home / key, dtype=dtype, mode="r")

    weights = [weight for weight in _WEIGHTS if weight.value in columns]
    return Catalogue(
        info=_info(manifest),
        **{key: column(key) for key in _COLUMNS},
        **{weight.value: column(weight.value) for weight in weights},
        # These are small and wanted whole.
        peaks={weight: np.array(column(f"peak_{weight.value}")) for weight in weights},
        typical={weight: float(manifest["typical"][weight.value]) for weight in weights},
    )


def _info(manifest: dict[str, Any]) -> CatalogueInfo:
    words = ("name", "title", "version", "licence", "cosmology", "source")
    return CatalogueInfo(
        **{word: str(manifest[word]) for word in words},
        completeness=tuple((float(to), float(held)) for to, held in manifest["completeness"]),
    )


def verify(folder: Path, name: str) -> list[str]:
    """Return which columns no longer have the digest of their manifest."""
    manifest = manifest_of(folder, name) or {"columns": {}}
    changed = []
    for key, about in manifest["columns"].items():
        with (folder / name / key).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != about["sha256"]:
                changed.append(key)
    return changed
