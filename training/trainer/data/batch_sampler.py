"""Which examples make up which batch: a pure function of the seed and the batch's number.

All samples of a batch share one layout (aspect ratio bucketing). Each bucket has an endless stream of shuffled passes
over its examples, cut into batches; an epoch takes from each bucket as many batches as its share is worth, fractions
being carried over to later epochs. So every example is seen equally often, no batch is short, and nothing has to be
stored to go on from any step.

Groups of examples (the datasets of several teachers) may be balanced: then each group is seen as often as any other,
however many examples it has, and within it every example equally often. The groups of a layout share its batches.
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
        groups: of each example; each gets an equal share of the batches' places. None: every example gets one.

    Raises:
        ValueError: there are no examples.
    """

    def __init__(
        self, layouts: Sequence[Hashable], batch_size: int, seed: int, groups: Sequence[Hashable] | None = None
    ) -> None:
        if not layouts:
            raise ValueError("no examples were given; there is nothing to make batches of")
        self.batch_size, self.seed, self.total = batch_size, seed, len(layouts)
        groups = [None] * len(layouts) if groups is None else groups
        numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        sizes = [0] * len(numbers)
        parts: dict[Hashable, dict[Hashable, list[int]]] = {}
        for index, (layout, group) in enumerate(zip(layouts, groups, strict=True)):
            sizes[numbers[group]] += 1
            parts.setdefault(layout, {}).setdefault(group, []).append(index)
        self._parts = [[np.array(indices) for indices in inside.values()] for inside in parts.values()]
        # An example of a group of n gets total / groups / n of the places that it would get in a pass over all.
        share = [self.total / len(sizes) / size for size in sizes]
        rates = [
            [len(indices) * share[numbers[group]] for group, indices in inside.items()] for inside in parts.values()
        ]
        self._layouts = _Turns([sum(inside) / batch_size for inside in rates], (seed, 0), (seed, 1))
        self._groups = [_Turns(inside, (seed, 3, bucket), (seed, 4, bucket)) for bucket, inside in enumerate(rates)]
        self._permutation = lru_cache(maxsize=4 * sum(map(len, self._parts)) + 4)(self._shuffled)

    def batch(self, number: int) -> list[int]:
        """Indices of the examples of batch ``number``, 0, 1, … Cheapest when asked for in order."""
        bucket, position = self._layouts.locate(number)
        start = position * self.batch_size
        return [self._example(bucket, place) for place in range(start, start + self.batch_size)]

    def epoch_of(self, number: int) -> float:
        """Passes over the data before batch ``number``."""
        return number * self.batch_size / self.total

    def _example(self, bucket: int, place: int) -> int:
        """The example at a place of a bucket's endless stream."""
        group, number = self._groups[bucket].locate(place)
        repeat, offset = divmod(number, len(self._parts[bucket][group]))
        return int(self._permutation(bucket, group, repeat)[offset])

    def _shuffled(self, bucket: int, group: int, repeat: int) -> np.ndarray:
        key = [self.seed, 2, bucket, repeat, *([group] if group else [])]
        return np.random.default_rng(key).permutation(self._parts[bucket][group])


class _Turns:
    """An endless sequence in which several sources take turns, each as often as its rate says, in a shuffled order.

    Args:
        rates: how often each comes in a round; fractions are carried over to later rounds.
        phases, order: seeds of what the fractions begin with, and of the order within a round.
    """

    def __init__(self, rates: Sequence[float], phases: Sequence[int], order: Sequence[int]) -> None:
        self._rates = np.array(rates, dtype=np.float64)
        self._phases = np.random.default_rng(list(phases)).random(len(rates))
        self._order = order
        self._round, self._start = 0, 0
        self._schedule = lru_cache(maxsize=2)(self._turns_of_round)

    def locate(self, number: int) -> tuple[int, int]:
        """The source at a position of the sequence, and how often it has come before."""
        if len(self._rates) == 1:
            return 0, number
        if number < self._start:
            self._round, self._start = 0, 0
        while number >= self._start + (count := int(self._counts(self._round).sum())):
            self._round, self._start = self._round + 1, self._start + count
        schedule, at = self._schedule(self._round), number - self._start
        source = int(schedule[at])
        return source, int(self._given(self._round)[source]) + int((schedule[:at] == source).sum())

    def _turns_of_round(self, number: int) -> np.ndarray:
        schedule = np.repeat(np.arange(len(self._rates)), self._counts(number))
        np.random.default_rng([*self._order, number]).shuffle(schedule)
        return schedule

    def _given(self, number: int) -> np.ndarray:
        """How often each has come before a round."""
        return np.floor(self._rates * number + self._phases).astype(np.int64)

    def _counts(self, number: int) -> np.ndarray:
        """How often each comes in a round."""
        return self._given(number + 1) - self._given(number)
