"""Loss on held-out pairs, with the same noise and the same timesteps at every measurement."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from ....ace.model.schedule import NoiseSchedule
from ..data.batches import Batch, SampleStore
from ..data.examples import Example
from ..engine.processes import Company
from ..learning.objective import (
    Predictor,
    TimestepBuckets,
    sample_losses,
    seeded,
)

_STREAM = 2
Jobs = Sequence[tuple[int, int]]  # (example, noise level)


@dataclass(frozen=True)
class Measurement:
    """Mean losses: over everything, and by range of timesteps."""

    loss: float
    by_timestep: dict[str, float]


def spread(examples: Sequence[Example], count: int) -> list[Example]:
    """At most ``count`` examples, evenly spaced, always the same."""
    if len(examples) <= count:
        return list(examples)
    return [examples[index * len(examples) // count] for index in range(count)]


class Validation:
    """Measures a model.

    Args:
        store: of the held-out examples.
        timesteps: noise levels for each example, spread evenly over 0 … 999.
        batch_size: samples in one forward pass.
        seed: of the noise; an example's noise depends on its id, not on its company.
    """

    def __init__(self, store: SampleStore, *, timesteps: int, batch_size: int, seed: int) -> None:
        self.store, self.batch_size, self.seed = store, batch_size, seed
        self.levels = [int((index + 0.5) * 1000 / timesteps) for index in range(timesteps)]
        buckets: dict[Any, list[tuple[int, int]]] = {}
        for index, example in enumerate(store.examples):
            for level in range(timesteps):
                buckets.setdefault(example.layout, []).append((index, level))
        self.chunks = [
            jobs[start : start + batch_size] for jobs in buckets.values() for start in range(0, len(jobs), batch_size)
        ]
        self._schedule = NoiseSchedule()

    @torch.no_grad()
    def measure(self, predict: Predictor, company: Company) -> Measurement:
        """Shares the work among all processes; a collective call.

        Args:
            predict: the model, in eval mode.
            company: the processes.

        Raises:
            DataError: a cached file is gone or damaged; the pair is named.
        """
        accelerator = company.accelerator
        processes, rank = accelerator.num_processes, accelerator.process_index
        buckets = TimestepBuckets()
        for start in range(0, len(self.chunks), processes):
            # Every process does as many passes as the others, because a sharded model needs all of them in each.
            mine = start + rank
            jobs = self.chunks[min(mine, len(self.chunks) - 1)]
            batch = company.together(partial(self._read, jobs))
            timesteps, losses = self._measure_chunk(jobs, batch, predict, accelerator.device)
            if mine < len(self.chunks):
                buckets.add(timesteps, losses)
        totals = torch.tensor([buckets.sums, buckets.numbers], dtype=torch.float32, device=accelerator.device)
        if processes > 1:
            totals = accelerator.reduce(totals, "sum")
        buckets.sums, buckets.numbers = totals[0].tolist(), [int(number) for number in totals[1].tolist()]
        return Measurement(sum(buckets.sums) / max(1, sum(buckets.numbers)), buckets.means())

    def _read(self, jobs: Jobs) -> Batch:
        return self.store.batch([index for index, _ in jobs], [False] * len(jobs))

    def _measure_chunk(self, jobs: Jobs, batch: Batch, predict: Predictor, device: torch.device):
        timesteps = torch.tensor([self.levels[level] for _, level in jobs])
        noise = torch.stack([self._noise(index, level, batch.latents.shape[1:]) for index, level in jobs])
        noisy = self._schedule.add_noise(batch.latents, noise, timesteps)
        losses = sample_losses(
            predict, noisy.to(device), timesteps.to(device), noise.to(device), batch.conditioning.to(device)
        )
        return timesteps.tolist(), losses.tolist()

    def _noise(self, index: int, level: int, shape: torch.Size) -> torch.Tensor:
        name = zlib.crc32(self.store.examples[index].id.encode())
        return torch.randn(shape, generator=seeded(self.seed, _STREAM, name, level))
