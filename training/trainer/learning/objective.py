"""What is minimised: the error of the predicted noise, weighted by the importance of each pair.

All random numbers of a step come from a generator seeded by the run's seed and the number of the batch, drawn for the
whole batch of all processes on the CPU. So a run can go on from any step without stored generator states, and the same
batch gets the same noise however many processes share it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ....ace.model.conditioning import Conditioning
from ....ace.model.schedule import NoiseSchedule

# (noisy latents (B, 4, H, W), timesteps (B,), conditioning) -> eps (B, 4, H, W)
Predictor = Callable[[torch.Tensor, torch.Tensor, Conditioning], torch.Tensor]


@dataclass(frozen=True, eq=False)
class Draw:
    """The random part of a batch.

    Attributes:
        dropped: (B,) bool, whether the last instruction is left out.
        timesteps: (B,), 0 … 999.
        noise: (B, 4, H, W).
    """

    dropped: torch.Tensor
    timesteps: torch.Tensor
    noise: torch.Tensor

    def part(self, rows: slice) -> Draw:
        """Some rows, such as those of one process."""
        return Draw(self.dropped[rows], self.timesteps[rows], self.noise[rows])


def seeded(*numbers: int) -> torch.Generator:
    """A generator that depends on all the numbers and on nothing else."""
    import numpy as np

    return torch.Generator().manual_seed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1))


def draw(
    generator: torch.Generator,
    batch_size: int,
    latent_size: tuple[int, int],
    *,
    dropout: float,
    stratified: bool = False,
    num_timesteps: int = 1000,
) -> Draw:
    """Draws a batch's dropout, timesteps and noise, in this order.

    Args:
        latent_size: (H, W) of the target.
        dropout: share of dropped instructions.
        stratified: one timestep from each of ``batch_size`` equal ranges, in random order; each alone is still uniform.
    """
    dropped = torch.rand(batch_size, generator=generator) < dropout
    if stratified:
        position = torch.rand(batch_size, generator=generator, dtype=torch.float64)
        order = torch.randperm(batch_size, generator=generator)
        timesteps = ((order + position) / batch_size * num_timesteps).long().clamp_(max=num_timesteps - 1)
    else:
        timesteps = torch.randint(num_timesteps, (batch_size,), generator=generator)
    noise = torch.randn(batch_size, 4, *latent_size, generator=generator)
    return Draw(dropped, timesteps, noise)


def sample_losses(
    predict: Predictor, noisy: torch.Tensor, timesteps: torch.Tensor, noise: torch.Tensor, conditioning: Conditioning
) -> torch.Tensor:
    """Mean squared error of the predicted noise, one number a sample: (B,) float32."""
    predicted = predict(noisy, timesteps, conditioning)
    return (predicted.float() - noise).square().flatten(1).mean(dim=1)


def weighted_mean(losses: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean of λ·loss over the batch. It is divided by B and not by the sum of λ: a batch of poor pairs counts less."""
    return (losses * weights).mean()


def timestep_weights(weighting: str, max_weighting: float) -> torch.Tensor:
    """How much each timestep counts, (1000,) float32 with a mean of 1.

    The error of v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x_0 (Salimans & Ho 2022, appendix D) is that of eps divided
    by sqrt(alpha_bar), which has no bound towards the noisy end; hence the limit.

    Args:
        weighting: "noise" (all alike) or "velocity".
        max_weighting: of the noisiest timesteps over a clean one.
    """
    alpha_bar = NoiseSchedule().alphas_cumprod
    if weighting == "noise":
        return torch.ones(len(alpha_bar))
    weights = alpha_bar.reciprocal().clamp(max=max_weighting)
    return (weights / weights.mean()).float()


class TimestepBuckets:
    """Sums losses by range of timesteps.

    Args:
        count: equal ranges over 0 … 999.
    """

    def __init__(self, count: int = 10, num_timesteps: int = 1000) -> None:
        self.count, self.num_timesteps = count, num_timesteps
        self.sums, self.numbers = [0.0] * count, [0] * count

    def add(self, timesteps: list[int], losses: list[float]) -> None:
        for timestep, loss in zip(timesteps, losses, strict=True):
            bucket = timestep * self.count // self.num_timesteps
            self.sums[bucket] += loss
            self.numbers[bucket] += 1

    def means(self) -> dict[str, float]:
        """Mean loss by range ("0-99", …); ranges without a sample are left out."""
        width = self.num_timesteps // self.count
        return {
            f"{bucket * width}-{(bucket + 1) * width - 1}": self.sums[bucket] / self.numbers[bucket]
            for bucket in range(self.count)
            if self.numbers[bucket]
        }
