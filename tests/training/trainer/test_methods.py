"""Learning from the model itself: what its predictions with guidance are, and what a student makes of them."""

from __future__ import annotations

import pytest
import torch
from comfyui_ace.ace.model.conditioning import Conditioning
from comfyui_ace.ace.model.config import ACEConfig
from comfyui_ace.ace.model.schedule import NoiseSchedule
from comfyui_ace.ace.model.transformer import ACEModel
from comfyui_ace.ace.weights.checkpoint import load_model
from comfyui_ace.ace.weights.init import initialize_weights
from comfyui_ace.ace.weights.lora import merge_lora, read_lora
from comfyui_ace.training.trainer.base_model import find_base_model, make_model
from comfyui_ace.training.trainer.config import LoraSection
from comfyui_ace.training.trainer.data.loader import TeacherBatch
from comfyui_ace.training.trainer.errors import ConfigError
from comfyui_ace.training.trainer.learning.adapters import add_adapters
from comfyui_ace.training.trainer.learning.objective import timestep_weights
from comfyui_ace.training.trainer.methods.consistency import ConsistencyMethod, consistent, pseudo_huber
from comfyui_ace.training.trainer.methods.guidance import GuidanceMethod
from comfyui_ace.training.trainer.methods.pairs import MixedMethod
from comfyui_ace.training.trainer.methods.teacher import Teacher
from trainer_runs import (
    assert_equal_tensors,
    checkpoint,
    losses,
    run,
    workshop_fixture,  # noqa: F401
)

SCALE, RESCALE, STEPS, ROWS = 3.0, 0.5, 4, 3
METHODS = pytest.mark.parametrize("method", ["guidance", "consistency"])


def _untrained() -> ACEModel:
    """A small model whose answers depend on everything."""
    config = ACEConfig(hidden_size=32, depth=2, num_heads=2, max_seq_len=32, text_width=16)
    model = initialize_weights(ACEModel(config), 0)
    generator = torch.Generator().manual_seed(1)
    # These start from zeros, which would leave the texts without any effect.
    for layer, std in ((model.final_layer.linear, 0.2), *((block.cross_attn.o, 1.0) for block in model.blocks)):
        torch.nn.init.normal_(layer.weight, std=std, generator=generator)
    return model.requires_grad_(False)


@pytest.fixture
def base():
    return _untrained()


@pytest.fixture(params=["lora", "dora", "lokr"])
def student(request):
    """The same model with adapters that have an effect, all of their numbers moved from where they start."""
    model = add_adapters(_untrained(), LoraSection(adapter=request.param, rank=2, factor=4), 2.0, seed=0)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


def _batch(number: int) -> TeacherBatch:
    generator = torch.Generator().manual_seed(number)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    positive = Conditioning([draw(ROWS, 3, 16), draw(ROWS, 2, 16)], draw(2, 16), references=[draw(ROWS, 4, 4, 4)])
    return TeacherBatch(
        latents=draw(ROWS, 4, 4, 4),
        noise=draw(ROWS, 4, 4, 4),
        orders=torch.stack([torch.randperm(STEPS, generator=generator) for _ in range(ROWS)]),
        weights=torch.tensor([1.0, 0.5, 2.0]),
        positive=positive,
        negative=positive.replace_context([draw(ROWS, 3, 16), draw(ROWS, 2, 16)]),
    )


def _guided(model: ACEModel, x: torch.Tensor, timestep: int, batch: TeacherBatch) -> torch.Tensor:
    """Guidance and its rescaling written out sample by sample, as the paper on schedules has them (section 3.4)."""
    with torch.no_grad():
        yes, no = (model(x, torch.full((ROWS,), timestep), given) for given in (batch.positive, batch.negative))
    rows = []
    for with_words, without in zip(yes, no, strict=True):
        strong = without + SCALE * (with_words - without)
        rescaled = strong * (with_words.std() / strong.std())
        rows.append(RESCALE * rescaled + (1 - RESCALE) * strong)
    return torch.stack(rows)


def _step(x: torch.Tensor, eps: torch.Tensor, now: int, then: int | None) -> torch.Tensor:
    alpha_bar = NoiseSchedule().alphas_cumprod
    a, b = alpha_bar[now].item(), 1.0 if then is None else alpha_bar[then].item()
    return b**0.5 * (x - (1 - a) ** 0.5 * eps) / a**0.5 + (1 - b) ** 0.5 * eps


