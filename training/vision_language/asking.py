"""Asking about many things: once more where an answer cannot be read, several at once, and never lost by a stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from ..errors import DatasetError
from .answer import Answer, Usage
from .backend import Backend
from .errors import ModelError, ServerUnreachable
from .request import Request

Item = TypeVar("Item")
Found = TypeVar("Found")
GIVE_UP = 5  # things in a row that could not be asked about


@dataclass(frozen=True)
class Reading(Generic[Found]):
    """What came of one question.

    Attributes:
        found: what was read, or None: nothing is ever guessed.
        answers: one, or two if it was asked once more.
    """

    found: Found | None
    answers: tuple[Answer, ...]

    @property
    def repeated(self) -> bool:
        return len(self.answers) > 1

    @property
    def usage(self) -> Usage:
        """Of the answers that were not recorded before."""
        return sum((answer.usage for answer in self.answers if not answer.recorded), Usage())


def ask_readable(
    backend: Backend, request: Request, read: Callable[[Answer], Found | None], reminder: str
) -> Reading[Found]:
    """Asks, and once more with a reminder and room for twice the words if the answer cannot be read.

    Raises:
        ModelError: there is no answer.
    """
    answer = backend.ask(request)
    found = read(answer)
    if found is not None:
        return Reading(found, (answer,))
    second = backend.ask(request.reminded(reminder))
    return Reading(read(second), (answer, second))


def ask_about(
    items: Iterable[Item],
    ask: Callable[[Item], Found],
    *,
    parallel: int,
    take: Callable[[Item, Found], None],
    fail: Callable[[Item, Exception], None],
    between: Callable[[], None] = lambda: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Asks about several things at once. Only this thread takes answers in.

    Args:
        ask: in threads.
        take: gets each thing and what was found of it, in the order in which they come.
        fail: gets a thing that could not be asked about, and why.
        between: called now and then, for saving.
        should_stop: asked between things; what is under way then is still taken.

    Returns:
        Whether all was asked about.

    Raises:
        ServerUnreachable: at once, what came before and what was under way has been taken.
        ModelError: so many things in a row failed that it makes no sense to go on.
    """
    waiting = iter(items)
    running: dict[Future, Item] = {}
    settle = _Settling(take, fail)
    stopped = False
    try:
        with ThreadPoolExecutor(parallel, thread_name_prefix="asking") as pool:
            try:
                while not stopped:
                    # One more than is being asked about, so that its pictures are read meanwhile.
                    for item in islice(waiting, parallel + 1 - len(running)):
                        running[pool.submit(ask, item)] = item
                    if not running:
                        break
                    for future in wait(running, timeout=1.0, return_when=FIRST_COMPLETED).done:
                        settle(running.pop(future), future)
                    between()
                    stopped = should_stop()
            finally:
                for future in running:
                    future.cancel()
    finally:  # what was under way when it stopped, be it for an error
        for future, item in running.items():
            if not future.cancelled() and future.exception() is None:
                settle(item, future)
    return not stopped


class _Settling(Generic[Item, Found]):
    """Hands on what came of one thing after the other, and gives up after too many failures in a row."""

    def __init__(self, take: Callable[[Item, Found], None], fail: Callable[[Item, Exception], None]) -> None:
        self._take, self._fail, self._failures = take, fail, 0

    def __call__(self, item: Item, future: Future) -> None:
        try:
            found = future.result()
        except ServerUnreachable:
            raise
        except (ModelError, DatasetError) as error:
            self._fail(item, error)
            self._failures += 1
            if self._failures >= GIVE_UP:
                message = f"{GIVE_UP} pairs in a row could not be asked about; the last one: {error}"
                raise ModelError(message) from error
            return
        self._failures = 0
        self._take(item, found)
