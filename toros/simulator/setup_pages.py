"""The pages for a browser that Alpaca asks of a server: `/setup`, and one of each device."""

from __future__ import annotations

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from toros.simulator.devices.base import Device
from toros.simulator.observatory import Observatory

_PAGE = """\
<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body {{ font-family: sans-serif; margin: 2em; }} td {{ padding-right: 2em; }}</style>
<h1>{title}</h1>
{body}
</html>
"""
_NOTE = (
    "<p>Nothing is set up here: what the observatory is like is in the configuration with which "
    "the simulator was started, and what befalls it is ordered at <code>/simulator/v1</code>.</p>"
)


class SetupPages:
    """What a person sees who opens the server's address in a browser.

    Parameters
    ----------
    observatory : Observatory
        Whose devices are listed.
    """

    def __init__(self, observatory: Observatory) -> None:
        self._observatory = observatory

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/", self.root),
            Route("/setup", self.server),
            Route("/setup/v1/{kind}/{number:int}/setup", self.device),
        ]

    async def root(self, _request: Request) -> Response:
        """Lead to the server's page."""
        return RedirectResponse("/setup")

    async def server(self, _request: Request) -> Response:
        """Return the list of devices."""
        rows = "".join(_row(device) for device in self._observatory.devices.values())
        truth = '<p><a href="/simulator/v1/truth">Where everything really is</a></p>'
        return _page(self._observatory.settings.server_name, f"<table>{rows}</table>{truth}{_NOTE}")

    async def device(self, request: Request) -> Response:
        """Return the page of a device."""
        key = (request.path_params["kind"], request.path_params["number"])
        device = self._observatory.devices.get(key)
        if device is None:
            return HTMLResponse(f"There is no device {escape(key[0])} {key[1]}.", 404)
        state = "connected" if device.connected else "not connected"
        described = f"<p>{escape(device.description)}, {state}.</p>"
        return _page(device.name, f'{described}{_NOTE}<p><a href="/setup">All devices</a></p>')


def _row(device: Device) -> str:
    link = f"/setup/v1/{device.kind}/{device.number}/setup"
    path = f"/api/v1/{device.kind}/{device.number}/"
    return (
        f'<tr><td><a href="{link}">{escape(device.name)}</a></td><td><code>{path}</code></td></tr>'
    )


def _page(title: str, body: str) -> HTMLResponse:
    return HTMLResponse(_PAGE.format(title=escape(title), body=body))
