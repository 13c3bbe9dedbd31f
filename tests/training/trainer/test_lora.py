"""LoRA, DoRA, LoKr: what is trained, what is written, and that the file says the same as the model it came from."""

from __future__ import annotations

import pytest
import torch
from comfyui_ace.ace.model.config import ACEConfig
from comfyui_ace.ace.model.transformer import ACEModel
from comfyui_ace.ace.weights.init import initialize_weights
from comfyui_ace.ace.weights.lora import LoraError, merge_lora, read_lora
from comfyui_ace.training.trainer.config import LoraSection
from comfyui_ace.training.trainer.errors import ConfigError
from comfyui_ace.training.trainer.learning.adapters import add_adapters, choose_layers
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from trained_adapters import KINDS, base_model, effective_weights, inputs, train_adapters, write_adapters
from trainer_runs import run, workshop_fixture  # noqa: F401

SHAPE = ACEConfig(hidden_size=32, depth=2, num_heads=2, text_width=16, max_seq_len=16)


def trained(settings: LoraSection, alpha: float) -> tuple[ACEModel, ACEModel]:
    """A base and a copy of it with trained adapters."""
    base = base_model(SHAPE)
    return base, train_adapters(base, settings, alpha)


each_kind = pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)


@each_kind
def test_the_file_merged_into_the_base_is_the_trained_model(settings, tmp_path):
    base, model = trained(settings, alpha=6.0)
    write_adapters(model, tmp_path / "lora.safetensors", alpha=6.0)
    with torch.no_grad():
        wanted, unchanged = model(*inputs(SHAPE)), base(*inputs(SHAPE))
        merged = merge_lora(base, read_lora(tmp_path / "lora.safetensors"))(*inputs(SHAPE))
    assert (wanted - unchanged).norm() > 0.1 * unchanged.norm()
    torch.testing.assert_close(merged, wanted, rtol=1e-4, atol=1e-5)


@each_kind
def test_strength_is_a_straight_line_from_the_base_to_the_trained_weights(settings, tmp_path):
    base, model = trained(settings, alpha=6.0)
    write_adapters(model, tmp_path / "lora.safetensors", alpha=6.0)
    lora = read_lora(tmp_path / "lora.safetensors")
    effective = effective_weights(model)
    for strength in (0.0, 0.5, 1.0):
        merged = merge_lora(base_model(SHAPE), lora, strength)
        for name, weight in effective.items():
            wanted = torch.lerp(base.get_submodule(name).weight, weight, strength)
            torch.testing.assert_close(merged.get_submodule(name).weight, wanted, rtol=1e-4, atol=1e-5, msg=name)
    kinds = {type(base.get_submodule(name)) for name in effective}
    assert kinds == {torch.nn.Linear, torch.nn.Conv2d}


@each_kind
def test_training_leaves_the_base_alone(settings):
    base, model = trained(settings, alpha=2.0)
    own = {name.replace(".base_layer", ""): tensor for name, tensor in model.state_dict().items()}
    for name, tensor in base.state_dict().items():
        assert torch.equal(own[name], tensor), name


@each_kind
def test_adapters_start_without_effect_and_depend_on_the_seed(settings):
    base = base_model(SHAPE)
    models = [add_adapters(base_model(SHAPE), settings, 2.0, seed) for seed in (0, 0, 1)]
    with torch.no_grad():
        torch.testing.assert_close(models[0](*inputs(SHAPE)), base(*inputs(SHAPE)))
    first, same, other = ({n: p for n, p in m.named_parameters() if p.requires_grad} for m in models)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    assert all(parameter.dtype == torch.float32 for parameter in first.values())


@each_kind
def test_an_adapted_model_knows_its_dtype_and_device(settings):
    """Sampling asks for them; the layer that answers has an adapter here."""
    model = add_adapters(base_model(SHAPE).bfloat16(), settings, 2.0, seed=0)
    assert (model.dtype, model.device) == (torch.bfloat16, torch.device("cpu"))


@each_kind
def test_every_part_of_an_adapter_learns(settings):
    """From the second step on: at the first the zeros of one factor keep the gradient from the other."""
    before = dict(add_adapters(base_model(SHAPE), settings, 6.0, seed=0).named_parameters())
    _, model = trained(settings, alpha=6.0)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert not torch.equal(parameter, before[name]), name


@pytest.mark.parametrize("kind", ["lora", "dora", "lokr"])
def test_dropout_is_of_the_adapter_alone_and_of_training_alone(kind):
    settings = LoraSection(rank=3, adapter=kind, dropout=0.5)
    plain, dropped = (trained(s, alpha=3.0)[1] for s in (settings.model_copy(update={"dropout": 0.0}), settings))
    dropped.load_state_dict(plain.state_dict())
    with torch.no_grad():
        assert torch.equal(dropped(*inputs(SHAPE)), plain(*inputs(SHAPE)))
        dropped.train()
        assert not torch.equal(dropped(*inputs(SHAPE)), plain(*inputs(SHAPE)))
        layer, x = dropped.blocks[0].attn.q, torch.ones(1, 1, 32)
        for parameter in layer.parameters():
            if parameter.requires_grad and parameter.shape[0] != 1:  # all but DoRA's magnitudes
                parameter.zero_()
        dropped.eval()
        wanted = layer(x)
        dropped.train()
        torch.testing.assert_close(layer(x), wanted)


