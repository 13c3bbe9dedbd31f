"""What capturing needs of its process: a place to ask what is not written yet, and time to write it in good time."""

from __future__ import annotations

import functools
import time
from typing import Any

from .record import recorder
from .shutdown import finish_before_the_end

ROUTE = "/ace/capture"
# How long the queue's last prompt may stay in it for the sake of its pairs. A disk may hang, and the artist see it idle.
_MOST_SECONDS = 10.0
_LOOK_SECONDS = 0.02


def register() -> None:
    """Say at GET /ace/capture how many pairs are not written yet, and write them before the queue or the process ends."""
    from aiohttp import web
    from server import PromptServer

    if any(getattr(route, "path", "") == ROUTE for route in PromptServer.instance.routes):
        return  # the pack is installed twice, and the server would not start with two routes of one name

    @PromptServer.instance.routes.get(ROUTE)
    async def state(request: web.Request) -> web.Response:
        return web.json_response(recorder().counts())

    finish_before_the_end(_finish, _resume)
    _write_before_rest(PromptServer.instance.prompt_queue)


def _write_before_rest(queue: Any) -> None:
    """Let a prompt stay in the queue until its pairs are on disk, where no other one waits for it to end.

    A server is often killed when it has nothing to do. The pictures are shown by then, so nobody waits either.
    """
    end = queue.task_done

    @functools.wraps(end)
    def task_done(*args: Any, **kwargs: Any) -> Any:
        if _in_use():
            latest = time.monotonic() + _MOST_SECONDS
            while queue.get_tasks_remaining() <= 1 and time.monotonic() < latest:  # this one
                if recorder().flush(_LOOK_SECONDS):
                    break
        return end(*args, **kwargs)

    queue.task_done = task_done


def _finish() -> None:
    if _in_use():
        recorder().finish()


def _resume() -> None:
    if _in_use():
        recorder().resume()


def _in_use() -> bool:
    return bool(recorder.cache_info().currsize)
