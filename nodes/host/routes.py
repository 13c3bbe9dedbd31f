"""The pack's own routes on ComfyUI's server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp.web import RouteTableDef


def routes_without(path: str) -> RouteTableDef | None:
    """ComfyUI's table of routes, to add some to, or None where it has this path already.

    Then the pack is installed twice, and the server would not start with two routes of one name.
    """
    from server import PromptServer

    routes = PromptServer.instance.routes
    return None if any(getattr(route, "path", "") == path for route in routes) else routes
