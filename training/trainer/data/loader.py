"""Batches for the loop: collated, noised, on the device, and one ahead where that saves waiting."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Protocol, TypeVar

import torch

from ....ace.model.conditioning import Conditioning
from ....ace.model.schedule import NoiseSchedule
from ..config import ObjectiveSection
from ..learning.objective import draw_random_inputs, seeded_generator, timestep_weights
from .batches import Sample, collate

# Tell the training noise, and that of the teacher, from other uses of the seed.
_STREAM, _TEACHER_STREAM = 1, 4


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


@dataclass(frozen=True, eq=False)
class TeacherBatch:
    """One process's share of what a teacher and its student see, on its device.

    Attributes:
        latents: (B, 4, H, W), the pairs' clean results.
        noise: (B, 4, H, W).
        orders: (B, steps), for each sample the teacher's steps in random order.
        weights: (B,), importance of the pair.
        positive, negative: of batch B, both branches of guidance.
    """

    latents: torch.Tensor
    noise: torch.Tensor
    orders: torch.Tensor
    weights: torch.Tensor
    positive: Conditioning
    negative: Conditioning


B = TypeVar("B", TrainingBatch, TeacherBatch)


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
        return _to_device(batch, self.device)

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
        rows = _own_rows(self.batch_size, self.process_index, self.num_processes)
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


class TeacherLoader:
    """Batches for a teacher that is the model itself, by number; see :class:`BatchLoader` for most of the arguments.

    Args:
        steps: of the teacher's sampler.
    """

    def __init__(self, batches: Batches, steps: int, *, batch_size: int, indicators: torch.Tensor, seed: int) -> None:
        self.batches, self.steps, self.batch_size = batches, steps, batch_size
        self.indicators, self.seed = indicators, seed
        self.rows, self.device = slice(0, batch_size), torch.device("cpu")

    @classmethod
    def like(cls, loader: BatchLoader, steps: int) -> TeacherLoader:
        """One that reads the same pairs for the same process as a loader."""
        made = cls(loader.batches, steps, batch_size=loader.batch_size, indicators=loader.indicators, seed=loader.seed)
        made.rows = _own_rows(loader.batch_size, loader.process_index, loader.num_processes)
        made.device = loader.device
        return made

    def __call__(self, number: int) -> TeacherBatch:
        """One process's rows of a batch.

        Raises:
            DataError: a sample cannot be read or drawn; it is named.
        """
        samples = self.batches.part(number, self.rows)
        positive, negative = (collate(samples, [drop] * len(samples), self.indicators) for drop in (False, True))
        generator = seeded_generator(self.seed, _TEACHER_STREAM, number)
        orders = torch.stack([torch.randperm(self.steps, generator=generator) for _ in range(self.batch_size)])
        noise = torch.randn(self.batch_size, *positive.latents.shape[1:], generator=generator)
        return _to_device(
            TeacherBatch(
                positive.latents,
                noise[self.rows],
                orders[self.rows],
                positive.weights,
                positive.conditioning,
                negative.conditioning,
            ),
            self.device,
        )


def _own_rows(count: int, process_index: int, num_processes: int) -> slice:
    """A process's rows of a batch of ``count`` samples."""
    start, stop = (count * index // num_processes for index in (process_index, process_index + 1))
    return slice(start, stop)


def _to_device(batch: B, device: torch.device) -> B:
    """The same batch with everything in it on a device."""
    if device.type == "cpu":
        return batch

    def move(tensor: torch.Tensor) -> torch.Tensor:
        if device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(device, non_blocking=True)

    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return replace(batch, **{k: v.map(move) if isinstance(v, Conditioning) else move(v) for k, v in values.items()})
