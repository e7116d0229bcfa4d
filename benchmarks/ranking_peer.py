"""The same catalogue and maps through `ligo.skymap`'s crossmatch, in another environment."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ranking_catalogue import NAME
from toros.lvcgcn import column_store
from toros.lvcgcn.skymap_fits import read_sky_map

_TOP = 100
#: Run by the other Python: no line of TOROS, so that nothing under the GPL meets it.
_SCRIPT = """
import json, resource, sys, time
import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from ligo.skymap.io import read_sky_map
from ligo.skymap.postprocess import crossmatch
folder, *maps = sys.argv[1:]
def column(name, kind):
    return np.fromfile(folder + "/" + name, kind).astype(float)
place = SkyCoord(column("ra_deg", "<f8") * u.deg, column("dec_deg", "<f8") * u.deg,
                 column("distance_mpc", "<f4") * u.Mpc)
found = []
for path in maps:
    sky_map = read_sky_map(path, moc=True)
    begin = time.perf_counter()
    result = crossmatch(sky_map, place)
    took = time.perf_counter() - begin
    density = result.probdensity_vol
    found.append({"seconds": took, "top": np.argsort(-density, kind="stable")[:100].tolist(),
                  "mb_peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024})
json.dump(found, sys.stdout)
"""


def compare(python: Path | None, folder: Path, maps: dict[str, bytes]) -> dict[str, Any]:
    """Return the times and memory of the peer, and how many of its best 100 are ours."""
    if python is None:
        return {
            "skipped": "name a Python that has it: python3 -m venv V; V/bin/pip install "
            "ligo.skymap; --skymap-python V/bin/python"
        }
    with tempfile.TemporaryDirectory() as scratch:
        paths = []
        for number, content in enumerate(maps.values()):
            paths.append(Path(scratch) / f"{number}.fits")
            paths[-1].write_bytes(content)
        command = [str(python), "-W", "ignore", "-c", _SCRIPT, str((folder / NAME).resolve())]
        done = subprocess.run(
            [*command, *map(str, paths)], capture_output=True, text=True, check=False
        )
    if done.returncode:
        return {"skipped": f"it ended with {done.returncode}: {done.stderr[-300:]}"}
    found: dict[str, Any] = {}
    for (name, content), one in zip(maps.items(), json.loads(done.stdout), strict=True):
        same = len(set(_exact(folder, content)) & set(one.pop("top")))
        found[name] = {**one, f"of its best {_TOP} right": same}
    return found


def _exact(folder: Path, content: bytes) -> list[int]:
    """Return the best rows by the formula alone: without errors of distances, as the peer has."""
    catalogue, sky_map = column_store.read(folder, NAME), read_sky_map(content)
    assert catalogue is not None
    assert sky_map.distances is not None
    cell = sky_map.cells_at(catalogue.pixel)
    distances = sky_map.distances
    off = (catalogue.distance_mpc - distances.mu_mpc[cell]) / distances.sigma_mpc[cell]
    score = sky_map.density[cell] * distances.norm[cell] * np.exp(-0.5 * off**2)
    score /= distances.sigma_mpc[cell]
    return [int(row) for row in np.argsort(-score, kind="stable")[:_TOP]]
