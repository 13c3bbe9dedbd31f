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
class RandomInputs:
    """What is drawn at random for a batch.

    Attributes:
        dropped: (B,) bool, whether the last instruction is left out.
        timesteps: (B,), 0 … 999.
        noise: (B, 4, H, W).
    """

    dropped: torch.Tensor
    timesteps: torch.Tensor
    noise: torch.Tensor

    def part(self, rows: slice) -> RandomInputs:
        """Some rows, such as those of one process."""
        return RandomInputs(self.dropped[rows], self.timesteps[rows], self.noise[rows])


@dataclass(frozen=True, eq=False)
class Losses:
    """What a training step minimises: the mean of ``each`` times ``weights``.

    Attributes:
        each: (B,) losses of the samples.
        timesteps: (B,), for reports.
        weights: (B,), importance of the pair times that of the timestep.
    """

    each: torch.Tensor
    timesteps: torch.Tensor
    weights: torch.Tensor


def seeded_generator(*numbers: int) -> torch.Generator:
    """A generator on the CPU that depends on all the numbers and on nothing else."""
    import numpy as np

    return torch.Generator().manual_seed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1))


def draw_random_inputs(
    generator: torch.Generator,
    batch_size: int,
    latent_size: tuple[int, int],
    *,
    dropout: float,
    stratified: bool = False,
    num_timesteps: int = 1000,
) -> RandomInputs:
    """Draws dropped instructions, timesteps and noise of a batch, in this order.

    Args:
        generator: see :func:`seeded_generator`; everything is drawn on its device.
        batch_size: B, samples of all processes.
        latent_size: (H, W) of the target.
        dropout: share of dropped instructions.
        stratified: one timestep from each of ``batch_size`` equal ranges, in random order; each alone is still uniform.
        num_timesteps: of the noise schedule.
    """
    drawn = {"generator": generator, "device": generator.device}
    dropped = torch.rand(batch_size, **drawn) < dropout
    if stratified:
        position = torch.rand(batch_size, dtype=torch.float64, **drawn)
        order = torch.randperm(batch_size, **drawn)
        timesteps = ((order + position) / batch_size * num_timesteps).long().clamp_(max=num_timesteps - 1)
    else:
        timesteps = torch.randint(num_timesteps, (batch_size,), **drawn)
    noise = torch.randn(batch_size, 4, *latent_size, **drawn)
    return RandomInputs(dropped, timesteps, noise)


def sample_losses(
    predict: Predictor, noisy: torch.Tensor, timesteps: torch.Tensor, noise: torch.Tensor, conditioning: Conditioning
) -> torch.Tensor:
    """Mean squared error of the predicted noise, one number a sample (L_simple of Ho et al. 2020, eq. 14).

    Args:
        predict: the model.
        noisy: (B, 4, H, W), latents with noise.
        timesteps: (B,).
        noise: (B, 4, H, W), what was added.
        conditioning: of batch B.

    Returns:
        (B,) float32.
    """
    predicted = predict(noisy, timesteps, conditioning)
    return (predicted.float() - noise).square().flatten(1).mean(dim=1)


def weighted_mean(losses: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean of λ·loss over a batch. It is divided by B and not by the sum of λ: a batch of poor pairs counts less.

    Args:
        losses, weights: (B,).

    Returns:
        a scalar.
    """
    return (losses * weights).mean()


def timestep_weights(weighting: str, max_weighting: float) -> torch.Tensor:
    """How much each timestep counts, with a mean of 1.

    The error of v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x_0 (Salimans & Ho 2022, appendix D) is that of eps divided
    by sqrt(alpha_bar), which has no bound towards the noisy end; hence the limit.

    Args:
        weighting: "noise" (all alike) or "velocity".
        max_weighting: of the noisiest timesteps over a clean one.

    Returns:
        (1000,) float32.
    """
    alpha_bar = NoiseSchedule().alphas_cumprod
    if weighting == "noise":
        return torch.ones(len(alpha_bar))
    weights = alpha_bar.reciprocal().clamp(max=max_weighting)
    return (weights / weights.mean()).float()


class TimestepBuckets:
    """Sums losses by range of timesteps.

    Args:
        num_buckets: equal ranges over all timesteps.
        num_timesteps: of the noise schedule.

    Attributes:
        sums, counts: of the losses in each range.
    """

    def __init__(self, num_buckets: int = 10, num_timesteps: int = 1000) -> None:
        self.num_buckets, self.num_timesteps = num_buckets, num_timesteps
        self.sums, self.counts = [0.0] * num_buckets, [0] * num_buckets

    def add(self, timesteps: list[int], losses: list[float]) -> None:
        """Counts the losses of some samples."""
        for timestep, loss in zip(timesteps, losses, strict=True):
            bucket = timestep * self.num_buckets // self.num_timesteps
            self.sums[bucket] += loss
            self.counts[bucket] += 1

    def means(self) -> dict[str, float]:
        """Mean loss by range ("0-99", …); ranges without a sample are left out."""
        width = self.num_timesteps // self.num_buckets
        return {
            f"{bucket * width}-{(bucket + 1) * width - 1}": self.sums[bucket] / self.counts[bucket]
            for bucket in range(self.num_buckets)
            if self.counts[bucket]
        }
