"""Loss, gradient and step against calculations by hand, and the random part of a batch."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from comfyui_ace.ace.model.conditioning import Conditioning
from comfyui_ace.ace.model.config import ACEConfig
from comfyui_ace.ace.model.schedule import NoiseSchedule
from comfyui_ace.ace.model.transformer import ACEModel
from comfyui_ace.ace.weights.init import initialize_weights
from comfyui_ace.training.trainer.base_model import enable_gradient_checkpointing
from comfyui_ace.training.trainer.config import OptimizerSection
from comfyui_ace.training.trainer.learning.objective import (
    TimestepBuckets,
    draw_random_inputs,
    sample_losses,
    seeded_generator,
    timestep_weights,
    weighted_mean,
)
from comfyui_ace.training.trainer.learning.optimizer import EMA, make_optimizers, rate_share

SHAPE = ACEConfig(hidden_size=16, depth=2, num_heads=2, text_width=8, max_seq_len=16)
WEIGHTS = torch.tensor([1.0, 0.25, 0.5], dtype=torch.float64)


def two_blocks() -> ACEModel:
    model = initialize_weights(ACEModel(SHAPE), seed=4).double()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


def problem(batch: int = 3):
    generator = torch.Generator().manual_seed(6)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    clean, noise = normal(batch, 4, 4, 6), normal(batch, 4, 4, 6)
    conditioning = Conditioning(
        [normal(batch, 3, 8), normal(batch, 2, 8)], normal(10, 8), references=[normal(batch, 4, 4, 4)]
    )
    return clean, noise, torch.tensor([0, 500, 999])[:batch], conditioning


def loss_by_hand(model: ACEModel, clean, noise, timesteps, conditioning) -> torch.Tensor:
    """Written out sample by sample: x_t from products of 1 - beta, squared errors summed, weighted, averaged."""
    total = 0.0
    for index, step in enumerate(timesteps.tolist()):
        alpha_bar = math.prod(1.0 - (1e-4 + (0.02 - 1e-4) * k / 999) for k in range(step + 1))
        noisy = math.sqrt(alpha_bar) * clean[index] + math.sqrt(1.0 - alpha_bar) * noise[index]
        own = conditioning.map(lambda t, i=index: t[i : i + 1] if t.ndim > 2 else t)
        predicted = model(noisy[None], torch.tensor([step]), own)[0]
        squares = (predicted - noise[index]) ** 2
        total = total + WEIGHTS[index] * squares.sum() / squares.numel()
    return total / len(timesteps)


def loss_of_trainer(model: ACEModel, clean, noise, timesteps, conditioning) -> torch.Tensor:
    noisy = NoiseSchedule().add_noise(clean, noise, timesteps)

    def in_double(x, t, c):
        predicted = model(x, t, c)
        # the trainer compares in float32; double keeps finite differences meaningful
        predicted.float = lambda: predicted
        return predicted

    return weighted_mean(sample_losses(in_double, noisy, timesteps, noise, conditioning), WEIGHTS)


def test_loss_and_gradient_are_those_calculated_by_hand():
    model = two_blocks()
    wanted = loss_by_hand(model, *problem())
    loss = loss_of_trainer(model, *problem())
    torch.testing.assert_close(loss, wanted, rtol=1e-10, atol=0.0)
    loss.backward()
    generator = torch.Generator().manual_seed(7)
    for name, parameter in model.named_parameters():
        if ".norm_k." in name:
            assert parameter.grad is None  # the published model does not use it
            continue
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        direction /= direction.norm()
        step = 1e-3  # the model rotates positions in float32, which a smaller step would drown in
        with torch.no_grad():
            parameter.add_(direction, alpha=step)
            above = loss_by_hand(model, *problem())
            parameter.add_(direction, alpha=-2 * step)
            below = loss_by_hand(model, *problem())
            parameter.add_(direction, alpha=step)
        slope = ((above - below) / (2 * step)).item()
        assert (parameter.grad * direction).sum().item() == pytest.approx(slope, rel=1e-3, abs=1e-5), name


def test_recomputed_blocks_give_the_same_gradient():
    plain, sparing = two_blocks(), two_blocks()
    enable_gradient_checkpointing(sparing)
    for model in (plain, sparing):
        loss_of_trainer(model, *problem()).backward()
    names = plain.state_dict().keys()
    assert names == sparing.state_dict().keys()
    for (name, first), second in zip(plain.named_parameters(), sparing.parameters(), strict=True):
        if first.grad is not None:
            assert torch.equal(first.grad, second.grad), name


def holding(parameter: torch.nn.Parameter) -> torch.nn.Module:
    model = torch.nn.Module()
    model.register_parameter("weight", parameter)
    return model


def test_the_first_step_of_adamw_by_hand():
    settings = OptimizerSection(learning_rate=0.1, weight_decay=0.5, eps=1e-3)
    parameter = torch.nn.Parameter(torch.tensor([2.0, -4.0]))
    (optimizer,) = make_optimizers(holding(parameter), settings)
    parameter.grad = torch.tensor([0.5, -0.001])
    optimizer.step()
    # decoupled decay, then lr · m̂ / (√v̂ + eps), where the corrected moments of a first step are g and g²
    wanted = [2.0 * 0.95 - 0.1 * 0.5 / 0.501, -4.0 * 0.95 + 0.1 * 0.001 / 0.002]
    torch.testing.assert_close(parameter.detach(), torch.tensor(wanted))


def test_defaults_are_the_papers():
    settings = OptimizerSection()
    assert (settings.learning_rate, settings.weight_decay) == (2e-5, 5e-4)
    (optimizer,) = make_optimizers(holding(torch.nn.Parameter(torch.zeros(1))), settings)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["weight_decay"], group["betas"], group["eps"]) == (2e-5, 5e-4, (0.9, 0.999), 1e-8)


def test_learning_rates():
    def rates(**values) -> list[float]:
        settings = OptimizerSection(learning_rate=1.0, **values)
        return [round(rate_share(step, 8, settings), 4) for step in range(8)]

    assert rates(warmup_steps=4) == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]
    assert rates(schedule="linear", warmup_steps=4, final_rate=0.2) == [0.25, 0.5, 0.75, 1, 1, 0.8, 0.6, 0.4]
    assert rates(schedule="linear", hold=0.5) == [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    assert rates(schedule="linear", hold=0.25, warmup_steps=4) == rates(schedule="linear", warmup_steps=4)
    cosine = rates(schedule="cosine")
    assert cosine[0] == 1 and cosine[4] == 0.5 and all(a > b for a, b in pairwise(cosine))


def test_the_moving_average_is_applied_and_taken_off():
    parameter = torch.nn.Parameter(torch.zeros(2))
    ema = EMA([parameter], decay=0.75)
    with torch.no_grad():
        parameter.fill_(1.0)
    ema.update(100)
    with ema.applied():
        assert parameter.tolist() == [0.25, 0.25]
    assert parameter.tolist() == [1.0, 1.0]
    ema.update(100)
    with ema.applied():
        assert parameter.tolist() == [0.4375, 0.4375]


def test_draws_depend_on_seed_and_number_and_split_among_processes():
    def one(*seed: int, size: int = 6):
        return draw_random_inputs(seeded_generator(*seed), size, (2, 3), dropout=0.5)

    whole, same, other = one(1, 2), one(1, 2), one(1, 3)
    assert torch.equal(whole.noise, same.noise) and not torch.equal(whole.noise, other.noise)
    parts = [whole.part(slice(start, start + 2)) for start in (0, 2, 4)]
    for name in ("dropped", "timesteps", "noise"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))


def test_timesteps_are_uniform_over_the_whole_schedule():
    timesteps = draw_random_inputs(seeded_generator(0), 200_000, (1, 1), dropout=0.0).timesteps.numpy()
    assert (timesteps.min(), timesteps.max()) == (0, 999)
    counts = np.bincount(timesteps // 100)
    assert np.abs(counts - 20_000).max() < 5 * math.sqrt(20_000)


def test_stratified_timesteps_cover_every_range_once():
    for number in range(20):
        timesteps = draw_random_inputs(seeded_generator(number), 10, (1, 1), dropout=0.0, stratified=True).timesteps
        assert sorted((timesteps // 100).tolist()) == list(range(10))


def test_instructions_are_dropped_as_often_as_asked():
    dropped = draw_random_inputs(seeded_generator(1), 100_000, (1, 1), dropout=0.1).dropped
    assert abs(dropped.double().mean().item() - 0.1) < 5 * math.sqrt(0.1 * 0.9 / 100_000)


def test_losses_by_range_of_timesteps():
    buckets = TimestepBuckets()
    buckets.add([0, 99, 100, 999], [1.0, 3.0, 5.0, 7.0])
    assert buckets.means() == {"0-99": 2.0, "100-199": 5.0, "900-999": 7.0}


def test_velocity_weighting_is_the_error_of_v():
    weights = timestep_weights("velocity", 1e9).double()
    assert weights.mean().item() == pytest.approx(1.0)
    clean, noise, predicted = (torch.randn(16, dtype=torch.float64) for _ in range(3))
    ratios = []
    for timestep in (0, 300, 700):
        signal, sigma = NoiseSchedule().signal_and_noise(timestep)
        noisy = signal * clean + sigma * noise
        estimate = (noisy - sigma * predicted) / signal
        error = ((signal * predicted - sigma * estimate) - (signal * noise - sigma * clean)).square().mean()
        ratios.append((weights[timestep] * (predicted - noise).square().mean() / error).item())
    assert ratios == pytest.approx([ratios[0]] * 3)


def test_weighting_is_limited_and_may_be_switched_off():
    limited = timestep_weights("velocity", 10.0)
    assert (limited.max() / limited.min()).item() == pytest.approx(10.0, rel=1e-3)
    assert torch.equal(timestep_weights("noise", 10.0), torch.ones(1000))
