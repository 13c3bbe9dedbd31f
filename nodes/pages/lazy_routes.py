"""Routes whose handlers are loaded at the first request: most starts of ComfyUI never need them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiohttp import web


def add_lazy_routes(
    routes: web.RouteTableDef, addresses: Iterable[tuple[str, str, str]], load: Callable[[], Callable[[], Any]]
) -> None:
    """Adds routes to those of ComfyUI's server or any other of aiohttp.

    Args:
        routes: the server's.
        addresses: method, address and the name of a handler, see ``answer`` below.
        load: imports, in a thread, what answers, and returns what makes it. That is called on the loop, and what it
            makes has ``answer(name, request)``.
    """
    page = _LazyPage(load)
    for method, address, name in addresses:
        routes.route(method, address)(page.handler(name))


class _LazyPage:
    def __init__(self, load: Callable[[], Callable[[], Any]]):
        self._load, self._page = load, None

    def handler(self, name: str) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.StreamResponse:
            if self._page is None:
                make = await asyncio.to_thread(self._load)
                # Looked at once more: the first two requests may wait for the same import.
                self._page = self._page or make()
            return await self._page.answer(name, request)

        return handle
