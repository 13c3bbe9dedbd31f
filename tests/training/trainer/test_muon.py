"""Muon: its steps are PyTorch's, what it moves, exact resume, several processes, what it is not for."""

from __future__ import annotations

import pytest
import torch
from comfyui_ace.ace.model.config import ACEConfig
from comfyui_ace.ace.model.transformer import ACEModel
from comfyui_ace.ace.weights.init import initialize_weights
from comfyui_ace.training.trainer.config import OptimizerSection
from comfyui_ace.training.trainer.errors import ConfigError
from comfyui_ace.training.trainer.learning.muon import Muon
from comfyui_ace.training.trainer.learning.optimizer import make_optimizers, set_rates
from comfyui_ace.training.trainer.run import train
from trainer_runs import (
    assert_equal_tensors,
    checkpoint,
    finish_processes,
    join_run,
    losses,
    run,
    workshop_fixture,  # noqa: F401
)

MUON = {"optimizer__name": "muon"}
SHAPE = ACEConfig(hidden_size=32, depth=2, num_heads=2, text_width=16, max_seq_len=16)


@pytest.mark.parametrize("shape", [(8, 8), (24, 8), (8, 24)])
@pytest.mark.parametrize("options", [{}, {"nesterov": False}, {"adjust_lr_fn": "match_rms_adamw", "weight_decay": 0.1}])
def test_its_steps_are_those_of_pytorch(shape, options):
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(shape, generator=generator)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    optimizers = [
        kind([parameter], lr=0.1, **options) for kind, parameter in ((Muon, ours), (torch.optim.Muon, theirs))
    ]
    for _ in range(3):
        gradient = torch.randn(shape, generator=generator)
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
    # PyTorch's iteration has eight bits of mantissa.
    moved, wanted = (parameter.detach() - start for parameter in (ours, theirs))
    assert (moved - wanted).norm() < 0.03 * wanted.norm()


def test_a_step_has_singular_values_near_one():
    parameter = torch.nn.Parameter(torch.zeros(16, 48))
    optimizer = Muon([parameter], lr=1.0, weight_decay=0.0)
    parameter.grad = (
        torch.randn(16, 48, generator=torch.Generator().manual_seed(2)) * torch.logspace(0, -2, 16)[:, None]
    )
    optimizer.step()
    values = torch.linalg.svdvals(parameter.detach())
    assert values.min() > 0.3 and values.max() < 1.3


def test_it_moves_the_matrices_of_the_blocks_and_adamw_all_else():
    model = initialize_weights(ACEModel(SHAPE))
    muon, adamw = make_optimizers(model, OptimizerSection(name="muon"))
    assert isinstance(muon, Muon) and isinstance(adamw, torch.optim.AdamW)
    names = {parameter: name for name, parameter in model.named_parameters()}
    matrices = {names[p] for group in muon.param_groups for p in group["params"]}
    rest = {names[p] for group in adamw.param_groups for p in group["params"]}
    assert matrices == {
        f"blocks.{k}.{layer}.weight"
        for k in range(2)
        for layer in (*(f"{a}.{w}" for a in ("attn", "cross_attn") for w in "qkvo"), "mlp.fc1", "mlp.fc2")
    }
    assert not matrices & rest and matrices | rest == set(names.values())


def test_both_rates_rise_and_fall_together():
    optimizers = make_optimizers(initialize_weights(ACEModel(SHAPE)), OptimizerSection(name="muon", learning_rate=0.5))
    for share in (0.1, 1.0, 0.25):
        set_rates(optimizers, share)
        assert [o.param_groups[0]["lr"] for o in optimizers] == [
            pytest.approx(0.02 * share),
            pytest.approx(0.5 * share),
        ]


def test_it_learns(workshop, tmp_path):
    found = losses(run(workshop.config(tmp_path / "run", steps=40, optimizer__learning_rate=2e-3, **MUON)))
    assert sum(found[-8:]) < 0.75 * sum(found[:8])


def test_a_stopped_run_goes_on_bit_for_bit(workshop, tmp_path):
    settings = {"steps": 6, "ema": 0.9, "optimizer__schedule": "cosine", "optimizer__warmup_steps": 2, **MUON}
    whole = run(workshop.config(tmp_path / "whole", **settings))
    halves = workshop.config(tmp_path / "halves", **settings)
    first, second = run(halves, stop_at=3), run(halves)
    assert losses(first) + losses(second) == losses(whole)
    found = checkpoint(tmp_path / "halves", 6)
    assert_equal_tensors(found, checkpoint(tmp_path / "whole", 6))
    kinds = {name.rpartition("|")[2] for name in found if name.startswith("optimizer:")}
    assert kinds == {"momentum_buffer", "exp_avg", "exp_avg_sq", "step"}


def worker(rank: int, processes: int, port: int, table: dict) -> None:
    join_run(rank, processes, port)
    from comfyui_ace.training.trainer.config_file import make_config

    train(make_config(table))


def test_two_processes_equal_one_with_the_doubled_batch(workshop, tmp_path):
    changes = {"steps": 3, "optimizer__eps": 0.01, **MUON}
    run(workshop.config(tmp_path / "one", batch_size=4, **changes))
    finish_processes(worker, 2, workshop.table(tmp_path / "two", batch_size=2, **changes))
    one, two = checkpoint(tmp_path / "one", 3), checkpoint(tmp_path / "two", 3)
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-4, msg=name)


def test_it_is_refused_for_a_lora(workshop, tmp_path):
    with pytest.raises(ConfigError, match="muon, which steps whole matrices"):
        workshop.config(tmp_path / "run", method="lora", model={"bundle": str(workshop.bundle)}, **MUON)


@pytest.mark.parametrize("changes", [{"momentum": 1.0}, {"iterations": 0}, {"scale": "large"}, {"betas": [0.9, 0.99]}])
def test_its_settings_are_checked(workshop, tmp_path, changes):
    (name,) = changes
    with pytest.raises(ConfigError, match=f"optimizer.muon.{name}"):
        workshop.config(tmp_path / "run", optimizer__muon=changes, **MUON)


def test_a_run_does_not_change_its_optimiser(workshop, tmp_path):
    run(workshop.config(tmp_path / "run", steps=2))
    with pytest.raises(ConfigError, match=r"optimizer\.name changed from 'adamw' to 'muon'"):
        run(workshop.config(tmp_path / "run", steps=3, **MUON))
