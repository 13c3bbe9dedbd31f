"""Schedule, noise, guidance and the callback; exactness is in test_parity.py."""

from __future__ import annotations

import math

import pytest
import torch
from comfyui_ace.ace.model.conditioning import Conditioning
from comfyui_ace.ace.model.config import ACEConfig
from comfyui_ace.ace.model.sampler import apply_guidance, draw_noise, sample
from comfyui_ace.ace.model.schedule import NoiseSchedule, trailing_timesteps
from comfyui_ace.ace.model.transformer import ACEModel
from comfyui_ace.ace.weights.init import initialize_weights

CONFIG = ACEConfig(hidden_size=24, depth=2, num_heads=2, text_width=8, max_seq_len=64)


@pytest.fixture(scope="module")
def model():
    model = initialize_weights(ACEModel(CONFIG))
    torch.nn.init.normal_(model.final_layer.linear.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    return model.requires_grad_(False)


def conditioning(seed: int, references: int = 0, length: int = 3) -> Conditioning:
    generator = torch.Generator().manual_seed(seed)
    return Conditioning(
        context=[torch.randn(1, length, 8, generator=generator) for _ in range(references + 1)],
        indicator_embeddings=torch.randn(10, 8, generator=torch.Generator().manual_seed(99)),
        references=[torch.randn(1, 4, 4, 6, generator=generator) for _ in range(references)],
    )


def test_schedule_matches_its_definition():
    schedule = NoiseSchedule()
    product = math.prod(1 - (1e-4 + (0.02 - 1e-4) * t / 999) for t in range(1000))
    assert schedule.alphas_cumprod[999].item() == pytest.approx(product, rel=1e-12)
    signal, noise = schedule.signal_and_noise(999)
    assert signal**2 + noise**2 == pytest.approx(1.0)
    assert schedule.signal_and_noise(None) == (1.0, 0.0)
    noisy = schedule.add_noise(torch.ones(2, 1, 1, 1), torch.zeros(2, 1, 1, 1), torch.tensor([0, 999]))
    assert noisy.flatten().tolist() == pytest.approx([math.sqrt(1 - 1e-4), math.sqrt(product)], rel=1e-5)


def test_trailing_timesteps():
    assert trailing_timesteps(4) == [999, 749, 499, 249]
    assert trailing_timesteps(3) == [999, 666, 333]
    assert trailing_timesteps(1) == [999]
    assert trailing_timesteps(1000) == list(range(999, -1, -1))
    for steps in (0, 1001):
        with pytest.raises(ValueError, match="between 1 and 1000"):
            trailing_timesteps(steps)


def test_noise_by_seed():
    both = draw_noise((2, 4, 4, 6), [7, 8])
    assert torch.equal(both[:1], draw_noise((1, 4, 4, 6), 7)) and torch.equal(both[1:], draw_noise((1, 4, 4, 6), 8))
    assert torch.equal(draw_noise((2, 4, 4, 6), 7)[:1], both[:1])
    with pytest.raises(ValueError, match="2 seeds"):
        draw_noise((3, 4, 3, 5), [7, 8])


def test_rescale_restores_the_conditional_spread():
    conditional, unconditional = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    plain, full = (apply_guidance(conditional, unconditional, 6.0, phi) for phi in (0.0, 1.0))
    assert torch.allclose(plain, unconditional + 6 * (conditional - unconditional))
    assert torch.allclose(full.std((1, 2, 3)), conditional.std((1, 2, 3)))
    assert torch.allclose(apply_guidance(conditional, unconditional, 6.0, 0.5), (plain + full) / 2, atol=1e-5)


def test_guidance_of_one_needs_no_negative(model):
    noise = draw_noise((1, 4, 4, 6), 0)
    guided = sample(model, noise, conditioning(1), conditioning(2), steps=3, guidance_scale=1.0)
    assert torch.equal(guided, sample(model, noise, conditioning(1), None, steps=3))


def test_samples_of_a_batch_do_not_touch_each_other(model):
    branches = conditioning(1, references=2), conditioning(2, references=2, length=5)
    noise = draw_noise((2, 4, 4, 6), [3, 4])
    together = sample(model, noise, *branches, steps=3)
    alone = torch.cat([sample(model, one[None], *branches, steps=3) for one in noise])
    assert torch.allclose(together, alone, rtol=1e-3, atol=1e-4 * alone.abs().max())


def test_callback_sees_every_step_and_can_cancel(model):
    seen = []
    latent = sample(model, draw_noise((1, 4, 4, 6), 0), conditioning(1), conditioning(2), steps=4, callback=seen.append)
    assert [(step.index, step.total, step.timestep) for step in seen] == [(k, 4, 999 - 250 * k) for k in range(4)]
    assert torch.equal(seen[-1].denoised, latent)

    class Cancelled(Exception):
        pass

    def cancel(step):
        if step.index == 1:
            raise Cancelled

    with pytest.raises(Cancelled):
        sample(model, draw_noise((1, 4, 4, 6), 0), conditioning(1), steps=4, callback=cancel)


def test_odd_sides_are_padded_and_cut_off_again(model):
    with torch.no_grad():
        eps = model(torch.randn(1, 4, 5, 7), torch.tensor([10]), conditioning(1, references=1))
    assert eps.shape == (1, 4, 5, 7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"references": [torch.zeros(1, 4, 2, 2)]}, "1 reference images need 2 context tensors"),
        ({"context": [torch.zeros(1, 3, 9)]}, r"context\[0\] must be \(B, tokens >= 1, 8\)"),
        ({"indicator_embeddings": torch.zeros(8)}, "indicator_embeddings must be"),
        ({"context_masks": [torch.ones(1, 4, dtype=torch.bool)]}, r"context_masks\[0\]"),
    ],
)
def test_conditioning_that_does_not_fit_together(change, message):
    with pytest.raises(ValueError, match=message):
        Conditioning(**{"context": [torch.zeros(1, 3, 8)], "indicator_embeddings": torch.zeros(10, 8), **change})


def test_model_explains_what_does_not_fit(model):
    x, t = torch.zeros(3, 4, 4, 4), torch.tensor([0])
    with pytest.raises(ValueError, match=r"x must be \(B, 4, H, W\)"):
        model(torch.zeros(1, 16, 4, 4), t, conditioning(0))
    wrong_width = Conditioning([torch.zeros(1, 3, 16)], torch.zeros(10, 16))
    with pytest.raises(ValueError, match="was trained with"):
        model(x, t, wrong_width)
    two = Conditioning([torch.zeros(2, 3, 8)], torch.zeros(10, 8))
    with pytest.raises(ValueError, match="batch of 2 does not fit 3"):
        model(x, t, two)
    masked = Conditioning([torch.zeros(1, 3, 8)], torch.zeros(10, 8), target_mask=torch.zeros(1, 1, 2, 2))
    with pytest.raises(ValueError, match=r"target_mask must be \(B, 1, 4, 4\)"):
        model(x, t, masked)
    with pytest.raises(ValueError, match="position table of 64"):
        model(torch.zeros(1, 4, 2, 130), t, conditioning(0))