def test_dora_learns_the_length_of_columns(tmp_path):
    """What a file says must hold for every loader that divides by the norm of the changed columns, as the paper does."""
    _, model = trained(KINDS["dora"], alpha=6.0)
    write_adapters(model, tmp_path / "lora.safetensors", alpha=6.0)
    file = load_file(tmp_path / "lora.safetensors")
    for name, weight in effective_weights(model).items():
        scale = file[f"diffusion_model.{name}.dora_scale"]
        _, columns, *kernel = weight.shape
        assert scale.shape == (1, columns, *[1] * len(kernel))
        lengths = weight.transpose(0, 1).flatten(1).norm(dim=1)  # short columns may have turned round
        torch.testing.assert_close(lengths, scale.flatten().abs(), msg=name)


def test_lokr_is_a_kronecker_product_of_the_sizes_that_were_asked_for(tmp_path):
    base, model = trained(LoraSection(rank=2, targets=["mlp.fc1"], adapter="lokr", factor=4), alpha=8.0)
    write_adapters(model, tmp_path / "lora.safetensors", alpha=8.0)
    layer = "diffusion_model.blocks.1.mlp.fc1"  # 128 x 32
    file = {
        n.removeprefix(layer): t for n, t in load_file(tmp_path / "lora.safetensors").items() if n.startswith(layer)
    }
    shapes = {name: tuple(tensor.shape) for name, tensor in file.items()}
    assert shapes == {".lokr_w1": (4, 4), ".lokr_w2_a": (32, 2), ".lokr_w2_b": (2, 8), ".alpha": ()}
    before = base.blocks[1].mlp.fc1.weight.detach().clone()
    change = torch.kron(file[".lokr_w1"], file[".lokr_w2_a"] @ file[".lokr_w2_b"]) * (8.0 / 2)
    merge_lora(base, read_lora(tmp_path / "lora.safetensors"), strength=0.5)
    torch.testing.assert_close(base.blocks[1].mlp.fc1.weight, before + 0.5 * change)


def test_dora_files_of_rows_are_read_as_comfyui_reads_them(tmp_path):
    """Those of ACE Edit 0.1: the magnitude times |W| / |W + change|, over |W|."""
    base, layer = base_model(SHAPE), "diffusion_model.blocks.0.attn.q"
    weight = base.blocks[0].attn.q.weight.detach().clone()
    generator = torch.Generator().manual_seed(5)
    a, b = torch.randn(2, 32, generator=generator), torch.randn(32, 2, generator=generator)
    changed, wanted_lengths = weight + b @ a, torch.rand(32, 1, generator=generator) + 0.5
    scale = wanted_lengths * weight.norm(dim=1, keepdim=True) / changed.norm(dim=1, keepdim=True)
    file = {"lora_A.weight": a, "lora_B.weight": b, "alpha": torch.tensor(2.0), "dora_scale": scale}
    save_file({f"{layer}.{name}": tensor for name, tensor in file.items()}, tmp_path / "lora.safetensors")
    merge_lora(base, read_lora(tmp_path / "lora.safetensors"))
    wanted = changed / changed.norm(dim=1, keepdim=True) * wanted_lengths
    torch.testing.assert_close(base.blocks[0].attn.q.weight.detach(), wanted, rtol=1e-5, atol=1e-6)


def test_merged_weight_is_base_plus_scaled_product(tmp_path):
    base, model = trained(LoraSection(rank=2, targets=["attn.q"]), alpha=8.0)
    write_adapters(model, tmp_path / "lora.safetensors", alpha=8.0)
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


def test_dora_needs_columns_with_a_direction():
    model = base_model(SHAPE)
    with torch.no_grad():
        model.final_layer.linear.weight[:, 3:5] = 0.0
    settings = {"rank": 2, "targets": ["attn", "final_layer"]}
    with pytest.raises(ConfigError, match=r'2 columns of final_layer\.linear are all zeros.*lora\.adapter = "lora"'):
        add_adapters(model, LoraSection(**settings, adapter="dora"), 2.0, seed=0)
    add_adapters(model, LoraSection(**settings), 2.0, seed=0)


def test_targets_are_parts_of_names():
    model = base_model(SHAPE)
    assert choose_layers(model, ["attn.q"]) == ["blocks.0.attn.q", "blocks.1.attn.q"]
    assert len(choose_layers(model, ["attn"])) == 8
    with pytest.raises(ConfigError, match=r"'q_proj' is part of no layer's name.*blocks\.cross_attn\.q"):
        choose_layers(model, ["attn", "q_proj"])


def test_a_file_for_another_model_changes_nothing(tmp_path):
    _, model = trained(LoraSection(rank=2), alpha=2.0)
    write_adapters(model, tmp_path / "lora.safetensors", alpha=2.0)
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
