"""Guidance distillation: the student predicts without guidance what the teacher predicts with it.

As in Jensen & Sadat 2025 ("Efficient Distillation of Classifier-Free Guidance using Adapters"), it learns on the latents
that the teacher comes by when it samples with guidance, which are what the student will see; latents made by adding noise
to results are others.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ....ace.model.schedule import NoiseSchedule, ddim_step
from ..data.loader import TeacherBatch
from ..learning.objective import Losses, sample_losses
from .teacher import Teacher


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A teacher's way from noise to results.

    Attributes:
        batch: what it was given.
        noisy, eps: (steps, B, 4, H, W), latents and guided predictions at each of its timesteps.
    """

    batch: TeacherBatch
    noisy: torch.Tensor
    eps: torch.Tensor


@torch.no_grad()
def sample_trajectory(teacher: Teacher, batch: TeacherBatch) -> Trajectory:
    """Samples from the batch's noise with the teacher's own sampler and notes what it comes by."""
    schedule, timesteps = NoiseSchedule(), [*teacher.timesteps, None]
    latent, noisy, guided = batch.noise, [], []
    for now, then in itertools.pairwise(timesteps):
        times = torch.full((len(latent),), now, device=latent.device)
        eps = teacher.predict(latent, times, batch.positive, batch.negative)
        noisy.append(latent)
        guided.append(eps)
        latent, _ = ddim_step(latent, eps, schedule.signal_and_noise(now), schedule.signal_and_noise(then))
    return Trajectory(batch, torch.stack(noisy), torch.stack(guided))


class GuidanceMethod:
    """Guided predictions along the teacher's trajectories. One trajectory serves as many passes as it has steps.

    A run that goes on in the midst of a trajectory samples it once more: it depends on nothing that is trained.

    Args:
        teacher: whose model is the student, too.
        load: batch by number.
        timestep_weights: (1000,).
    """

    def __init__(self, teacher: Teacher, load: Callable[[int], TeacherBatch], timestep_weights: torch.Tensor) -> None:
        self.teacher, self.load, self.timestep_weights = teacher, load, timestep_weights
        self._latest: tuple[int, Trajectory] | None = None

    def __call__(self, number: int) -> Losses:
        which, turn = divmod(number, self.teacher.steps)
        trajectory = self._trajectory(which)
        batch = trajectory.batch
        steps, rows = batch.orders[:, turn], torch.arange(len(batch.noise), device=batch.noise.device)
        timesteps = torch.tensor(self.teacher.timesteps, device=steps.device)[steps]  # each sample has its own
        each = sample_losses(
            self.teacher.model, trajectory.noisy[steps, rows], timesteps, trajectory.eps[steps, rows], batch.positive
        )
        return Losses(each, timesteps, batch.weights * self.timestep_weights.to(timesteps.device)[timesteps])

    def batches_before(self, number: int) -> int:
        return number // self.teacher.steps

    def _trajectory(self, which: int) -> Trajectory:
        if self._latest is None or self._latest[0] != which:
            self._latest = which, sample_trajectory(self.teacher, self.load(which))
        return self._latest[1]
