"""Ray Data: the same work on many machines.

Ray brings the scheduling, the shuffle with its spilling to disk, the actors that hold models, and another try for what a
lost machine did. What a worker writes has a name that follows from its item or bucket and appears whole, so that another
try writes the same. All machines need this package and access to the places of pictures and tables.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..disk.columns import Columns, length_of, texts
from ..embed.readers import Readers, default_workers
from ..errors import MatchError
from ..optional import optional
from .base import BucketTask, Counts, MapTask, Progress, Resources, Source

_MOST_PARTITIONS = 4096  # of a shuffle; each holds one or several buckets
_MOST_BLOCKS = 10_000  # of items that wait for a worker


class RayEngine:
    """See `Engine`.

    Args:
        address: of a running cluster, "auto" for the one this machine belongs to; None starts Ray on this machine.
        memory: bytes of its object store, where it is started here.
    """

    name, parquet = "ray", True

    def __init__(self, address: str | None = None, memory: int | None = None):
        for module in ("ray.data", "pyarrow", "fsspec"):
            optional(module, "Working on many machines (--engine ray)")
        self._ray = optional("ray", "Working on many machines (--engine ray)")
        self._started = not self._ray.is_initialized()
        options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        if address is None:
            options |= {"include_dashboard": False, "num_cpus": default_workers(), "object_store_memory": memory}
        try:
            if self._started:
                self._ray.init(address=address, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise MatchError(f"No Ray cluster can be used at {address or 'this machine'}: {error!s:.300}") from error
        context = self._ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        resources = self._ray.cluster_resources()
        self._gpus, self._cpus = int(resources.get("GPU", 0)), max(1, int(resources.get("CPU", 1)))

    def map(self, task: MapTask, items: Sequence[str], progress: Progress) -> Iterator[Counts]:
        if not items:
            return
        results = self._rows(items).map_batches(**self._work(_map, task, len(items)), **_ONE_BY_ONE)
        yield from self._results(results, progress, len(items))

    def shuffle(
        self, source: Source, items: Sequence[str], task: BucketTask, buckets: Iterable[int], progress: Progress
    ) -> Iterator[Counts]:
        wanted = frozenset(buckets)
        if not items or not wanted:
            return
        rows = self._rows(items).map_batches(_read(source, wanted), **_ONE_BY_ONE)
        if not rows.take(1):  # no block has columns, and Ray cannot sort such by one
            return
        grouped = rows.groupby("bucket", num_partitions=min(len(wanted), _MOST_PARTITIONS))
        results = grouped.map_groups(**self._work(_reduce, task, len(wanted)), batch_format="numpy")
        yield from self._results(results, progress, len(wanted))

    def close(self) -> None:
        if self._started:
            self._ray.shutdown()

    def _rows(self, items: Sequence[str]):
        return self._ray.data.from_items(
            [{"item": item} for item in items], override_num_blocks=min(len(items), _MOST_BLOCKS)
        )

    def _work(self, function: Callable, task: MapTask | BucketTask, pieces: int) -> dict[str, Any]:
        """What does the work: functions, which any free worker calls, or actors, which keep what the task has made.

        Each gets a GPU, and the cores that there are for one, where the task is for a GPU and there are some; else a core.
        """
        on_gpu = task.accelerated and self._gpus > 0
        workers = self._gpus if on_gpu else self._cpus
        arguments = (function, task, self._cpus // self._gpus if on_gpu else 1)
        share = {"num_gpus": 1} if on_gpu else {"num_cpus": 1}
        if task.keeps:
            return {"fn": _Kept, "fn_constructor_args": arguments, "concurrency": (1, min(workers, pieces)), **share}
        return {"fn": _call, "fn_args": arguments, **share}

    def _results(self, results, progress: Progress, total: int) -> Iterator[Counts]:
        done = 0
        try:
            for row in results.iter_rows():
                yield json.loads(row["result"])
                done += 1
                progress(min(done, total), total)
        except self._ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            raise MatchError(f"A worker failed: {cause!s:.500}. The same command goes on from what is done.") from error


_ONE_BY_ONE = {"batch_size": 1, "batch_format": "numpy"}


class _Kept:
    """A worker that stays; it is called once for each item or bucket.

    Args:
        function: `_map` or `_reduce`.
        task: what is done.
        readers: threads that read pictures.
    """

    def __init__(self, function: Callable, task: MapTask | BucketTask, readers: int):
        self._function, self._work = function, task.start(_resources(task, readers))

    def __call__(self, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self._function(self._work, rows)


def _call(
    rows: dict[str, np.ndarray], function: Callable, task: MapTask | BucketTask, readers: int
) -> dict[str, np.ndarray]:
    return function(task.start(_resources(task, readers)), rows)


def _map(work: Callable[[str], Counts], rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"result": texts([json.dumps(work(str(rows["item"][0])))])}


def _reduce(work: Callable[[int, Columns], Counts], rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"result": texts([json.dumps(work(int(rows["bucket"][0]), rows))])}


def _resources(task: MapTask | BucketTask, readers: int) -> Resources:
    """Of this worker. Pictures are read by threads: decoders let go of the interpreter's lock."""
    device = "cpu"
    if task.accelerated and os.environ.get("CUDA_VISIBLE_DEVICES"):
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
    return Resources(device, Readers(readers, processes=False))


def _read(source: Source, wanted: frozenset[int]):
    def read(batch: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        rows = source(str(batch["item"][0]), wanted)
        if length_of(rows):  # no rows have no types, which would not agree with those of the others
            yield {name: np.ascontiguousarray(values) for name, values in rows.items()}

    return read
