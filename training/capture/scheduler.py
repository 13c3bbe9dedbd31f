"""Runs jobs on servers: shortest queue first, a limit on prompts in flight, an answer to every kind of failure."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ..dataset.store import AppendResult, Dataset
from ..errors import ImageError
from .client import FileMissingError, PromptValidationError, TransientServerError
from .connection import PromptLostError, ServerConnection, ServerUnavailableError
from .errors import CaptureError
from .failures import Failure, classify_failure, classify_validation_error
from .inputs import LoadedPicture, load_group
from .journal import Journal, JournalEntry
from .plan import InputBinding, Job, Plan
from .report import CaptureProgress, OnEvent
from .results import UnusableResultError, fetch_files, make_pairs, store_pairs

_UPLOADS_REMEMBERED = 256
_SAME_FAILURES = 5  # without any success, before the workflow itself is blamed


@dataclass(frozen=True)
class Limits:
    """When to give up.

    Attributes:
        retries: further attempts at a job.
        wait: seconds without any server.
        max_pixels: of an input picture.
    """

    retries: int = 3
    wait: float = 600.0
    max_pixels: int = 100_000_000


class Scheduler:
    """Runs the jobs of one plan.

    Attributes:
        stop: set it to end the run early; what is finished by then is kept, the rest is done next time.
        changed: set when a job may be able to go on.
    """

    def __init__(
        self,
        plan: Plan,
        dataset: Dataset,
        journal: Journal,
        progress: CaptureProgress,
        on_event: OnEvent,
        limits: Limits,
    ):
        self.plan, self.dataset, self.journal = plan, dataset, journal
        self.progress, self.on_event, self.limits = progress, on_event, limits
        self.changed = asyncio.Event()
        self.stop = asyncio.Event()
        self._servers: Sequence[ServerConnection] = ()
        self._requeued: deque[Job] = deque()
        self._tasks: dict[asyncio.Task, Job] = {}
        self._running: dict[str, ServerConnection] = {}  # by prompt id
        self._uploads: OrderedDict[tuple[str, str], str] = OrderedDict()  # name on a server by (server, content)
        self._workflow_proven = plan.workflow in journal.succeeded  # then inputs that fail are themselves to blame
        self._held_failures: list[tuple[Job, Failure]] = []
        self._last_answer = time.monotonic()  # when any server was up
        self._disk = ThreadPoolExecutor(1, "capture-journal")

    def wake(self) -> None:
        """Tells the scheduler that something has changed: a server answers, has room for a job, or is lost."""
        self.changed.set()

    async def run(self, jobs: AsyncIterator[Job], servers: Sequence[ServerConnection]) -> None:
        """Runs until the jobs are done or ``stop`` is set.

        Args:
            jobs: asked for the next one when there is room for it.

        Raises:
            CaptureError: no server is left, or the first inputs all failed for the same reason.
            DatasetError: the dataset cannot be written.
        """
        self._servers = servers
        tasks = [asyncio.create_task(server.run()) for server in servers]
        try:
            await self._dispatch(jobs)
            if not self.stop.is_set():
                await self._release_failures()
        finally:
            await self._shut_down()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._disk.shutdown()

    # -- dispatching jobs ---------------------------------------------------------------------------------------

    async def _dispatch(self, jobs: AsyncIterator[Job]) -> None:
        upcoming: Job | None = None
        exhausted = False
        while not self.stop.is_set():
            self._collect_finished()
            if self._requeued:
                upcoming, parked = self._requeued.popleft(), upcoming
                if parked is not None:
                    self._requeued.append(parked)
            if upcoming is None and not exhausted:
                upcoming = await _next(jobs)
                exhausted = upcoming is None
            if upcoming is None:
                if not self._tasks:
                    return
                await self._wait_for_change()
                continue
            server = await self._choose_server(upcoming)
            if server is not None:
                server.in_flight += 1
                self._tasks[asyncio.create_task(self._handle(upcoming, server))] = upcoming
                upcoming = None

    async def _choose_server(self, job: Job) -> ServerConnection | None:
        """The server to run a job: the one that may already have it, else that with the shortest queue.

        Waits a moment and gives None if none has room.
        """
        self._check_servers()
        known = next(
            (server for server in self._servers if server.name == job.server and (server.up or not server.contacted)),
            None,
        )
        free = [server for server in ([known] if known else self._servers) if server.free]
        if free:
            return min(free, key=lambda server: (server.load, server.in_flight))
        await self._wait_for_change()
        return None

    async def _wait_for_change(self) -> None:
        """Waits until something changes, at most a second."""
        self.changed.clear()
        stopped, changed = asyncio.create_task(self.stop.wait()), asyncio.create_task(self.changed.wait())
        try:
            await asyncio.wait({stopped, changed, *self._tasks}, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            changed.cancel()

    def _check_servers(self) -> None:
        """Raises ``CaptureError`` when no server is left, or none has answered for too long."""
        if all(server.disabled_reason for server in self._servers):
            reasons = "\n".join(f"{server.name}: {server.disabled_reason}" for server in self._servers)
            raise CaptureError(f"No server can run the workflow.\n{reasons}")
        now = time.monotonic()
        if any(server.up for server in self._servers):
            self._last_answer = now
        elif now - self._last_answer > self.limits.wait:
            reasons = "\n".join(
                f"{server.name}: {server.disabled_reason or server.last_error}" for server in self._servers
            )
            raise CaptureError(
                f"No server has answered for {self.limits.wait:.0f} s.\n{reasons}\nStart one; the same command then goes "
                "on where it stopped."
            )

    def _collect_finished(self) -> None:
        """Removes finished tasks; a bug or a full disk in one of them ends the capture."""
        for task in [task for task in self._tasks if task.done()]:
            del self._tasks[task]
            task.result()

    async def _shut_down(self) -> None:
        """Cancels running tasks and takes our prompts that still wait out of the servers' queues."""
        for task in self._tasks:
            task.cancel()
        waiting = dict(self._running)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for server in self._servers:
            ids = [prompt_id for prompt_id, where in waiting.items() if where is server]
            if ids and server.up:
                with contextlib.suppress(TransientServerError, CaptureError, asyncio.TimeoutError):
                    await asyncio.wait_for(server.client.cancel(ids), 5)

    # -- one job ------------------------------------------------------------------------------------------------

    async def _handle(self, job: Job, server: ServerConnection) -> None:
        try:
            failure = await self._run_with_retries(job, server)
            if failure is not None:
                await self._record_failure(job, failure)
        except ServerUnavailableError as error:
            # The server may come back with the job in its queue; until then others take it.
            job.server = server.name
            self._requeued.append(job)
            self.on_event("retry", {"input": job.label, "server": server.name, "reason": str(error)})
        finally:
            server.in_flight -= 1
            self.wake()

    async def _run_with_retries(self, job: Job, server: ServerConnection) -> Failure | None:
        """Runs a job; None when its pairs are in the dataset.

        Raises:
            ServerUnavailableError: another server has to run it.
        """
        try:
            inputs = await asyncio.to_thread(
                load_group, job.group, self.plan.alpha_masks, self.limits.max_pixels, self.plan.mask_from
            )
        except ImageError as error:
            return Failure("file", str(error))
        for remaining in range(self.limits.retries, -1, -1):
            failure = await self._attempt(job, server, inputs)
            if failure is None or failure.kind in ("input", "file"):
                return failure
            if failure.kind == "server":
                server.disable(failure.message)
                raise ServerUnavailableError(failure.message)
            job.attempt, job.server = job.attempt + 1, None
            if remaining:
                self.on_event("retry", {"input": job.label, "server": server.name, "reason": failure.message})
            if failure.kind == "memory":
                await server.retrying(server.client.free)
        return failure

    async def _attempt(self, job: Job, server: ServerConnection, inputs: Sequence[LoadedPicture]) -> Failure | None:
        prompt_id = self.journal.prompt_id(job.key, job.attempt)
        may_be_queued = job.server == server.name
        try:
            pictures = dict(zip(self.plan.bound, inputs, strict=True))
            files = {
                binding: await self._upload(binding, pictures[binding.picture], server)
                for binding in self.plan.bindings
            }
            await self._note(
                self.journal.queued,
                job.key,
                attempt=job.attempt,
                prompt_id=prompt_id,
                server=server.name,
                source=job.group.label,
                seed=job.seed,
            )
            self._running[prompt_id] = server
            job.server = server.name
            entry = await server.execute(self.plan.prompt(files, job.seed), prompt_id, may_be_queued=may_be_queued)
            failure = classify_failure(entry)
            if failure is None:
                fetched = await server.retrying(lambda: fetch_files(server.client, self.plan, entry))
                pairs = await asyncio.to_thread(make_pairs, self.plan, job, inputs, fetched)
                results = await asyncio.to_thread(store_pairs, self.dataset, job, pairs)
                await self._finish(job, server, results, [note for picture in inputs for note in picture.notes])
        except PromptValidationError as error:
            # A file that was uploaded a while ago may be gone; the next attempt uploads it again.
            self._uploads = OrderedDict((key, kept) for key, kept in self._uploads.items() if key[0] != server.name)
            return classify_validation_error(error, self.plan)
        except (UnusableResultError, ImageError) as error:
            failure = Failure("input", str(error), "result")
        except (PromptLostError, FileMissingError) as error:
            # A cached node answers with a file that is gone until the server forgets it.
            failure = Failure("memory" if isinstance(error, FileMissingError) else "lost", str(error))
        finally:
            self._running.pop(prompt_id, None)
        with contextlib.suppress(TransientServerError):
            await server.client.delete_history(prompt_id)
        return failure

    async def _upload(self, binding: InputBinding, picture: LoadedPicture, server: ServerConnection) -> str:
        """Uploads a picture, if need be. Its name is made from its content, so what is there already stays.

        Returns:
            What the loader's widget takes for it.
        """
        content = await asyncio.to_thread(binding.encode, picture)
        name = f"{hashlib.sha256(content).hexdigest()[:40]}.png"
        kept = self._uploads.get((server.name, name))
        if kept is None:
            kept = await server.retrying(lambda: server.client.upload(name, content))
            self._uploads[server.name, name] = kept
            while len(self._uploads) > _UPLOADS_REMEMBERED:
                self._uploads.popitem(last=False)
        return kept

    # -- the end of a job ---------------------------------------------------------------------------------------

    async def _finish(
        self, job: Job, server: ServerConnection, results: Sequence[AppendResult], notes: Sequence[str]
    ) -> None:
        pairs = [result.id for result in results if result.id is not None]
        reasons = [result.reason for result in results if result.status == "rejected"]
        earlier = self.journal[job.key] or JournalEntry("queued")
        still = [pair for pair in earlier.pairs if pair in self.dataset and pair not in pairs]
        await self._note(
            self.journal.done,
            job.key,
            workflow=self.plan.workflow,
            pairs=still + pairs,
            rejected=reasons,
            checks=self.dataset.checks.changes(),
        )
        self.progress.finished += 1
        self.progress.stored += sum(result.stored for result in results)
        self.progress.duplicates += sum(result.status == "duplicate" for result in results)
        self.progress.rejected += len(reasons)
        notes = list(dict.fromkeys([*notes, *(note for result in results for note in result.notes)]))
        self._report_end("finished", job, server=server.name, pairs=pairs, reasons=reasons, notes=notes)
        if not self._workflow_proven:
            await self._release_failures()

    async def _record_failure(self, job: Job, failure: Failure) -> None:
        """Quarantines a job, or notes that it failed for now.

        Until anything succeeds, the workflow may be to blame, and failures are held back.
        """
        if failure.kind in ("input", "invalid") and not self._workflow_proven:
            self._held_failures.append((job, failure))
            same = {known.place for _, known in self._held_failures}
            if len(self._held_failures) >= _SAME_FAILURES and len(same) == 1:
                for earlier, known in self._held_failures:
                    await self._note(self.journal.failed, earlier.key, known.message)
                raise CaptureError(
                    f"The first {len(self._held_failures)} inputs failed in the same way, so it is the workflow that does "
                    f"not work:\n"
                    f"{failure.message}\nFix it and run the command again."
                )
            return
        quarantined = failure.kind in ("input", "file", "invalid")
        await self._note(self.journal.quarantined if quarantined else self.journal.failed, job.key, failure.message)
        self.progress.finished += 1
        self.progress.quarantined += quarantined
        self.progress.failed += not quarantined
        self._report_end("quarantined" if quarantined else "failed", job, reason=failure.message)

    async def _release_failures(self) -> None:
        """Records the failures held back: once the workflow has worked, or all is over, they are the inputs'."""
        self._workflow_proven = True
        while self._held_failures:
            await self._record_failure(*self._held_failures.pop(0))

    async def _note(self, write: Any, *args: Any, **kwargs: Any) -> None:
        """Writes a line of the journal, in order and away from the event loop."""
        await asyncio.get_running_loop().run_in_executor(self._disk, lambda: write(*args, **kwargs))

    def _report_end(self, event: str, job: Job, **details: Any) -> None:
        eta = self.progress.eta
        data = {"input": job.group.label, "seed": job.seed, **details, **self.progress.counts()}
        self.on_event(event, {**data, "eta_seconds": None if eta is None else round(eta, 1)})


async def _next(jobs: AsyncIterator[Job]) -> Job | None:
    try:
        return await jobs.__anext__()
    except StopAsyncIteration:
        return None
