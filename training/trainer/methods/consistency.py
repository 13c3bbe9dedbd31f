"""Latent consistency distillation (Luo et al. 2023, "Latent Consistency Models" and "LCM-LoRA").

The student learns that two neighbouring latents on the teacher's way lead to the same result. The teacher's step between
them is one of its own sampler, with guidance and its rescaling; the further target is the student's own (without a moving
average, as for LCM-LoRA).
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from ....ace.model.schedule import NoiseSchedule, ddim_step
from ..data.loader import TeacherBatch
from ..learning.objective import Losses
from .teacher import Teacher

_SIGMA_DATA, _TIME_SCALE = 0.5, 10.0  # of the published LCMs
_HUBER = 1e-3


def consistent(eps: torch.Tensor, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
    """The consistency function c_skip x + c_out x_0, where x_0 is what ``eps`` says of the clean latent.

    Args:
        eps: (B, 4, H, W).
        x: (B, 4, H, W), the latent that ``eps`` is of.
        timesteps: (B,); at -1, the clean end, the result is ``x`` itself.
    """
    signal, sigma = NoiseSchedule().roots(timesteps, x)
    time = _TIME_SCALE * (timesteps + 1).to(x).view(-1, *[1] * (x.ndim - 1))
    distance = (time.square() + _SIGMA_DATA**2).sqrt()
    return (_SIGMA_DATA / distance).square() * x + time / distance * (x - sigma * eps) / signal


def pseudo_huber(difference: torch.Tensor) -> torch.Tensor:
    """(B, …) -> (B,): nearly the absolute value, but smooth at 0 (Song & Dhariwal 2023, section 3.3)."""
    return ((difference.square() + _HUBER**2).sqrt() - _HUBER).flatten(1).mean(dim=1)


class ConsistencyMethod:
    """Neighbouring latents lead to the same result.

    Args:
        teacher: whose model is the student, too.
        load: batch by number.
        max_weighting: an error of eps is one of x_0 times sigma / signal, which is 157 at the noisiest timestep and would
            drown all others. It counts no more than the root of this many times.
    """

    def __init__(self, teacher: Teacher, load: Callable[[int], TeacherBatch], max_weighting: float) -> None:
        self.teacher, self.load, self.max_weighting = teacher, load, max_weighting
        self._schedule = NoiseSchedule()

    def __call__(self, number: int) -> Losses:
        batch = self.load(number)
        now, then = self._timesteps(batch.orders[:, 0])
        noisy = self._schedule.add_noise(batch.latents, batch.noise, now)
        target = self._target(noisy, now, then, batch)
        found = consistent(self.teacher.model(noisy, now, batch.positive).float(), noisy, now)
        signal = self._schedule.roots(now, noisy)[0].flatten()
        each = pseudo_huber(found - target) * (self.max_weighting**0.5 * signal).clamp(max=1.0)
        return Losses(each, now, batch.weights)

    def batches_before(self, number: int) -> int:
        return number

    def _timesteps(self, steps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Steps of the teacher (B,) -> the timesteps at which they begin and end."""
        visited = torch.tensor([*self.teacher.timesteps, -1], device=steps.device)
        return visited[steps], visited[steps + 1]

    @torch.no_grad()
    def _target(self, noisy: torch.Tensor, now: torch.Tensor, then: torch.Tensor, batch: TeacherBatch) -> torch.Tensor:
        """Where the student says the latent leads to that the teacher makes of this one in a step."""
        eps = self.teacher.predict(noisy, now, batch.positive, batch.negative)
        nearer, _ = ddim_step(noisy, eps, self._schedule.roots(now, noisy), self._schedule.roots(then, noisy))
        return consistent(self.teacher.model(nearer, then.clamp(min=0), batch.positive).float(), nearer, then)
