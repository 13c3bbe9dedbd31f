"""Which examples make up which batch: a pure function of the seed and the batch's number.

All samples of a batch share one layout (aspect ratio bucketing). Each bucket has an endless stream of shuffled passes
over its examples, cut into batches; an epoch takes from each bucket as many batches as its share is worth, fractions
being carried over to later epochs. So every example is seen equally often, no batch is short, and nothing has to be
stored to go on from any step.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache

import numpy as np


class BatchSampler:
    """Shuffled batches of examples of one layout, by number.

    Args:
        layouts: of each example; examples of one layout make up a bucket.
        batch_size: examples in a batch, over all processes.
        seed: of the shuffling.

    Attributes:
        buckets: indices of the examples of each layout.

    Raises:
        ValueError: there are no examples.
    """

    def __init__(self, layouts: Sequence[Hashable], batch_size: int, seed: int) -> None:
        if not layouts:
            raise ValueError("no examples were given; there is nothing to make batches of")
        self.batch_size, self.seed, self.total = batch_size, seed, len(layouts)
        buckets: dict[Hashable, list[int]] = {}
        for index, layout in enumerate(layouts):
            buckets.setdefault(layout, []).append(index)
        self.buckets = [np.array(indices) for indices in buckets.values()]
        sizes = np.array([len(bucket) for bucket in self.buckets], dtype=np.float64)
        self._rates = sizes / batch_size  # batches an epoch
        self._phases = np.random.default_rng([seed, 0]).random(len(sizes))
        self._epoch, self._epoch_start = 0, 0
        self._permutation = lru_cache(maxsize=4 * len(self.buckets) + 4)(self._shuffled)
        self._bucket_schedule = lru_cache(maxsize=2)(self._buckets_of_epoch)

    def batch(self, number: int) -> list[int]:
        """Indices of the examples of batch ``number``, 0, 1, … Cheapest when asked for in order."""
        bucket, position = self._locate(number)
        return self._slice(bucket, position * self.batch_size)

    def epoch_of(self, number: int) -> float:
        """Passes over the data before batch ``number``."""
        return number * self.batch_size / self.total

    def _locate(self, number: int) -> tuple[int, int]:
        """The bucket of a batch, and how many batches that bucket has given before."""
        if number < self._epoch_start:
            self._epoch, self._epoch_start = 0, 0
        while number >= self._epoch_start + (count := int(self._counts(self._epoch).sum())):
            self._epoch, self._epoch_start = self._epoch + 1, self._epoch_start + count
        schedule, at = self._bucket_schedule(self._epoch), number - self._epoch_start
        bucket = int(schedule[at])
        return bucket, int(self._given(self._epoch)[bucket]) + int((schedule[:at] == bucket).sum())

    def _buckets_of_epoch(self, epoch: int) -> np.ndarray:
        """The bucket of each batch of an epoch."""
        schedule = np.repeat(np.arange(len(self.buckets)), self._counts(epoch))
        np.random.default_rng([self.seed, 1, epoch]).shuffle(schedule)
        return schedule

    def _given(self, epoch: int) -> np.ndarray:
        """Batches that each bucket has given before an epoch."""
        return np.floor(self._rates * epoch + self._phases).astype(np.int64)

    def _counts(self, epoch: int) -> np.ndarray:
        """Batches that each bucket gives in an epoch."""
        return self._given(epoch + 1) - self._given(epoch)

    def _slice(self, bucket: int, start: int) -> list[int]:
        """``batch_size`` examples from position ``start`` of a bucket's endless stream."""
        members = self.buckets[bucket]
        picked: list[int] = []
        while len(picked) < self.batch_size:
            repeat, offset = divmod(start + len(picked), len(members))
            wanted = self.batch_size - len(picked)
            picked += self._permutation(bucket, repeat)[offset : offset + wanted].tolist()
        return picked

    def _shuffled(self, bucket: int, repeat: int) -> np.ndarray:
        return np.random.default_rng([self.seed, 2, bucket, repeat]).permutation(self.buckets[bucket])
