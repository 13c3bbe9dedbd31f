"""LoRA: what is trained, what is written, and that the file says the same as the model it came from."""

from __future__ import annotations

import pytest
import torch
from comfyui_ace.ace.model.conditioning import Conditioning
from comfyui_ace.ace.model.config import ACEConfig
from comfyui_ace.ace.model.transformer import ACEModel
from comfyui_ace.ace.weights.init import initialize_weights
from comfyui_ace.ace.weights.lora import LoraError, merge_lora, read_lora
from comfyui_ace.training.trainer.config import LoraSection
from comfyui_ace.training.trainer.errors import ConfigError
from comfyui_ace.training.trainer.learning.adapters import add_lora, choose_layers, lora_tensors
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from trainer_runs import run, workshop_fixture  # noqa: F401

SHAPE = ACEConfig(hidden_size=32, depth=2, num_heads=2, text_width=16, max_seq_len=16)


def base_model() -> ACEModel:
    model = initialize_weights(ACEModel(SHAPE), seed=1)
    with torch.no_grad():  # layers that start at zero would hide a wrong merge
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    return model


def inputs(batch: int = 2):
    generator = torch.Generator().manual_seed(3)
    x, reference = (torch.randn(batch, 4, 4, 4, generator=generator) for _ in range(2))
    context = [torch.randn(batch, 3, 16, generator=generator) for _ in range(2)]
    table = torch.randn(10, 16, generator=generator)
    return x, torch.tensor([10, 900]), Conditioning(context, table, references=[reference])


def trained(settings: LoraSection, alpha: float, steps: int = 3) -> tuple[ACEModel, ACEModel]:
    """A base and a copy of it with adapters trained for a few steps."""
    base, model = base_model(), base_model()
    add_lora(model, settings, alpha, seed=0)
    adapters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(adapters, lr=0.05)
    for _ in range(steps):
        model(*inputs()).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return base, model.eval()


def write(model: ACEModel, alpha: float, path) -> None:
    state = model.state_dict()
    save_file({name: tensor.contiguous() for name, tensor in lora_tensors(state, alpha, base=state).items()}, path)


EVERYWHERE = ["attn", "cross_attn", "mlp", "x_embedder", "t_block", "y_embedder", "final_layer"]


@pytest.mark.parametrize(
    "settings",
    [
        LoraSection(rank=3),
        LoraSection(rank=3, targets=EVERYWHERE),
        LoraSection(rank=3, targets=EVERYWHERE, dora=True),
    ],
    ids=["attention", "everywhere", "dora"],
)
def test_the_file_merged_into_the_base_is_the_trained_model(settings, tmp_path):
    base, model = trained(settings, alpha=6.0)
    write(model, 6.0, tmp_path / "lora.safetensors")
    with torch.no_grad():
        wanted, unchanged = model(*inputs()), base(*inputs())
        merged = merge_lora(base, read_lora(tmp_path / "lora.safetensors"))(*inputs())
    assert (wanted - unchanged).norm() > 0.1 * unchanged.norm()
    torch.testing.assert_close(merged, wanted, rtol=1e-4, atol=1e-5)


def test_training_leaves_the_base_alone():
    base, model = trained(LoraSection(rank=2, targets=EVERYWHERE, dora=True), alpha=2.0)
    own = {name.replace(".base_layer", ""): tensor for name, tensor in model.state_dict().items()}
    for name, tensor in base.state_dict().items():
        assert torch.equal(own[name], tensor), name


def test_adapters_start_without_effect_and_depend_on_the_seed():
    base = base_model()
    models = [add_lora(base_model(), LoraSection(rank=2), 2.0, seed) for seed in (0, 0, 1)]
    with torch.no_grad():
        torch.testing.assert_close(models[0](*inputs()), base(*inputs()))
    first, same, other = (dict(m.named_parameters())["blocks.0.attn.q.lora_A.default.weight"] for m in models)
    assert torch.equal(first, same) and not torch.equal(first, other)


