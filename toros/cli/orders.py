"""`toros send` and `toros status`: talking to the modules."""

from __future__ import annotations

import json
import logging
from typing import Annotated, Any

import requests
import typer
from rich.table import Table
from rich.text import Text

from toros.cli.modules import ROOMS, SIMULATOR, check_name
from toros.cli.options import ConfigOption, JsonOption
from toros.cli.output import err, out, print_json
from toros.common.client import FrontDeskClient
from toros.common.config import Config, load_config
from toros.common.config.source import without_password
from toros.common.errors import InvalidField, PeerError
from toros.common.work_order import MAX_WAIT_S, OrderStatus

log = logging.getLogger(__name__)

STATUS_TIMEOUT_S = 3.0
ENVELOPE = ("id", "priority")
DONE = (OrderStatus.COMPLETED, OrderStatus.ACCEPTED)


def send(
    module: Annotated[str, typer.Argument(help="Which module.")],
    request: Annotated[str, typer.Argument(help="Which request, for instance dome_status.")],
    fields: Annotated[
        list[str] | None, typer.Argument(help="Its fields as key=value; values in JSON or text.")
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(min=0, max=MAX_WAIT_S, help="Seconds to hold the reply until the order ends."),
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Send one work order and print the reply."""
    name = check_name(module)
    values = dict(_field(text) for text in fields or [])
    envelope: dict[str, Any] = {key: values.pop(key) for key in ENVELOPE if key in values}
    client = FrontDeskClient.of(load_config(config), name)
    reply = client.send(request, wait=wait, **envelope, **values)
    if as_json:
        print_json(reply.model_dump(mode="json"))
    else:
        said = f"{reply.module} {reply.request}: {reply.status.value} (code {reply.code})"
        out.print(said, markup=False)
        for text in (reply.message, _shown(reply.result)):
            if text:
                out.print(text, markup=False)
    if reply.status not in DONE:
        raise typer.Exit(1)


def status(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Show every module of the configuration, reachable or not."""
    settings = load_config(config)
    found = {name: _status_of(settings, name) for name in settings.services}
    if as_json:
        print_json({"modules": found})
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("module", "status", "version", "since (UTC)", "queue", "address"):
        table.add_column(heading, no_wrap=heading != "status")  # there the reason is long
    for name, answer in found.items():
        shown = Text(str(answer["status"]), style="green" if answer["reachable"] else "red")
        since = (answer["since"] or "")[:16].replace("T", " ")
        queue = "" if answer["queue"] is None else str(answer["queue"])
        address = without_password(settings.url_of(name))
        table.add_row(name, shown, answer["version"], since, queue, address)
    out.print(table)
    if not found:
        err.print("The configuration names no services.")


def _status_of(settings: Config, name: str) -> dict[str, Any]:
    url = settings.url_of(name)
    keys = ("status", "version", "since", "queue")
    if name == SIMULATOR:
        return dict.fromkeys(keys) | _simulator_status(url)
    if name not in ROOMS:
        return {"reachable": False, **dict.fromkeys(keys), "status": "not in this version"}
    try:
        answer = FrontDeskClient.of(settings, name, STATUS_TIMEOUT_S).ask("status", wait=0)
    except PeerError as error:
        return {"reachable": False, **dict.fromkeys(keys), "status": _why(error.message)}
    return {"reachable": True, **(answer if isinstance(answer, dict) else {})}


def _why(message: str) -> str:
    """Return the cause that an error gives in brackets: the address stands beside it already."""
    cause = message[message.rfind("(") + 1 :].rstrip(").")
    return f"not reachable: {cause}"


def _simulator_status(url: str) -> dict[str, Any]:
    try:
        answer = requests.get(f"{url}/management/v1/description", timeout=STATUS_TIMEOUT_S)
        value = answer.json()["Value"]
    except (requests.RequestException, ValueError, KeyError) as error:
        log.debug("%s: %s", url, error)
        return {"reachable": False, "status": "not reachable"}
    return {"reachable": True, "status": "running", "version": value.get("ManufacturerVersion")}


def _field(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InvalidField(f"{text!r} is not key=value.")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _shown(result: Any) -> str:
    if result is None:
        return ""
    return result if isinstance(result, str) else json.dumps(result, indent=2, ensure_ascii=False)
