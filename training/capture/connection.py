"""The connection to one server: whether it answers, how busy it is, and when a prompt is finished.

The websocket only hints that a prompt is done; the truth is asked for over HTTP. So a lost message costs seconds, and a
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
from .report import OnEvent
from .workflow.graph import Prompt

_Result = TypeVar("_Result")


class ServerUnavailableError(Exception):
    """The server does not answer, or can run nothing; its jobs may be given to others."""


class PromptLostError(Exception):
    """The server no longer knows a prompt: it was restarted, or somebody cleared its queue."""


@dataclass(frozen=True)
class Timeouts:
    """How long to wait, in seconds.

    Attributes:
        poll_interval: between requests for the queue.
        unavailable_after: without an answer until a server counts as unavailable.
        first_pause: between the first two attempts at a request; every further pause is twice as long.
        longest_pause: at most.
    """

    poll_interval: float = 2.0
    unavailable_after: float = 8.0
    first_pause: float = 0.5
    longest_pause: float = 10.0


@dataclass
class _PendingPrompt:
    future: asyncio.Future
    submitted: bool = False
    absent: int = 0
    tasks: set[asyncio.Task] = field(default_factory=set)


class ServerConnection:
    """One server of a capture.

    Attributes:
        client: sends the requests.
        limit: most jobs of ours at once.
        in_flight: jobs of ours that this server runs.
        queued: prompts in its queue, of anybody.
        up: whether it answers.
        contacted: whether it has been asked once if it is there.
        disabled_reason: why no more jobs are given to it; "" while they are.
        last_error: why it does not answer.
    """

    def __init__(
        self, client: ComfyClient, limit: int, on_change: Callable[[], None], timeouts: Timeouts, on_event: OnEvent
    ):
        self.client, self.limit = client, limit
        self.in_flight = 0
        self.queued = 0
        self.up = False
        self.contacted = False
        self.disabled_reason = ""
        self.last_error = ""
        self._timeouts = timeouts
        self._on_event = on_event
        self._on_change = on_change
        self._waits: dict[str, _PendingPrompt] = {}
        self._answered = time.monotonic()

    @property
    def name(self) -> str:
        """The server's address, without user and password."""
        return self.client.name

    @property
    def free(self) -> bool:
        """Whether it takes another job."""
        return self.up and not self.disabled_reason and self.in_flight < self.limit

    @property
    def load(self) -> int:
        """How many prompts a new one would wait behind: what is queued, or ours on their way into the queue."""
        return max(self.queued, self.in_flight)

    # -- one prompt ---------------------------------------------------------------------------------------------

    async def execute(self, prompt: Prompt, prompt_id: str, *, may_be_queued: bool) -> dict[str, Any]:
        """Runs a prompt to its end.

        Args:
            may_be_queued: it may have been queued under this id before; it is then waited for instead of queued twice.

        Returns:
            The prompt's entry in the server's history.

        Raises:
            ServerUnavailableError, PromptLostError, PromptValidationError: it came to no end.
        """
        wait = _PendingPrompt(asyncio.get_running_loop().create_future())
        self._waits[prompt_id] = wait
        try:
            if not (may_be_queued and await self.retrying(lambda: self._is_known(prompt_id))):
                await self._submit(prompt, prompt_id)
            wait.submitted = True
            self._check_history_soon(prompt_id)
            return await wait.future
        finally:
            del self._waits[prompt_id]
            for task in wait.tasks:
                task.cancel()

    async def retrying(self, request: Callable[[], Awaitable[_Result]]) -> _Result:
        """Repeats a request with growing pauses until the server answers.

        Raises:
            ServerUnavailableError: it does not answer for too long.
        """
        pause, started = self._timeouts.first_pause, time.monotonic()
        while True:
            try:
                return await request()
            except TransientServerError as error:
                if self.disabled_reason or time.monotonic() - started > self._timeouts.unavailable_after:
                    raise ServerUnavailableError(str(error)) from error
            await asyncio.sleep(pause)
            pause = min(pause * 2, self._timeouts.longest_pause)

    async def _submit(self, prompt: Prompt, prompt_id: str) -> None:
        """Queues a prompt; where it is uncertain whether the server took it, asks before queueing it again."""
        uncertain = False

        async def attempt() -> None:
            nonlocal uncertain
            if uncertain and await self._is_known(prompt_id):
                return
            uncertain = True
            await self.client.submit(prompt, prompt_id)

        await self.retrying(attempt)

    async def _is_known(self, prompt_id: str) -> bool:
        return prompt_id in await self.client.queued_prompts() or await self.client.history(prompt_id) is not None

    # -- the connection -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keeps the connection for as long as the task lives."""
        pause = self._timeouts.first_pause
        while True:
            try:
                self.queued = await self.client.queue_remaining()
                self._connection_up()
                pause = self._timeouts.first_pause
                await self._listen()
            except TransientServerError as error:
                self._connection_lost(str(error))
            except CaptureError as error:
                self.disable(str(error))
                return
            self.contacted = True
            left = self._answered + self._timeouts.unavailable_after - time.monotonic()
            await asyncio.sleep(min(pause, left + 0.1) if left > 0 else pause)
            pause = min(pause * 2, self._timeouts.longest_pause)

    def disable(self, reason: str) -> None:
        """Gives no more jobs to this server and takes back those it has."""
        self.disabled_reason, self.up = reason, False
        self._fail_all(ServerUnavailableError(reason))
        self._on_event("server", {"server": self.name, "state": "no more work is given to it", "reason": reason})
        self._on_change()

    def _connection_up(self) -> None:
        self._answered = time.monotonic()
        self.last_error, self.contacted = "", True
        if not self.up and not self.disabled_reason:
            self.up = True
            self._on_event("server", {"server": self.name, "state": "connected", "reason": ""})
            self._on_change()

    def _connection_lost(self, reason: str) -> None:
        self.last_error = reason
        if time.monotonic() - self._answered > self._timeouts.unavailable_after:
            self._fail_all(ServerUnavailableError(reason))
        if self.up:
            self.up = False
            self._on_event("server", {"server": self.name, "state": "does not answer", "reason": reason})
            self._on_change()

    def _fail_all(self, error: Exception) -> None:
        for wait in self._waits.values():
            if wait.submitted and not wait.future.done():
                wait.future.set_exception(error)

    async def _listen(self) -> None:
        """Listens and polls until the server cannot be polled any more."""
        tasks = {asyncio.create_task(self._poll()), asyncio.create_task(self._receive_events())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _receive_events(self) -> None:
        """Listens for messages, which are hints: where they do not come through (some proxies), polling is enough."""
        while True:
            with contextlib.suppress(TransientServerError):
                async for kind, data in self.client.events():
                    self._handle_event(kind, data)
            await asyncio.sleep(self._timeouts.poll_interval)

    def _handle_event(self, kind: str, data: dict[str, Any]) -> None:
        self._answered = time.monotonic()
        if kind == "status":
            status = data.get("status")
            info = status.get("exec_info") if isinstance(status, dict) else None
            remaining = info.get("queue_remaining") if isinstance(info, dict) else None
            if isinstance(remaining, int):
                self.queued = remaining
                self._on_change()
        elif kind == "executing" and data.get("node") is None:
            self._check_history_soon(str(data.get("prompt_id")))

    def _check_history_soon(self, prompt_id: str) -> None:
        wait = self._waits.get(prompt_id)
        if wait is not None and not wait.future.done():
            task = asyncio.create_task(self._check_history(prompt_id))
            wait.tasks.add(task)
            task.add_done_callback(wait.tasks.discard)

    async def _check_history(self, prompt_id: str) -> None:
        with contextlib.suppress(TransientServerError):
            entry = await self.client.history(prompt_id)
            wait = self._waits.get(prompt_id)
            if entry is not None and wait is not None and not wait.future.done():
                wait.future.set_result(entry)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._timeouts.poll_interval)
            waiting = [id_ for id_, wait in self._waits.items() if wait.submitted and not wait.future.done()]
            queued = await self.client.queued_prompts()
            self.queued = len(queued)
            self._connection_up()
            for prompt_id in waiting:
                await self._check_history(prompt_id)
                wait = self._waits.get(prompt_id)
                if wait is None or wait.future.done():
                    continue
                wait.absent = 0 if prompt_id in queued else wait.absent + 1
                # Twice, because a prompt may just have been on its way from the queue into the history.
                if wait.absent >= 2:
                    wait.future.set_exception(PromptLostError(f"{self.name} no longer knows the prompt"))
            self._on_change()
