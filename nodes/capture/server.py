"""What capturing needs of its server: a route that says what is not written yet, and time to write it before the end."""

from __future__ import annotations

import functools
import time
from typing import Any

from ..host.routes import routes_without
from .record import shared_recorder
from .shutdown import finish_on_shutdown

ROUTE = "/ace/capture"
# How long the queue's last prompt may stay in it for the sake of its pairs. A disk may hang, and the artist see it idle.
_MAX_SECONDS = 10.0
_POLL_SECONDS = 0.02


def register() -> None:
    """Opens GET /ace/capture, which says how many pairs are not on disk.

    Has them written before the server idles or ends.
    """
    from aiohttp import web
    from server import PromptServer

    routes = routes_without(ROUTE)
    if routes is None:
        return

    @routes.get(ROUTE)
    async def state(request: web.Request) -> web.Response:
        return web.json_response(shared_recorder().counts())

    finish_on_shutdown(_finish, _resume)
    _flush_before_idle(PromptServer.instance.prompt_queue)


def _flush_before_idle(queue: Any) -> None:
    """Lets a prompt stay in the queue until its pairs are on disk, where no other one waits for it to end.

    A server is often killed when it has nothing to do. The pictures are shown by then, so nobody waits either.
    """
    end = queue.task_done

    @functools.wraps(end)
    def task_done(*args: Any, **kwargs: Any) -> Any:
        if _in_use():
            latest = time.monotonic() + _MAX_SECONDS
            while queue.get_tasks_remaining() <= 1 and time.monotonic() < latest:  # this one
                if shared_recorder().flush(_POLL_SECONDS):
                    break
        return end(*args, **kwargs)

    queue.task_done = task_done


def _finish() -> None:
    if _in_use():
        shared_recorder().finish()


def _resume() -> None:
    if _in_use():
        shared_recorder().resume()


def _in_use() -> bool:
    return bool(shared_recorder.cache_info().currsize)
