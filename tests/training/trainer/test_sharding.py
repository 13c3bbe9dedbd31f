"""Checkpoints of a model whose weights are spread over processes (FSDP) are those of the whole model.

accelerate offers FSDP on accelerators only, so this shards by PyTorch itself, on two CPU processes.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from comfyui_ace.ace.model.conditioning import Conditioning
from comfyui_ace.ace.model.config import ACEConfig
from comfyui_ace.ace.model.sampler import sample
from comfyui_ace.ace.model.transformer import ACEModel
from comfyui_ace.ace.weights.init import initialize_weights
from comfyui_ace.training.trainer.config import LoraSection, OptimizerSection
from comfyui_ace.training.trainer.engine.state import (
    gather_model,
    gather_optimizers,
    restore_model,
    restore_optimizers,
)
from comfyui_ace.training.trainer.learning.adapters import add_adapters
from comfyui_ace.training.trainer.learning.optimizer import EMA, clip_gradients, make_optimizers
from comfyui_ace.training.trainer.monitoring.samples import ShardedModel
from safetensors.torch import load_file, save_file
from trainer_runs import finish_processes, join_run

SHAPE = ACEConfig(hidden_size=32, depth=2, num_heads=2, text_width=16, max_seq_len=16)
SETTINGS = {
    "adamw": OptimizerSection(learning_rate=0.01, eps=0.01),
    "muon": OptimizerSection(name="muon", learning_rate=0.01, eps=0.01),
}


def build():
    model = initialize_weights(ACEModel(SHAPE), seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".norm_k." not in name)
    return model


def inputs():
    generator = torch.Generator().manual_seed(3)
    x, reference = (torch.randn(2, 4, 4, 4, generator=generator) for _ in range(2))
    context = [torch.randn(2, 3, 16, generator=generator) for _ in range(2)]
    table = torch.randn(10, 16, generator=generator)
    return x, torch.tensor([10, 900]), Conditioning(context, table, references=[reference])


def train_step(model, optimizers, ema, step: int) -> None:
    model(*inputs()).square().mean().backward()
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    ema.update(step)


def parts_of(model, optimizer: str = "adamw"):
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return make_optimizers(model, SETTINGS[optimizer]), EMA(trained, 0.5)


def everything(model, optimizers, ema) -> dict[str, torch.Tensor]:
    gathered = {f"model:{k}": v for k, v in gather_model(model).items()}
    gathered |= {f"optimizer:{k}": v for k, v in gather_optimizers(model, optimizers).items()}
    with ema.applied():
        gathered |= {f"average:{k}": v for k, v in gather_model(model).items()}
    return gathered


def draw(model) -> torch.Tensor:
    x, _, conditioning = inputs()
    return sample(model, x, conditioning, conditioning.map(torch.neg), steps=2)


def sharded(model, rank: int, processes: int, port: int):
    """The model, spread over this process and the others."""
    join_run(rank, processes, port)
    torch.distributed.init_process_group("gloo")
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (processes,))
    for block in model.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def worker(rank: int, processes: int, port: int, folder: Path, name: str) -> None:
    """Goes on from a whole checkpoint for a step, sharded, and gathers the result."""
    model = sharded(build(), rank, processes, port)
    optimizers, ema = parts_of(model, name)
    stored = load_file(folder / "before.safetensors")
    for prefix, restore in (("average:", restore_model), ("model:", restore_model)):
        restore(model, {k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)})
        if prefix == "average:":
            ema.reset()
    prefix = "optimizer:"
    moments = {k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)}
    restore_optimizers(model, optimizers, moments)
    train_step(model, optimizers, ema, 2)
    gathered = everything(model, optimizers, ema)
    with torch.no_grad():
        drawn = draw(ShardedModel(model, torch.device("cpu"), torch.float32))
    if rank == 0:
        save_file({**gathered, "drawn": drawn}, folder / "after.safetensors")
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_sharded_run_goes_on_from_a_whole_one(tmp_path, name):
    model = build()
    optimizers, ema = parts_of(model, name)
    train_step(model, optimizers, ema, 1)
    save_file(everything(model, optimizers, ema), tmp_path / "before.safetensors")
    finish_processes(worker, 2, tmp_path, name)
    train_step(model, optimizers, ema, 2)
    wanted = {**everything(model, optimizers, ema), "drawn": draw(model)}
    after = load_file(tmp_path / "after.safetensors")
    assert after.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(after[name], tensor, rtol=1e-4, atol=1e-6, msg=name)


def adapted_model(kind: str = "lora"):
    """As a bf16 run has it: frozen weights in bfloat16, adapters in float32, both trained a little."""
    model = add_adapters(build().bfloat16(), LoraSection(rank=2, adapter=kind), 2.0, seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(4)))
    return model


MODELS = {"full": build, **{kind: partial(adapted_model, kind) for kind in ("lora", "dora", "lokr")}}
LIMIT = 1e-4


def clipped(model, limit: float) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The norm that is reported, and the gradients that are left."""
    with torch.autocast("cpu", torch.bfloat16, enabled=model.blocks[0].mlp.fc1.weight.dtype == torch.bfloat16):
        model(*inputs()).float().square().mean().backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    norm = clip_gradients(trained.values(), limit)
    whole = {name: p.grad.full_tensor() if hasattr(p.grad, "full_tensor") else p.grad for name, p in trained.items()}
    return norm, whole


def clipping_worker(rank: int, processes: int, port: int, folder: Path, name: str) -> None:
    norm, gradients = clipped(sharded(MODELS[name](), rank, processes, port), LIMIT)
    save_file({**gradients, "norm": norm.reshape(1)}, folder / f"{rank}.safetensors")
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("name", MODELS)
def test_sharded_gradients_are_clipped_by_the_norm_of_all_of_them(tmp_path, name):
    finish_processes(clipping_worker, 2, tmp_path, name)
    norm, gradients = clipped(MODELS[name](), LIMIT)
    assert norm > 5 * LIMIT
    for rank in range(2):
        found = load_file(tmp_path / f"{rank}.safetensors")
        torch.testing.assert_close(found.pop("norm")[0], norm, rtol=1e-4, atol=0.0)
        assert found.keys() == gradients.keys()
        for key, tensor in gradients.items():
            torch.testing.assert_close(found[key], tensor, rtol=1e-3, atol=1e-7, msg=key)
