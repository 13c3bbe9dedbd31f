"""Batches for the loop: collated, noised, on the device, and one ahead where that saves waiting."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch

from ....ace.model.conditioning import Conditioning
from ....ace.model.schedule import NoiseSchedule
from ..config import ObjectiveSection
from ..learning.objective import draw, seeded, timestep_weights
from .batch_sampler import BatchOrder
from .batches import SampleStore

_STREAM = 1  # tells the training noise from other uses of the seed


@dataclass(frozen=True, eq=False)
class TrainingBatch:
    """One process's share of a batch, on its device.

    Attributes:
        noisy, noise: (B, 4, H, W).
        timesteps: (B,).
        weights: (B,), importance of the pair times that of the timestep.
        conditioning: of batch B.
    """

    noisy: torch.Tensor
    noise: torch.Tensor
    timesteps: torch.Tensor
    weights: torch.Tensor
    conditioning: Conditioning


class Feed:
    """Training batches by number.

    Args:
        order: of whole batches, all processes together.
        share: (rank, processes).
        ahead: prepare the next batch in a thread while this one is computed.
    """

    def __init__(
        self,
        store: SampleStore,
        order: BatchOrder,
        objective: ObjectiveSection,
        *,
        share: tuple[int, int] = (0, 1),
        device: torch.device | str = "cpu",
        ahead: bool = False,
    ) -> None:
        self.store, self.order, self.objective, self.share = store, order, objective, share
        self.device = torch.device(device)
        self._schedule = NoiseSchedule()
        self._timestep_weights = timestep_weights(objective.weighting, objective.max_weighting)
        self._pool = ThreadPoolExecutor(max_workers=1) if ahead else None
        self._next: tuple[int, Future] | None = None

    def __call__(self, number: int) -> TrainingBatch:
        """Batch ``number``, 0, 1, …

        Raises:
            DataError: a cached file cannot be read; the pair is named.
        """
        batch = self._wait_for(number) if self._pool else self._prepare(number)
        return self._to_device(batch)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _wait_for(self, number: int) -> TrainingBatch:
        known, self._next = self._next, None
        batch = known[1].result() if known is not None and known[0] == number else self._prepare(number)
        self._next = (number + 1, self._pool.submit(self._prepare, number + 1))
        return batch

    def _prepare(self, number: int) -> TrainingBatch:
        order, (rank, processes) = self.order, self.share
        indices = order.batch(number)
        height, width = self.store[indices[0]].target.shape[-2:]
        whole = draw(
            seeded(order.seed, _STREAM, number),
            len(indices),
            (height, width),
            dropout=self.objective.instruction_dropout,
            stratified=self.objective.timesteps == "stratified",
        )
        rows = slice(rank * len(indices) // processes, (rank + 1) * len(indices) // processes)
        mine = whole.part(rows)
        batch = self.store.batch(indices[rows], mine.dropped.tolist())
        noisy = self._schedule.add_noise(batch.latents, mine.noise, mine.timesteps)
        weights = batch.weights * self._timestep_weights[mine.timesteps]
        return TrainingBatch(noisy, mine.noise, mine.timesteps, weights, batch.conditioning)

    def _to_device(self, batch: TrainingBatch) -> TrainingBatch:
        if self.device.type == "cpu":
            return batch

        def move(tensor: torch.Tensor) -> torch.Tensor:
            if self.device.type == "cuda":
                tensor = tensor.pin_memory()
            return tensor.to(self.device, non_blocking=True)

        return TrainingBatch(
            move(batch.noisy),
            move(batch.noise),
            move(batch.timesteps),
            move(batch.weights),
            batch.conditioning.map(move),
        )