def test_merged_weight_is_base_plus_scaled_product(tmp_path):
    base, model = trained(LoraSection(rank=2, targets=["attn.q"]), alpha=8.0)
    write(model, 8.0, tmp_path / "lora.safetensors")
    file = load_file(tmp_path / "lora.safetensors")
    layer = "diffusion_model.blocks.1.attn.q"
    assert {name for name in file if name.startswith(layer)} == {
        f"{layer}.lora_A.weight",
        f"{layer}.lora_B.weight",
        f"{layer}.alpha",
    }
    before = base.blocks[1].attn.q.weight.detach().clone()
    product = file[f"{layer}.lora_B.weight"] @ file[f"{layer}.lora_A.weight"] * (8.0 / 2)
    lora = read_lora(tmp_path / "lora.safetensors")
    merge_lora(base, lora, strength=0.5)
    torch.testing.assert_close(base.blocks[1].attn.q.weight, before + 0.5 * product)
    merge_lora(base, lora, strength=-0.5)
    torch.testing.assert_close(base.blocks[1].attn.q.weight, before)


def test_dora_needs_rows_with_a_direction():
    model = base_model()
    with torch.no_grad():
        model.final_layer.linear.weight[3:5] = 0.0
    settings = {"rank": 2, "targets": ["attn", "final_layer"]}
    with pytest.raises(ConfigError, match=r"2 rows of final_layer\.linear are all zeros.*lora\.dora = false"):
        add_lora(model, LoraSection(**settings, dora=True), 2.0, seed=0)
    add_lora(model, LoraSection(**settings), 2.0, seed=0)


def test_targets_are_parts_of_names():
    model = base_model()
    assert choose_layers(model, ["attn.q"]) == ["blocks.0.attn.q", "blocks.1.attn.q"]
    assert len(choose_layers(model, ["attn"])) == 8
    with pytest.raises(ConfigError, match=r"'q_proj' is part of no layer's name.*blocks\.cross_attn\.q"):
        choose_layers(model, ["attn", "q_proj"])


def test_a_file_for_another_model_changes_nothing(tmp_path):
    _, model = trained(LoraSection(rank=2), alpha=2.0)
    write(model, 2.0, tmp_path / "lora.safetensors")
    lora = read_lora(tmp_path / "lora.safetensors")
    shapes = {"wider": {"hidden_size": 64}, "shallower": {"depth": 1}}
    for change, expected in zip(shapes.values(), ("does not fit", "which this model of 1 blocks lacks"), strict=True):
        from dataclasses import replace

        other = initialize_weights(ACEModel(replace(SHAPE, **change)))
        before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
        with pytest.raises(LoraError, match=expected):
            merge_lora(other, lora)
        assert all(torch.equal(tensor, before[name]) for name, tensor in other.state_dict().items())


def test_other_files_are_refused(tmp_path):
    save_file({"transformer.x.lora_A.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    for name, expected in (("other.safetensors", "is no LoRA for ACE"), ("missing.safetensors", "cannot be opened")):
        with pytest.raises(LoraError, match=expected):
            read_lora(tmp_path / name)


def test_a_run_writes_a_lora_that_says_where_it_comes_from(workshop, tmp_path):
    changes = {"lora__rank": 2, "lora__alpha": 1.0, "export__licence": "for tests", "export__trigger": "NEGATIVE"}
    events = run(workshop.config(tmp_path / "ink", method="lora", model={"bundle": str(workshop.bundle)}, **changes))
    path = tmp_path / "ink" / "ink.safetensors"
    assert events[-1]["path"] == str(path)
    with safe_open(path, framework="pt") as file:
        metadata, names = file.metadata(), set(file.keys())
    assert all(name.startswith("diffusion_model.blocks.") for name in names)
    assert metadata["trigger"] == "NEGATIVE" and metadata["license"] == "for tests"
    assert (metadata["base_model"], metadata["rank"], metadata["alpha"]) == ("bundle", "2", "1.0")
    assert (metadata["steps"], metadata["pairs"]) == ("4", "8")
    assert len(metadata["base_model_sha256"]) == len(metadata["dataset_sha256"]) == 64
    assert read_lora(path).trigger == "NEGATIVE"
