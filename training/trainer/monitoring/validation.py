"""Loss on held-out pairs, with the same noise and the same timesteps at every measurement."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch

from ....ace.model.schedule import NoiseSchedule
from ..data.batches import Batch, HeldOut, collate
from ..engine.processes import Processes
from ..learning.objective import (
    Predictor,
    TimestepBuckets,
    sample_losses,
    seeded_generator,
)

_STREAM = 2
Entries = Sequence[tuple[int, int]]  # (example, noise level): what a batch is made of
T = TypeVar("T")


@dataclass(frozen=True)
class Measurement:
    """Mean losses.

    Attributes:
        loss: over everything.
        by_timestep: by range of timesteps ("0-99", …).
        by_dataset: by name of the dataset.
    """

    loss: float
    by_timestep: dict[str, float]
    by_dataset: dict[str, float]


def subsample_equally(groups: Sequence[Sequence[T]], count: int) -> list[T]:
    """At most ``count`` items, of each group as many as of any other while it has them; always the same."""
    shares = [0] * len(groups)
    left = min(count, sum(map(len, groups)))
    while left:
        for place, group in enumerate(groups):
            if left and shares[place] < len(group):
                shares[place], left = shares[place] + 1, left - 1
    return [item for group, share in zip(groups, shares, strict=True) for item in subsample(group, share)]


def subsample(items: Sequence[T], count: int) -> list[T]:
    """At most ``count`` items, evenly spaced, always the same."""
    if len(items) <= count:
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]


class Validation:
    """Measures the loss of a model on held-out pairs.

    Args:
        store: of the held-out examples.
        timesteps: noise levels for each example, spread evenly over 0 … 999.
        batch_size: samples in one forward pass.
        seed: of the noise; an example's noise depends on its id, not on the rest of its batch.
    """

    def __init__(self, store: HeldOut, *, timesteps: int, batch_size: int, seed: int) -> None:
        self.store, self.batch_size, self.seed = store, batch_size, seed
        self.levels = [int((index + 0.5) * 1000 / timesteps) for index in range(timesteps)]
        buckets: dict[Any, list[tuple[int, int]]] = {}
        for index, example in enumerate(store.examples):
            for level in range(timesteps):
                buckets.setdefault(example.layout, []).append((index, level))
        self.batches = [
            entries[start : start + batch_size]
            for entries in buckets.values()
            for start in range(0, len(entries), batch_size)
        ]
        self.datasets = sorted({example.dataset for example in store.examples})
        self._schedule = NoiseSchedule()

    @torch.no_grad()
    def measure(self, predict: Predictor, processes: Processes) -> Measurement:
        """The loss of a model; all processes share the work, so this is a collective call.

        Args:
            predict: the model, in eval mode.
            processes: of the run.

        Raises:
            DataError: a cached file is gone or damaged; the pair is named.
        """
        accelerator = processes.accelerator
        num_processes = accelerator.num_processes
        buckets = TimestepBuckets()
        datasets = torch.zeros(2, len(self.datasets), dtype=torch.float32)  # sums, counts
        for start in range(0, len(self.batches), num_processes):
            # Every process does as many passes as the others, because a sharded model needs all of them in each.
            mine = start + accelerator.process_index
            entries = self.batches[min(mine, len(self.batches) - 1)]
            batch = processes.on_all(partial(self._read, entries))
            timesteps, losses = self._measure_batch(entries, batch, predict, accelerator.device)
            if mine < len(self.batches):
                buckets.add(timesteps, losses)
                for (index, _), loss in zip(entries, losses, strict=True):
                    place = self.datasets.index(self.store.examples[index].dataset)
                    datasets[:, place] += torch.tensor([loss, 1.0])
        totals = torch.cat((torch.tensor([buckets.sums, buckets.counts], dtype=torch.float32), datasets), dim=1)
        if num_processes > 1:
            totals = accelerator.reduce(totals.to(accelerator.device), "sum").cpu()
        (sums, counts), (of_datasets, numbers) = totals[:, : -len(self.datasets)], totals[:, -len(self.datasets) :]
        buckets.sums, buckets.counts = sums.tolist(), [int(number) for number in counts.tolist()]
        return Measurement(
            sum(buckets.sums) / max(1, sum(buckets.counts)),
            buckets.means(),
            dict(zip(self.datasets, (of_datasets / numbers.clamp(min=1)).tolist(), strict=True)),
        )

    def _read(self, entries: Entries) -> Batch:
        samples = [self.store[index] for index, _ in entries]
        return collate(samples, [False] * len(entries), self.store.indicators)

    def _measure_batch(
        self, entries: Entries, batch: Batch, predict: Predictor, device: torch.device
    ) -> tuple[list[int], list[float]]:
        """Timestep and loss of each sample."""
        timesteps = torch.tensor([self.levels[level] for _, level in entries])
        noise = torch.stack([self._noise(index, level, batch.latents.shape[1:]) for index, level in entries])
        noisy = self._schedule.add_noise(batch.latents, noise, timesteps)
        losses = sample_losses(
            predict, noisy.to(device), timesteps.to(device), noise.to(device), batch.conditioning.to(device)
        )
        return timesteps.tolist(), losses.tolist()

    def _noise(self, index: int, level: int, shape: torch.Size) -> torch.Tensor:
        name = zlib.crc32(self.store.examples[index].id.encode())
        return torch.randn(shape, generator=seeded_generator(self.seed, _STREAM, name, level))
