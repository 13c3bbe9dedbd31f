"""Addresses of the page of datasets. What answers is loaded at the first request: most starts of ComfyUI never need it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..pages.lazy_routes import add_lazy_routes

if TYPE_CHECKING:
    from aiohttp import web

PREFIX = "/ace/datasets"
_ONE = f"{PREFIX}/{{name}}"
_PAIR = f"{_ONE}/{{kind:pairs|deleted}}/{{id}}"
# Method, address, and the handler of ``page.Page``.
_ADDRESSES = (
    ("GET", PREFIX, "names"),
    ("GET", _ONE, "state"),
    ("GET", f"{_ONE}/list", "list"),
    ("GET", _PAIR, "pair"),
    ("GET", f"{_PAIR}/thumbnail", "thumbnail"),
    ("GET", f"{_PAIR}/pictures/{{picture}}", "picture"),
    ("GET", f"{_ONE}/rejected/{{number}}/thumbnail", "rejected_thumbnail"),
    ("GET", f"{_ONE}/comparison", "comparison"),
    ("POST", f"{_ONE}/comparison", "choose"),
    ("POST", f"{_ONE}/edit", "edit"),
    ("POST", f"{_ONE}/label", "label"),
    ("POST", f"{_ONE}/delete", "delete"),
    ("POST", f"{_ONE}/restore", "restore"),
)


def add_routes(routes: web.RouteTableDef, root: Callable[[], Path]) -> None:
    """Adds the routes to those of ComfyUI's server or any other of aiohttp.

    Args:
        root: gives the folder of all datasets.
    """

    def load() -> Callable[[], Any]:
        from .page import Page

        return lambda: Page(root)

    add_lazy_routes(routes, _ADDRESSES, load)
