"""Reading many pictures at once.

Processes are spawned, not forked, on every system: what works on Linux then works on Windows and macOS. A decoder that
takes its process down with it costs one picture, which is set aside, and not the run.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait

from ..descriptors.base import Prepare
from .records import Record, read_record

_CHUNK = 16  # pictures a task
_AHEAD = 4  # tasks under way for each worker


class Readers:
    """Workers that read pictures; use it in a `with`.

    Args:
        workers: how many; 1 reads in this very thread.
        processes: processes, else threads.
    """

    def __init__(self, workers: int, *, processes: bool = True):
        self._workers, self._processes = workers, processes
        self._pool: Executor | None = None

    def __enter__(self) -> Readers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def read(self, paths: Sequence[str], prepare: Prepare, side: int) -> Iterator[Record]:
        """The records of `paths`, in their order."""
        if self._workers <= 1:
            yield from (read_record(path, prepare, side) for path in paths)
            return
        chunks = [list(paths[start : start + _CHUNK]) for start in range(0, len(paths), _CHUNK)]
        done = 0
        while done < len(chunks):
            try:
                for records in self._read_chunks(chunks[done:], prepare, side):
                    yield from records
                    done += 1
            except BrokenProcessPool:
                self.close()
                yield from self._one_by_one(chunks[done], prepare, side)
                done += 1

    def _read_chunks(self, chunks: list[list[str]], prepare: Prepare, side: int) -> Iterator[list[Record]]:
        """In order, with a bounded number under way, so that what is prepared does not pile up."""
        if self._pool is None:
            self._pool = self._start(self._workers)
        limit = self._workers * _AHEAD
        under_way = [self._pool.submit(_read_chunk, chunk, prepare, side) for chunk in chunks[:limit]]
        for number in range(len(chunks)):
            yield under_way.pop(0).result()
            if number + limit < len(chunks):
                under_way.append(self._pool.submit(_read_chunk, chunks[number + limit], prepare, side))

    def _one_by_one(self, paths: list[str], prepare: Prepare, side: int) -> Iterator[Record]:
        """The pictures among which one killed its reader."""
        pool = self._start(1)
        try:
            for path in paths:
                try:
                    yield pool.submit(_read_chunk, [path], prepare, side).result()[0]
                except BrokenProcessPool:
                    yield Record(path, reason="reading it ends the process that reads it (a fault of the decoder)")
                    pool = self._start(1)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, workers: int) -> Executor:
        if not self._processes:
            return ThreadPoolExecutor(workers)
        return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_begin)


def default_workers() -> int:
    """One for each core that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _read_chunk(paths: list[str], prepare: Prepare, side: int) -> list[Record]:
    return [read_record(path, prepare, side) for path in paths]


def _begin() -> None:
    """A worker leaves interruptions to its parent, and ends when the parent is gone, however that ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
