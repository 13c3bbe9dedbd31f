"""Opens the routes of the page of datasets."""

from __future__ import annotations

from ..host import paths
from ..host.routes import routes_without
from .routes import PREFIX, add_routes


def register() -> None:
    """Opens ``/ace/datasets`` and what lies below it, under the host's own rules for strange origins."""
    routes = routes_without(PREFIX)
    if routes is not None:
        add_routes(routes, paths.datasets_root)
