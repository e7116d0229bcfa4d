"""A sky map as a picture: the whole sky, and what surrounds the most probable place."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from toros.lvcgcn.skymap import Floats, SkyMap, pixels_of

_GRID = (720, 360)
_ZOOM_GRID = 300
_LEVELS = (0.5, 0.9)
_COLOURS = ("k", "0.4")
_NAMED = 5
#: The zoom holds the 90 % region up to this size.
_WIDEST_ZOOM_DEG = 60.0


def plot_sky_map(
    sky_map: SkyMap, title: str, targets: Sequence[tuple[str, float, float]] = ()
) -> bytes:
    """Return a PNG: Mollweide and zoom, 50 % and 90 % contours, and targets.

    Parameters
    ----------
    sky_map : SkyMap
        The map.
    title : str
        Above all.
    targets : sequence of (str, float, float)
        Name, right ascension and declination in degrees; the first ones are named.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5), dpi=100)
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    held = _held_above(sky_map)
    _whole_sky(figure.add_subplot(1, 2, 1, projection="mollweide"), sky_map, held, targets)
    _zoom(figure.add_subplot(1, 2, 2), sky_map, held, targets)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": "TOROS"})
    return picture.getvalue()


def _held_above(sky_map: SkyMap) -> Floats:
    """Return, for each cell, the probability of the smallest region that reaches to it."""
    densest = np.argsort(-sky_map.density, kind="stable")
    held = np.empty(sky_map.density.size)
    held[densest] = np.cumsum(sky_map.probability[densest])
    return held


def _sampled(
    sky_map: SkyMap, held: Floats, ra_deg: Floats, dec_deg: Floats
) -> tuple[Floats, Floats]:
    """Return density and held probability at places, of their shape."""
    cell = sky_map.cells_at(pixels_of(ra_deg.ravel() % 360, dec_deg.ravel()))
    density = np.where(cell >= 0, sky_map.density[cell], 0.0).reshape(ra_deg.shape)
    return density, np.where(cell >= 0, held[cell], 1.0).reshape(ra_deg.shape)


def _whole_sky(
    axes: Any, sky_map: SkyMap, held: Floats, targets: Sequence[tuple[str, float, float]]
) -> None:
    # East is to the left, and the middle is at 12 h.
    x = np.linspace(-180, 180, _GRID[0])
    dec = np.linspace(-89.9, 89.9, _GRID[1])
    ra_grid, dec_grid = np.meshgrid(180.0 - x, dec)
    density, inside = _sampled(sky_map, held, ra_grid, dec_grid)
    place = np.radians(x), np.radians(dec)
    axes.pcolormesh(*place, density, cmap="YlOrRd", rasterized=True)
    axes.contour(*place, inside, levels=_LEVELS, colors=_COLOURS, linewidths=0.8)
    for _, ra, declination in targets:
        axes.plot(np.radians(180.0 - ra % 360), np.radians(declination), "b.", markersize=2)
    axes.set_xticks(np.radians([-120, -60, 0, 60, 120]), ["20h", "16h", "12h", "8h", "4h"])
    axes.grid(alpha=0.3)


def _zoom(
    axes: Any, sky_map: SkyMap, held: Floats, targets: Sequence[tuple[str, float, float]]
) -> None:
    ra0, dec0, size = _frame(sky_map, held)
    offset = np.linspace(-size / 2, size / 2, _ZOOM_GRID)
    stretch = max(np.cos(np.radians(dec0)), 0.05)
    east, north = np.meshgrid(offset, offset)
    declination = np.clip(dec0 + north, -89.99, 89.99)
    density, inside = _sampled(sky_map, held, ra0 + east / stretch, declination)
    axes.pcolormesh(ra0 + offset / stretch, dec0 + offset, density, cmap="YlOrRd", rasterized=True)
    axes.contour(ra0 + offset / stretch, dec0 + offset, inside, levels=_LEVELS, colors=_COLOURS)
    named: list[tuple[float, float]] = []
    for name, ra, dec in targets:
        near = ra0 + (ra - ra0 + 180.0) % 360.0 - 180.0
        x, y = (near - ra0) * stretch / size, (dec - dec0) / size
        if max(abs(x), abs(y)) > 0.5:
            continue
        axes.plot(near, dec, "b+", markersize=6)
        # Names do not stand upon each other.
        free = all(abs(x - left) > 0.25 or abs(y - up) > 0.04 for left, up in named)
        if len(named) < _NAMED and free:
            named.append((x, y))
            axes.annotate(name, (near, dec), fontsize=7, xytext=(4, 4),
                          textcoords="offset points")  # fmt: skip
    axes.invert_xaxis()
    axes.locator_params(nbins=6)
    axes.set(xlabel="right ascension / degrees", ylabel="declination / degrees",
             aspect=1.0 / stretch)  # fmt: skip
    _legend(axes, bool(targets))


def _legend(axes: Any, targets: bool) -> None:
    from matplotlib.lines import Line2D

    lines = [
        Line2D([], [], color=colour, label=f"{level:.0%} of the probability")
        for level, colour in zip(_LEVELS, _COLOURS, strict=True)
    ]
    if targets:
        lines.append(Line2D([], [], color="b", marker="+", linestyle="", label="targets"))
    axes.legend(handles=lines, fontsize=7, loc="best")


def _frame(sky_map: SkyMap, held: Floats) -> tuple[float, float, float]:
    """Return the densest place, and the side of a square about the part of 90 % around it."""
    from cdshealpix import nested

    first, order = sky_map.first, sky_map.order
    region = np.flatnonzero(held <= _LEVELS[1])
    if not region.size:
        region = np.array([int(np.argmax(sky_map.density))])
    index = (first[region] >> (2 * (29 - order[region]))).astype(np.uint64)
    longitude, latitude = nested.healpix_to_lonlat(
        index, order[region].astype(np.uint8), num_threads=1
    )
    densest = int(np.argmax(sky_map.density[region]))
    ra0, dec0 = float(longitude.deg[densest]), float(latitude.deg[densest])
    away = np.abs((longitude.deg - ra0 + 180.0) % 360.0 - 180.0) * np.cos(latitude.rad)
    extent = 2.2 * float(max(away.max(), np.abs(latitude.deg - dec0).max()))
    return ra0, dec0, float(np.clip(extent, 0.5, _WIDEST_ZOOM_DEG))
