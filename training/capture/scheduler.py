"""Jobs onto servers: least queue first, a bound on what is under way, and an answer to every kind of failure."""

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
from .errors import CaptureError
from .failures import Failure, classify_failure, classify_validation_error
from .inputs import LoadedPicture, load_group
from .journal import Entry, Journal
from .link import PromptLostError, ServerLink, ServerUnavailableError
from .plan import Feed, Job, Plan
from .report import Listener, Tally
from .results import UnusableResultError, fetch, make_pairs, store

_UPLOADS_REMEMBERED = 256
_SAME_FAILURES = 5  # without any success, before the workflow itself is blamed


@dataclass(frozen=True)
class Limits:
    """retries: further attempts at a job. wait: seconds without any server before giving up. max_pixels: of inputs."""

    retries: int = 3
    wait: float = 600.0
    max_pixels: int = 100_000_000


class Scheduler:
    """Runs the jobs of one plan. `stop` ends it early; what is finished by then is kept, the rest is done next time."""

    def __init__(self, plan: Plan, dataset: Dataset, journal: Journal, tally: Tally, tell: Listener, limits: Limits):
        self.plan, self.dataset, self.journal = plan, dataset, journal
        self.tally, self.tell, self.limits = tally, tell, limits
        self.changed = asyncio.Event()
        self.stop = asyncio.Event()
        self._links: Sequence[ServerLink] = ()
        self._again: deque[Job] = deque()
        self._tasks: dict[asyncio.Task, Job] = {}
        self._under_way: dict[str, ServerLink] = {}  # by prompt id
        self._uploaded: OrderedDict[tuple[str, str], str] = OrderedDict()  # name on a server by (server, content)
        self._proven = plan.workflow in journal.worked  # then inputs that fail are themselves to blame
        self._unproven: list[tuple[Job, Failure]] = []
        self._last_seen = time.monotonic()  # when any server was up
        self._disk = ThreadPoolExecutor(1, "capture-journal")

    def poke(self) -> None:
        """Something may have become possible: a server came up, a place is free, or all is over."""
        self.changed.set()

    async def run(self, jobs: AsyncIterator[Job], links: Sequence[ServerLink]) -> None:
        """Run until the jobs are done or `stop` is set. Raises `CaptureError` when no server is left to run them."""
        self._links = links
        connections = [asyncio.create_task(link.run()) for link in links]
        try:
            await self._dispatch(jobs)
            if not self.stop.is_set():
                await self._settle_unproven()
        finally:
            await self._wind_up()
            for connection in connections:
                connection.cancel()
            await asyncio.gather(*connections, return_exceptions=True)
            self._disk.shutdown()

    # -- giving out work ----------------------------------------------------------------------------------------

    async def _dispatch(self, jobs: AsyncIterator[Job]) -> None:
        upcoming: Job | None = None
        exhausted = False
        while not self.stop.is_set():
            self._reap()
            if self._again:
                upcoming, parked = self._again.popleft(), upcoming
                if parked is not None:
                    self._again.append(parked)
            if upcoming is None and not exhausted:
                upcoming = await _next(jobs)
                exhausted = upcoming is None
            if upcoming is None:
                if not self._tasks:
                    return
                await self._pause()
                continue
            link = await self._place_for(upcoming)
            if link is not None:
                link.in_flight += 1
                self._tasks[asyncio.create_task(self._handle(upcoming, link))] = upcoming
                upcoming = None

    async def _place_for(self, job: Job) -> ServerLink | None:
        """The server to run a job, waiting a moment if there is none; the one that may already have it comes first."""
        self._check_servers()
        known = next((link for link in self._links if link.name == job.server and (link.up or not link.tried)), None)
        free = [link for link in ([known] if known else self._links) if link.free]
        if free:
            return min(free, key=lambda link: (link.load, link.in_flight))
        await self._pause()
        return None

    async def _pause(self) -> None:
        """Until something changes; a look at the clock every second."""
        self.changed.clear()
        stopped, changed = asyncio.create_task(self.stop.wait()), asyncio.create_task(self.changed.wait())
        try:
            await asyncio.wait({stopped, changed, *self._tasks}, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            changed.cancel()

    def _check_servers(self) -> None:
        """Give up when no server is left, or none has answered for too long."""
        if all(link.retired for link in self._links):
            reasons = "\n".join(f"{link.name}: {link.retired}" for link in self._links)
            raise CaptureError(f"No server can run the workflow.\n{reasons}")
        now = time.monotonic()
        if any(link.up for link in self._links):
            self._last_seen = now
        elif now - self._last_seen > self.limits.wait:
            reasons = "\n".join(f"{link.name}: {link.retired or link.trouble}" for link in self._links)
            raise CaptureError(
                f"No server has answered for {self.limits.wait:.0f} s.\n{reasons}\nStart one; the same command then goes "
                "on where it stopped."
            )

    def _reap(self) -> None:
        """Take finished tasks out; a bug or a full disk in one of them ends the capture."""
        for task in [task for task in self._tasks if task.done()]:
            del self._tasks[task]
            task.result()

    async def _wind_up(self) -> None:
        """Stop what is under way and take our prompts that still wait out of the servers' queues."""
        for task in self._tasks:
            task.cancel()
        waiting = dict(self._under_way)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for link in self._links:
            ids = [prompt_id for prompt_id, where in waiting.items() if where is link]
            if ids and link.up:
                with contextlib.suppress(TransientServerError, CaptureError, asyncio.TimeoutError):
                    await asyncio.wait_for(link.client.cancel(ids), 5)

    # -- one job ------------------------------------------------------------------------------------------------

    async def _handle(self, job: Job, link: ServerLink) -> None:
        try:
            failure = await self._with_retries(job, link)
            if failure is not None:
                await self._set_aside(job, failure)
        except ServerUnavailableError as error:
            # The server may come back with the job in its queue; until then others take it.
            job.server = link.name
            self._again.append(job)
            self.tell("retry", {"input": job.label, "server": link.name, "reason": str(error)})
        finally:
            link.in_flight -= 1
            self.poke()

    async def _with_retries(self, job: Job, link: ServerLink) -> Failure | None:
        """Run a job; None when its pairs are in the dataset. Raises `ServerUnavailableError`."""
        try:
            inputs = await asyncio.to_thread(load_group, job.group, self.plan.alpha_masks, self.limits.max_pixels)
        except ImageError as error:
            return Failure("file", str(error))
        for remaining in range(self.limits.retries, -1, -1):
            failure = await self._attempt(job, link, inputs)
            if failure is None or failure.kind in ("input", "file"):
                return failure
            if failure.kind == "server":
                link.retire(failure.message)
                raise ServerUnavailableError(failure.message)
            job.attempt, job.server = job.attempt + 1, None
            if remaining:
                self.tell("retry", {"input": job.label, "server": link.name, "reason": failure.message})
            if failure.kind == "memory":
                await link.retrying(link.client.free)
        return failure

    async def _attempt(self, job: Job, link: ServerLink, inputs: Sequence[LoadedPicture]) -> Failure | None:
        prompt_id = self.journal.prompt_id(job.key, job.attempt)
        maybe_there = job.server == link.name
        try:
            pictures = dict(zip(self.plan.bound, inputs, strict=True))
            files = {feed: await self._upload(feed, pictures[feed.picture], link) for feed in self.plan.feeds}
            await self._note(
                self.journal.queued,
                job.key,
                attempt=job.attempt,
                prompt_id=prompt_id,
                server=link.name,
                source=job.group.label,
                seed=job.seed,
            )
            self._under_way[prompt_id] = link
            job.server = link.name
            entry = await link.execute(self.plan.prompt(files, job.seed), prompt_id, maybe_there=maybe_there)
            failure = classify_failure(entry)
            if failure is None:
                fetched = await link.retrying(lambda: fetch(link.client, self.plan, entry))
                pairs = await asyncio.to_thread(make_pairs, self.plan, job, inputs, fetched)
                await self._finish(job, link, await asyncio.to_thread(store, self.dataset, job, pairs))
        except PromptValidationError as error:
            # A file that was uploaded a while ago may be gone; the next attempt uploads it again.
            self._uploaded = OrderedDict((key, kept) for key, kept in self._uploaded.items() if key[0] != link.name)
            return classify_validation_error(error, self.plan)
        except (UnusableResultError, ImageError) as error:
            failure = Failure("input", str(error), "result")
        except (PromptLostError, FileMissingError) as error:
            # A cached node answers with a file that is gone until the server forgets it.
            failure = Failure("memory" if isinstance(error, FileMissingError) else "lost", str(error))
        finally:
            self._under_way.pop(prompt_id, None)
        with contextlib.suppress(TransientServerError):
            await link.client.delete_history(prompt_id)
        return failure

    async def _upload(self, feed: Feed, picture: LoadedPicture, link: ServerLink) -> str:
        """Name of a picture on a server. The name is made from the content, so what is there already stays."""
        content = await asyncio.to_thread(feed.encode, picture)
        name = f"{hashlib.sha256(content).hexdigest()[:40]}.png"
        kept = self._uploaded.get((link.name, name))
        if kept is None:
            kept = await link.retrying(lambda: link.client.upload(name, content))
            self._uploaded[link.name, name] = kept
            while len(self._uploaded) > _UPLOADS_REMEMBERED:
                self._uploaded.popitem(last=False)
        return kept

    # -- the end of a job ---------------------------------------------------------------------------------------

    async def _finish(self, job: Job, link: ServerLink, results: Sequence[AppendResult]) -> None:
        pairs = [result.id for result in results if result.id is not None]
        reasons = [result.reason for result in results if result.status == "rejected"]
        earlier = self.journal[job.key] or Entry("queued")
        still = [pair for pair in earlier.pairs if pair in self.dataset and pair not in pairs]
        await self._note(
            self.journal.done,
            job.key,
            workflow=self.plan.workflow,
            pairs=still + pairs,
            rejected=reasons,
            checks=self.dataset.checks.changes(),
        )
        self.tally.finished += 1
        self.tally.stored += sum(result.stored for result in results)
        self.tally.duplicates += sum(result.status == "duplicate" for result in results)
        self.tally.rejected += len(reasons)
        self._tell_end("finished", job, server=link.name, pairs=pairs, reasons=reasons)
        if not self._proven:
            await self._settle_unproven()

    async def _set_aside(self, job: Job, failure: Failure) -> None:
        """Quarantine a job, or note that it failed for now. Until anything succeeds, the workflow may be to blame."""
        if failure.kind in ("input", "invalid") and not self._proven:
            self._unproven.append((job, failure))
            same = {known.place for _, known in self._unproven}
            if len(self._unproven) >= _SAME_FAILURES and len(same) == 1:
                for earlier, known in self._unproven:
                    await self._note(self.journal.failed, earlier.key, known.message)
                raise CaptureError(
                    f"The first {len(self._unproven)} inputs failed alike, so it is the workflow that does not work:\n"
                    f"{failure.message}\nMend it and run the command again."
                )
            return
        quarantined = failure.kind in ("input", "file", "invalid")
        await self._note(self.journal.quarantined if quarantined else self.journal.failed, job.key, failure.message)
        self.tally.finished += 1
        self.tally.quarantined += quarantined
        self.tally.failed += not quarantined
        self._tell_end("quarantined" if quarantined else "failed", job, reason=failure.message)

    async def _settle_unproven(self) -> None:
        """Once the workflow has worked, or all is over, the failures so far are the inputs'."""
        self._proven = True
        while self._unproven:
            await self._set_aside(*self._unproven.pop(0))

    async def _note(self, write: Any, *args: Any, **kwargs: Any) -> None:
        """A line of the journal, written in order and away from the event loop."""
        await asyncio.get_running_loop().run_in_executor(self._disk, lambda: write(*args, **kwargs))

    def _tell_end(self, event: str, job: Job, **details: Any) -> None:
        eta = self.tally.eta
        data = {"input": job.group.label, "seed": job.seed, **details, **self.tally.counts()}
        self.tell(event, {**data, "eta_seconds": None if eta is None else round(eta, 1)})


async def _next(jobs: AsyncIterator[Job]) -> Job | None:
    try:
        return await jobs.__anext__()
    except StopAsyncIteration:
        return None
