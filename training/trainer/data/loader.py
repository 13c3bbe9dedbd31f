"""Batches for the loop: collated, noised, on the device, and one ahead where that saves waiting."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import torch

from ....ace.model.conditioning import Conditioning
from ....ace.model.schedule import NoiseSchedule
from ..config import ObjectiveSection
from ..learning.objective import draw_random_inputs, seeded_generator, timestep_weights
from .batches import Sample, collate

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


class Batches(Protocol):
    """Samples by the number of their batch."""

    def part(self, number: int, rows: slice) -> list[Sample]:
        """Some rows of a batch, all of one layout."""
        ...


class BatchLoader:
    """Training batches by number.

    Args:
        batches: samples by number and rows, all processes together.
        objective: how noise, timesteps and dropped instructions are drawn, and what each timestep counts.
        batch_size: samples in a batch, over all processes.
        indicators: (rows, Y), the I-Emb table.
        seed: of noise, timesteps and dropout.
        process_index, num_processes: this process prepares its rows of every batch.
        device: where the batches go.
        prefetch: prepare the next batch in a thread while this one is computed.
    """

    def __init__(
        self,
        batches: Batches,
        objective: ObjectiveSection,
        *,
        batch_size: int,
        indicators: torch.Tensor,
        seed: int,
        process_index: int = 0,
        num_processes: int = 1,
        device: torch.device | str = "cpu",
        prefetch: bool = False,
    ) -> None:
        self.batches, self.objective = batches, objective
        self.batch_size, self.indicators, self.seed = batch_size, indicators, seed
        self.process_index, self.num_processes = process_index, num_processes
        self.device = torch.device(device)
        self._schedule = NoiseSchedule()
        self._timestep_weights = timestep_weights(objective.weighting, objective.max_weighting)
        self._pool = ThreadPoolExecutor(max_workers=1) if prefetch else None
        self._next: tuple[int, Future] | None = None

    def __call__(self, number: int) -> TrainingBatch:
        """One process's rows of a batch.

        Args:
            number: of the batch: 0, 1, …

        Raises:
            DataError: a sample cannot be read or drawn; it is named.
        """
        batch = self._wait_for(number) if self._pool else self._prepare(number)
        return self._to_device(batch)

    def close(self) -> None:
        """Ends the thread that prepares batches."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _wait_for(self, number: int) -> TrainingBatch:
        """A batch from the thread, which begins with the next one."""
        prefetched, self._next = self._next, None
        is_next = prefetched is not None and prefetched[0] == number
        batch = prefetched[1].result() if is_next else self._prepare(number)
        self._next = (number + 1, self._pool.submit(self._prepare, number + 1))
        return batch

    def _prepare(self, number: int) -> TrainingBatch:
        rows = self._own_rows(self.batch_size)
        samples = self.batches.part(number, rows)
        height, width = samples[0].target.shape[-2:]
        whole = draw_random_inputs(
            seeded_generator(self.seed, _STREAM, number),
            self.batch_size,
            (height, width),
            dropout=self.objective.instruction_dropout,
            stratified=self.objective.timesteps == "stratified",
        )
        mine = whole.part(rows)
        batch = collate(samples, mine.dropped.tolist(), self.indicators)
        noisy = self._schedule.add_noise(batch.latents, mine.noise, mine.timesteps)
        weights = batch.weights * self._timestep_weights[mine.timesteps]
        return TrainingBatch(noisy, mine.noise, mine.timesteps, weights, batch.conditioning)

    def _own_rows(self, count: int) -> slice:
        """This process's rows of a batch of ``count`` samples."""
        start, stop = (count * index // self.num_processes for index in (self.process_index, self.process_index + 1))
        return slice(start, stop)

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
