"""The report of a night: as data, as a picture, and as a summary for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy.orm import Session, sessionmaker

from toros.archive import nights, stages
from toros.archive.models import Observation
from toros.cli.night.watch import Snapshot
from toros.common.clock import iso
from toros.common.config import Config

LIGHT = "light"
# States of targets that a night left before their turn had come, or within it.
UNTOUCHED = ("queued", "running")


def document(snapshot: Snapshot, sessions: sessionmaker[Session]) -> dict[str, Any]:
    """Return the night as CONTRACT §1 has it."""
    with sessions() as session:
        hosts = nights.hosts_of(session, snapshot.alert) if snapshot.alert else []
        products = nights.products_of(session, snapshot.batches)
        found = nights.candidates_of(session, [product for product, _ in products])
        reached = {
            alert: stages.stages_of(session, alert, snapshot.since)
            for alert in stages.alerts_since(session, snapshot.since)
        }
    return {
        "event": snapshot.alert.event if snapshot.alert else None,
        "night": _night(snapshot),
        "targets": [
            {
                "name": host.name,
                "ra": host.ra,
                "dec": host.dec,
                "rank": host.rank,
                "probability": host.probability,
                "distance_mpc": host.distance_mpc,
                **_outcome(snapshot.queue, host.name),
            }
            for host in hosts
        ],
        "frames": [
            {
                "path": frame.path,
                "image_type": frame.image_type,
                "object": frame.object,
                "filter": frame.filter,
                "exptime": frame.exptime,
                "date_obs": iso(frame.date_obs) if frame.date_obs else None,
            }
            for frame in snapshot.frames
        ],
        "products": [
            {"path": item.path, "kind": item.kind, "object": name, "filter": item.filter}
            for item, name in products
        ],
        "candidates": [
            {"ra": item.ra, "dec": item.dec, "magnitude": item.magnitude} for item in found
        ],
        "alerts": [
            {"event": alert, "stages": [stage.as_json() for stage in each]}
            for alert, each in reached.items()
        ],
        "timeline": [
            {"time": iso(event.time), "module": event.module, "what": event.message}
            for event in snapshot.events
        ],
        "problems": _problems(snapshot),
    }


def _night(snapshot: Snapshot) -> str | None:
    nights_seen = [event.data["night"] for event in snapshot.events if "night" in event.data]
    return str(nights_seen[-1]) if nights_seen else None


def _outcome(queue: list[Observation], name: str) -> dict[str, Any]:
    entry = next((entry for entry in queue if entry.name == name), None)
    if entry is None:
        return {"observed": False, "reason": "not sent to the telescope"}
    reason = entry.reason
    if not reason and entry.state in UNTOUCHED:
        reason = f"still {entry.state} when the night was closed"
    return {"observed": entry.taken > 0, "reason": reason}


def _problems(snapshot: Snapshot) -> list[dict[str, Any]]:
    problems = [
        {"time": iso(event.time), "module": event.module, "code": event.code, "what": event.message}
        for event in snapshot.events
        if event.level != "info"
    ]
    problems += [
        {
            "time": iso(batch.finished or batch.created),
            "module": "preprocessor",
            "code": batch.code,
            "what": f"file batch {batch.name}: {batch.message}",
        }
        for batch in snapshot.batches
        if batch.code
    ]
    return problems


def draw(report: dict[str, Any], snapshot: Snapshot, config: Config, folder: Path) -> list[Path]:
    """Write the plot of the night and a preview of each target's last calibrated image.

    Parameters
    ----------
    report : dict
        From `document`.
    snapshot : Snapshot
        The night's end.
    config : Config
        For the site and the limits.
    folder : pathlib.Path
        Where the pictures go.

    Returns
    -------
    list of pathlib.Path
        The pictures, the night's plot first.
    """
    from toros.imaging.preview import write_preview

    pictures = [_plot(snapshot, config, folder / "night.png")] if report["night"] else []
    latest = {
        product["object"]: Path(product["path"])
        for product in report["products"]
        if product["kind"] == "calibrated"
    }
    for name, path in latest.items():
        target = folder / f"{str(name).replace(' ', '')}.png"
        pictures.append(write_preview(path, target, title=f"{name}: {path.name}"))
    return pictures


def _plot(snapshot: Snapshot, config: Config, path: Path) -> Path:
    """Draw what was observed when, over the altitudes of all targets."""
    from datetime import date

    from toros.sky.site import Site
    from toros.telescope.observed import observed_plan, plan_target
    from toros.telescope.plan_plot import plot_plan

    where = config.site
    site = Site(where.name, where.latitude, where.longitude, where.elevation)
    lights = [frame for frame in snapshot.frames if frame.image_type == LIGHT]
    night = date.fromisoformat(str(_night(snapshot)))
    plan = observed_plan(site, night, snapshot.queue, lights)
    others = [plan_target(entry) for entry in snapshot.queue]
    limit = config.telescope.limits.min_altitude_deg
    return plot_plan(plan, path, min_altitude_deg=limit, others=others)


def _short(path: Path | str, folder: Path) -> str:
    """Return a path within the night's folder without the folder."""
    whole = Path(path)
    return str(whole.relative_to(folder)) if whole.is_relative_to(folder) else str(whole)


def _stages(alert: dict[str, Any], clock_rate: float) -> Table:
    """Return the way of one alert, stage by stage, with the time that each took."""
    pace = ""
    if clock_rate > 1:
        pace = f" (the clock runs {clock_rate:g} times as fast as what computes)"
    table = Table(
        *("stage", "UTC", "after the stage before", ""),
        box=None,
        title=f"\n{alert['event']}, stage by stage{pace}",
        title_justify="left",
    )
    for stage in alert["stages"]:
        took = stage["since_previous_s"]
        table.add_row(
            stage["stage"],
            stage["time"][11:23] if stage["time"] else "not reached",
            "" if took is None else f"{took:.1f} s",
            stage["what"],
        )
    return table


def summarise(report: dict[str, Any], pictures: list[Path], folder: Path, out: Console) -> None:
    """Print the night for people."""
    out.print(f"\n[bold]Night of {report['night']}[/], event {report['event']}")
    table = Table("rank", "host", "ra", "dec", "probability", "observed", box=None)
    for target in report["targets"]:
        seen = target["observed"]
        mark = Text("yes", style="green") if seen else Text(f"no: {target['reason']}")
        table.add_row(
            str(target["rank"]),
            Text(target["name"]),
            f"{target['ra']:.4f}",
            f"{target['dec']:+.4f}",
            f"{target['probability']:.3f}",
            mark,
        )
    if report["targets"]:
        out.print(table)
    for alert in report["alerts"]:
        out.print(_stages(alert, report.get("clock_rate", 1.0)))
    calibrated = [product for product in report["products"] if product["kind"] == "calibrated"]
    count = len(report["products"]) - len(calibrated)
    made = f"{len(report['frames'])} frames, {count} masters, {len(calibrated)} calibrated images"
    out.print(f"\n{made}{':' if calibrated else '.'}")
    for product in calibrated:
        out.print(f"  {product['object']}: {_short(product['path'], folder)}", markup=False)
    if pictures:
        out.print("\nPictures:")
        for path in pictures:
            out.print(f"  {_short(path, folder)}", markup=False)
    if report["problems"]:
        out.print(f"\n[yellow]{len(report['problems'])} problems:[/]")
        for problem in report["problems"]:
            said = f"  {problem['time'][11:19]} {problem['module']}: {problem['what']}"
            out.print(said, markup=False)  # a message may name a path in brackets
    out.print(f"\nAll paths are in {folder}.", markup=False)
