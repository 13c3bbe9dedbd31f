"""Addresses of ACE Chat. What answers is loaded at the first request: most starts of ComfyUI never need it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..pages.lazy_routes import add_lazy_routes

if TYPE_CHECKING:
    from aiohttp import web

    from .dependencies import Dependencies

PREFIX = "/ace/chats"
_ONE = f"{PREFIX}/{{chat:[0-9a-f]{{32}}}}"
_TURN = f"{_ONE}/turns/{{turn:[0-9a-f]{{32}}}}"
_PICTURE = f"{_ONE}/pictures/{{file:[0-9a-f]{{32}}\\.png}}"
# Method, address, and the handler of ``page.Page``.
_ADDRESSES = (
    ("GET", PREFIX, "list"),
    ("POST", PREFIX, "create"),
    ("GET", f"{PREFIX}/choices", "choices"),
    ("GET", f"{PREFIX}/suggestions", "suggestions"),
    ("POST", f"{PREFIX}/rewrite", "rewrite"),
    ("POST", f"{PREFIX}/provide", "provide"),
    ("GET", _ONE, "read"),
    ("POST", f"{_ONE}/edit", "edit"),
    ("POST", f"{_ONE}/delete", "delete"),
    ("POST", f"{_ONE}/restore", "restore"),
    ("POST", f"{_ONE}/export", "export"),
    ("POST", f"{_ONE}/turns", "ask"),
    ("POST", f"{_ONE}/sheet", "sheet"),
    ("POST", f"{_TURN}/again", "again"),
    ("POST", f"{_TURN}/retry", "retry"),
    ("POST", f"{_TURN}/dataset", "dataset"),
    ("GET", f"{_TURN}/workflow", "workflow"),
    ("POST", f"{_ONE}/pictures", "add_picture"),
    ("GET", _PICTURE, "picture"),
    ("POST", f"{_PICTURE}/mask", "add_mask"),
    ("POST", f"{_PICTURE}/edited", "add_edited"),
    ("POST", f"{_PICTURE}/input", "to_input"),
)


def add_routes(routes: web.RouteTableDef, dependencies: Dependencies) -> None:
    """Adds the routes to those of ComfyUI's server or any other of aiohttp."""

    def load() -> Callable[[], Any]:
        from .page import Page

        return lambda: Page(dependencies)

    add_lazy_routes(routes, _ADDRESSES, load)