def _teacher(model) -> Teacher:
    return Teacher(model, STEPS, SCALE, RESCALE)


TIMESTEPS = [999, 749, 499, 249]  # of four steps


def test_guidance_is_learnt_along_the_teachers_own_way(base, student):
    """The target is the base model's guided prediction with rescale, on latents that guided sampling comes by."""
    weights = timestep_weights("velocity", 10.0)
    method, batch = GuidanceMethod(_teacher(student), _batch, weights), _batch(0)
    x, states = batch.noise, []
    for now, then in zip(TIMESTEPS, [*TIMESTEPS[1:], None], strict=True):
        eps = _guided(base, x, now, batch)
        states.append((x, eps))
        x = _step(x, eps, now, then)
    seen = []
    for number in range(STEPS):  # passes of one trajectory
        found = method(number)
        for row in range(ROWS):
            state = batch.orders[row, number].item()
            noisy, target = states[state]
            with torch.no_grad():
                answer = student(noisy, torch.full((ROWS,), TIMESTEPS[state]), batch.positive)
            expected = (answer[row] - target[row]).square().mean()
            torch.testing.assert_close(found.each[row].detach(), expected, rtol=1e-4, atol=1e-5)
            assert found.timesteps[row] == TIMESTEPS[state]
            assert found.weights[row] == batch.weights[row] * weights[TIMESTEPS[state]]
            seen.append((row, state))
        assert found.each.requires_grad
    assert len(set(seen)) == ROWS * STEPS  # every state of every sample once


def test_consistency_compares_with_the_teachers_next_latent(base, student):
    method, batch = ConsistencyMethod(_teacher(student), _batch, max_weighting=10.0), _batch(7)
    found = method(7)
    alpha_bar = NoiseSchedule().alphas_cumprod.float()
    for row in range(ROWS):
        state = batch.orders[row, 0].item()
        now, then = TIMESTEPS[state], [*TIMESTEPS[1:], None][state]
        signal, sigma = alpha_bar[now].sqrt(), (1 - alpha_bar[now]).sqrt()
        noisy = signal * batch.latents + sigma * batch.noise
        nearer = _step(noisy, _guided(base, noisy, now, batch), now, then)[row]

        def jump(x: torch.Tensor, timestep: int, row: int = row) -> torch.Tensor:
            with torch.no_grad():
                eps = student(x.expand(ROWS, -1, -1, -1), torch.full((ROWS,), timestep), batch.positive)[row]
            x_0 = (x - (1 - alpha_bar[timestep]).sqrt() * eps) / alpha_bar[timestep].sqrt()
            time = 10.0 * (timestep + 1)
            return 0.25 / (time**2 + 0.25) * x + time / (time**2 + 0.25) ** 0.5 * x_0

        target = nearer if then is None else jump(nearer, then)
        error = ((jump(noisy[row], now) - target).square() + 1e-6).sqrt().mean() - 1e-3
        # At the noisiest timestep an error of eps is one of 157 times that here; it counts as at most the root of 10.
        expected = error * min(1.0, 10.0**0.5 * signal.item())
        torch.testing.assert_close(found.each[row].detach(), expected, rtol=1e-3, atol=1e-4)


def test_the_consistency_function_is_the_identity_at_the_clean_end():
    x, eps = torch.randn(2, 3, 4, 5, 5)
    assert torch.equal(consistent(eps, x, torch.full((3,), -1)), x)
    far = consistent(eps, x, torch.full((3,), 600))
    signal, sigma = NoiseSchedule().signal_and_noise(600)
    torch.testing.assert_close(far, (x - sigma * eps) / signal, rtol=1e-4, atol=1e-4)
    assert pseudo_huber(torch.zeros(2, 3)).tolist() == [0.0, 0.0]


