"""Errors as answers that say what to do."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
# Kind of error, status, and a code by which a page says it in the artist's language. The first that fits decides.
Kinds = Sequence[tuple[type[Exception], int, str]]
DISK = "disk"


def answered(handler: Handler, kinds: Kinds) -> Handler:
    """Turns the errors that a person can do something about into answers with their words."""

    @functools.wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except tuple(kind for kind, _, _ in kinds) as error:
            status, code = next((status, code) for kind, status, code in kinds if isinstance(error, kind))
            if code == DISK:
                logging.warning("ACE Edit: %s", error)
            return web.json_response({"error": str(error), "code": code}, status=status)

    return answer
