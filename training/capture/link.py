"""The lasting connection to one server: whether it is there, how busy it is, and when a prompt is finished.

The websocket only hints that a prompt is done; what is so is asked for over HTTP. So a lost message costs seconds, and a
prompt that an earlier process queued is found again by its id.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .client import ComfyClient, TransientServerError
from .errors import CaptureError
from .report import Listener
from .workflow.graph import Prompt

_Result = TypeVar("_Result")


class ServerUnavailableError(Exception):
    """The server is not to be reached; its work may be given to others."""


class PromptLostError(Exception):
    """The server is there but knows nothing of a prompt any more: it was restarted, or somebody cleared its queue."""


@dataclass(frozen=True)
class Patience:
    """Seconds. poll: between looks at the queue; grace: without an answer until a server counts as gone; first and
    longest: between attempts to reach it."""

    poll: float = 2.0
    grace: float = 8.0
    first: float = 0.5
    longest: float = 10.0


@dataclass
class _Wait:
    future: asyncio.Future
    submitted: bool = False
    absent: int = 0
    tasks: set[asyncio.Task] = field(default_factory=set)


class ServerLink:
    """One server of a capture. in_flight: jobs of ours that hold a place here; busy: prompts in its queue, of anybody."""

    def __init__(
        self, client: ComfyClient, limit: int, changed: Callable[[], None], patience: Patience, tell: Listener
    ):
        self.client, self.limit = client, limit
        self.in_flight = 0
        self.busy = 0
        self.up = False
        self.tried = False  # whether it has been asked once if it is there
        self.retired = ""  # why no more work is given to it
        self.trouble = ""
        self._patience = patience
        self._tell = tell
        self._changed = changed
        self._waits: dict[str, _Wait] = {}
        self._answered = time.monotonic()

    @property
    def name(self) -> str:
        return self.client.name

    @property
    def free(self) -> bool:
        return self.up and not self.retired and self.in_flight < self.limit

    @property
    def load(self) -> int:
        """How many prompts a new one would wait behind: what is queued, or ours on their way into the queue."""
        return max(self.busy, self.in_flight)

    # -- one prompt ---------------------------------------------------------------------------------------------

    async def execute(self, prompt: Prompt, prompt_id: str, *, maybe_there: bool) -> dict[str, Any]:
        """Run a prompt to its end and return its history entry.

        maybe_there: it may have been queued under this id before; it is then waited for instead of queued twice.

        Raises:
            Gone, Lost, Refused.
        """
        wait = _Wait(asyncio.get_running_loop().create_future())
        self._waits[prompt_id] = wait
        try:
            if not (maybe_there and await self.retrying(lambda: self._known(prompt_id))):
                await self._submit(prompt, prompt_id)
            wait.submitted = True
            self._look_soon(prompt_id)
            return await wait.future
        finally:
            del self._waits[prompt_id]
            for task in wait.tasks:
                task.cancel()

    async def retrying(self, request: Callable[[], Awaitable[_Result]]) -> _Result:
        """A request, repeated with growing pauses; `ServerUnavailableError` when the server does not answer for too long."""
        pause, begun = self._patience.first, time.monotonic()
        while True:
            try:
                return await request()
            except TransientServerError as error:
                if self.retired or time.monotonic() - begun > self._patience.grace:
                    raise ServerUnavailableError(str(error)) from error
            await asyncio.sleep(pause)
            pause = min(pause * 2, self._patience.longest)

    async def _submit(self, prompt: Prompt, prompt_id: str) -> None:
        """Queue a prompt; when it is uncertain whether the server took it, look before asking again."""
        uncertain = False

        async def attempt() -> None:
            nonlocal uncertain
            if uncertain and await self._known(prompt_id):
                return
            uncertain = True
            await self.client.submit(prompt, prompt_id)

        await self.retrying(attempt)

    async def _known(self, prompt_id: str) -> bool:
        return prompt_id in await self.client.queued_prompts() or await self.client.history(prompt_id) is not None

    # -- the connection -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the connection for as long as the task lives."""
        pause = self._patience.first
        while True:
            try:
                self.busy = await self.client.queue_remaining()
                self._come_up()
                pause = self._patience.first
                await self._listen()
            except TransientServerError as error:
                self._stumble(str(error))
            except CaptureError as error:
                self.retire(str(error))
                return
            self.tried = True
            left = self._answered + self._patience.grace - time.monotonic()
            await asyncio.sleep(min(pause, left + 0.1) if left > 0 else pause)
            pause = min(pause * 2, self._patience.longest)

    def retire(self, reason: str) -> None:
        """Give no more work to this server; what it has is taken back."""
        self.retired, self.up = reason, False
        self._fail_all(ServerUnavailableError(reason))
        self._tell("server", {"server": self.name, "state": "no more work is given to it", "reason": reason})
        self._changed()

    def _come_up(self) -> None:
        self._answered = time.monotonic()
        self.trouble, self.tried = "", True
        if not self.up and not self.retired:
            self.up = True
            self._tell("server", {"server": self.name, "state": "connected", "reason": ""})
            self._changed()

    def _stumble(self, reason: str) -> None:
        self.trouble = reason
        if time.monotonic() - self._answered > self._patience.grace:
            self._fail_all(ServerUnavailableError(reason))
        if self.up:
            self.up = False
            self._tell("server", {"server": self.name, "state": "does not answer", "reason": reason})
            self._changed()

    def _fail_all(self, error: Exception) -> None:
        for wait in self._waits.values():
            if wait.submitted and not wait.future.done():
                wait.future.set_exception(error)

    async def _listen(self) -> None:
        """Take messages and poll until the server cannot be polled any more."""
        tasks = {asyncio.create_task(self._poll()), asyncio.create_task(self._hear())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _hear(self) -> None:
        """Messages are hints: where they do not come through (some proxies carry no websockets), polling is enough."""
        while True:
            with contextlib.suppress(TransientServerError):
                async for kind, data in self.client.events():
                    self._take(kind, data)
            await asyncio.sleep(self._patience.poll)

    def _take(self, kind: str, data: dict[str, Any]) -> None:
        self._answered = time.monotonic()
        if kind == "status":
            status = data.get("status")
            info = status.get("exec_info") if isinstance(status, dict) else None
            remaining = info.get("queue_remaining") if isinstance(info, dict) else None
            if isinstance(remaining, int):
                self.busy = remaining
                self._changed()
        elif kind == "executing" and data.get("node") is None:
            self._look_soon(str(data.get("prompt_id")))

    def _look_soon(self, prompt_id: str) -> None:
        wait = self._waits.get(prompt_id)
        if wait is not None and not wait.future.done():
            task = asyncio.create_task(self._look(prompt_id))
            wait.tasks.add(task)
            task.add_done_callback(wait.tasks.discard)

    async def _look(self, prompt_id: str) -> None:
        with contextlib.suppress(TransientServerError):
            entry = await self.client.history(prompt_id)
            wait = self._waits.get(prompt_id)
            if entry is not None and wait is not None and not wait.future.done():
                wait.future.set_result(entry)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._patience.poll)
            waiting = [id_ for id_, wait in self._waits.items() if wait.submitted and not wait.future.done()]
            queued = await self.client.queued_prompts()
            self.busy = len(queued)
            self._come_up()
            for prompt_id in waiting:
                await self._look(prompt_id)
                wait = self._waits.get(prompt_id)
                if wait is None or wait.future.done():
                    continue
                wait.absent = 0 if prompt_id in queued else wait.absent + 1
                # Twice, because a prompt may just have been on its way from the queue into the history.
                if wait.absent >= 2:
                    wait.future.set_exception(PromptLostError(f"{self.name} no longer knows the prompt"))
            self._changed()