def test_the_teacher_is_the_model_without_its_lora(base, student):
    batch = _batch(0)
    times = torch.full((ROWS,), 500)
    found = _teacher(student).predict(batch.noise, times, batch.positive, batch.negative)
    plain = base(batch.noise, times, batch.positive)
    assert not torch.allclose(student(batch.noise, times, batch.positive), plain, atol=1e-2)
    assert not torch.allclose(found, plain, atol=1e-2)
    torch.testing.assert_close(found, _guided(base, batch.noise, 500, batch), rtol=1e-5, atol=1e-5)
    adapters = ("lora_", "lokr_", "magnitude")
    assert all(p.requires_grad == any(part in name for part in adapters) for name, p in student.named_parameters())


@pytest.mark.parametrize(("share", "first", "second"), [(0.0, 0, 8), (0.25, 2, 6), (1.0, 8, 0)])
def test_methods_take_turns(share, first, second):
    calls = {"first": [], "second": []}
    mixed = MixedMethod(calls["first"].append, calls["second"].append, share)
    for number in range(8):
        mixed(number)
    assert calls == {"first": list(range(first)), "second": list(range(second))}


def _settings(workshop, method: str, **more):
    return {
        "method": "lora",
        "model": {"bundle": str(workshop.bundle)},
        "lora__rank": 4,
        "distil": {"method": method, "steps": 3, "guidance_scale": 4.0, "pairs_share": 0.25},
        **more,
    }


@METHODS
def test_a_stopped_run_goes_on_bit_for_bit(workshop, tmp_path, method):
    """Stopped in the midst of a trajectory, which is then sampled once more."""
    settings = _settings(workshop, method, steps=6, ema=0.9, lora__dropout=0.2)
    whole = run(workshop.config(tmp_path / "whole", **settings))
    halves = workshop.config(tmp_path / "halves", **settings)
    assert losses(run(halves, stop_at=2)) + losses(run(halves)) == losses(whole)
    assert_equal_tensors(checkpoint(tmp_path / "halves", 6), checkpoint(tmp_path / "whole", 6))
    sampling = read_lora(tmp_path / "halves" / "halves.safetensors").sampling
    assert (sampling.steps, sampling.guidance_scale) == (3, 1.0)  # the sampler is told to leave guidance out


@METHODS
def test_a_short_training_lowers_the_loss(method):
    """Of two batches, measured before and after on all that the teacher comes by with them."""
    torch.manual_seed(0)
    model = add_adapters(_untrained(), LoraSection(rank=8), 8.0, seed=0)

    def load(number: int) -> TeacherBatch:
        return _batch(number % 2)

    if method == "guidance":
        method = GuidanceMethod(_teacher(model), load, torch.ones(1000))
    else:
        method = ConsistencyMethod(_teacher(model), load, max_weighting=10.0)

    def measure() -> float:
        with torch.no_grad():
            return sum(method(number).each.mean().item() for number in range(2 * STEPS))

    optimizer, before = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=5e-3), measure()
    for number in range(60):
        method(number).each.mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert measure() < 0.6 * before


def test_a_whole_model_has_no_teacher(workshop, tmp_path):
    with pytest.raises(ConfigError, match="the model without its LoRA, and method is full"):
        workshop.config(tmp_path, distil={"method": "guidance"})


def test_a_finished_lora_can_be_the_teacher(workshop, tmp_path):
    """It is merged into the weights that training starts from, and the run knows it from one without."""
    lora = {"method": "lora", "model": {"bundle": str(workshop.bundle)}, "lora__rank": 2, "steps": 2}
    run(workshop.config(tmp_path / "first", **lora))
    first = tmp_path / "first" / "first.safetensors"
    taught = workshop.config(
        tmp_path / "second", **lora | {"model": {"bundle": str(workshop.bundle), "lora": str(first)}}
    )
    files = find_base_model(taught.model)
    base = load_model(files.weights)
    merged = make_model(taught, files, base.config.text_width, "cpu")
    expected = merge_lora(load_model(files.weights), read_lora(first))
    for name in ("blocks.0.attn.q", "blocks.1.mlp.fc2"):
        start = merged.get_submodule(name).base_layer.weight
        assert torch.equal(start, expected.get_submodule(name).weight)
        assert not torch.equal(start, base.get_submodule(name).weight)
    run(taught)
    metadata = read_lora(tmp_path / "second" / "second.safetensors").metadata
    assert metadata["base_model"].endswith(" with first")
    assert metadata["base_model_sha256"] != read_lora(first).metadata["base_model_sha256"]
