"""This machine alone: one item after the other, pictures read by processes beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..disk.columns import Columns, join, length_of
from ..embed.readers import Readers, default_workers
from .base import BucketTask, Counts, MapTask, Progress, Resources, Source


class LocalEngine:
    """See `Engine`.

    Args:
        device: of models and matrix products.
        workers: processes that read pictures; None takes one for each core.
    """

    name, parquet = "local", False

    def __init__(self, device: str = "cpu", workers: int | None = None):
        self._resources = Resources(device, Readers(default_workers() if workers is None else workers))

    def map(self, task: MapTask, items: Sequence[str], progress: Progress) -> Iterator[Counts]:
        work = task.start(self._resources)
        for done, item in enumerate(items, 1):
            yield work(item)
            progress(done, len(items))

    def shuffle(
        self, source: Source, items: Sequence[str], task: BucketTask, buckets: Iterable[int], progress: Progress
    ) -> Iterator[Counts]:
        """One bucket after the other, so that only one is in memory."""
        work = task.start(self._resources)
        wanted = list(buckets)
        for done, bucket in enumerate(wanted, 1):
            rows = self._gather(source, items, bucket)
            if length_of(rows):
                yield work(bucket, rows)
            progress(done, len(wanted))

    def close(self) -> None:
        self._resources.readers.close()

    @staticmethod
    def _gather(source: Source, items: Sequence[str], bucket: int) -> Columns:
        parts = [rows for item in items if length_of(rows := source(item, frozenset((bucket,))))]
        return join(parts) if parts else {}
