"""Loading weights from every format, on a tiny model."""

import json
from pathlib import Path

import pytest
import torch
from comfyui_ace.ace.model.config import ACEConfig
from comfyui_ace.ace.model.transformer import ACEModel
from comfyui_ace.ace.weights.checkpoint import (
    CheckpointError,
    config_tensors,
    load_model,
    read_checkpoint,
    to_model_keys,
    to_published_keys,
)
from safetensors.torch import save_file

from .tiny_weights import (  # noqa: F401
    CONFIG,
    HEADER,
    assert_same,
    tiny_file_fixture,
    tiny_model_fixture,
    tiny_weights_fixture,
)


def published_size():
    """A state dict with the published width and depth whose tensors cost no memory."""
    meta = to_published_keys(ACEModel(ACEConfig(), device="meta").state_dict())
    return {name: torch.zeros(()).expand(tensor.shape) for name, tensor in meta.items()}


# Names


def test_names_go_back_and_forth(tiny_model, tiny_weights):
    assert "blocks.0.scale_shift_table" in tiny_weights
    assert "final_layer.scale_shift_table" in tiny_weights
    assert to_model_keys(tiny_weights).keys() == tiny_model.state_dict().keys()
    assert to_model_keys(to_model_keys(tiny_weights)).keys() == tiny_model.state_dict().keys()
    assert to_published_keys(tiny_weights).keys() == tiny_weights.keys()


# Formats


def test_safetensors(tiny_file, tiny_weights):
    checkpoint = read_checkpoint(tiny_file)
    assert checkpoint.source == "safetensors"
    assert checkpoint.config == CONFIG
    assert checkpoint.metadata == HEADER
    assert checkpoint.state_dict.keys() == tiny_weights.keys()
    assert_same(load_model(tiny_file), tiny_weights, rtol=0, atol=0)


@pytest.mark.parametrize(
    "wrap", [lambda sd: sd, lambda sd: {"state_dict": sd, "epoch": 3}, lambda sd: {"model": {"ema": sd}}]
)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_pth_wrapped_or_not(tmp_path, tiny_weights, wrap, zipped):
    path = tmp_path / "ace.pth"
    torch.save(wrap(tiny_weights | config_tensors(CONFIG)), path, _use_new_zipfile_serialization=zipped)
    checkpoint = read_checkpoint(path)
    assert checkpoint.source == "published .pth"
    assert checkpoint.config == CONFIG
    assert_same(load_model(path), tiny_weights, rtol=0, atol=0)


def test_published_shape_needs_no_metadata(tmp_path):
    path = tmp_path / "ace_0.6b_512px.pth"
    torch.save({"state_dict": published_size()}, path)
    assert path.stat().st_size < 1e6
    config = read_checkpoint(path).config
    assert (config.hidden_size, config.depth, config.num_heads) == (1152, 28, 16)


def test_unknown_shape_without_metadata_is_an_error(tmp_path, tiny_weights):
    path = tmp_path / "ace.safetensors"
    save_file(tiny_weights, path)
    with pytest.raises(CheckpointError, match="num_heads"):
        read_checkpoint(path)


@pytest.mark.parametrize("prefix", ["module.", "model.", "diffusion_model.", "_orig_mod.", "module.model."])
def test_prefixes_are_taken_off(tmp_path, tiny_weights, prefix):
    path = tmp_path / "ace.safetensors"
    save_file({prefix + name: tensor for name, tensor in tiny_weights.items()}, path, metadata=HEADER)
    assert_same(load_model(path), tiny_weights, rtol=0, atol=0)


def test_comfyui_model_save(tmp_path, tiny_weights):
    path = tmp_path / "saved.safetensors"
    saved = {
        f"model.diffusion_model.{name}": tensor for name, tensor in (tiny_weights | config_tensors(CONFIG)).items()
    }
    save_file(saved, path, metadata={"prompt": "{}"})
    assert read_checkpoint(path).source == "ComfyUI ModelSave"
    assert read_checkpoint(path).config == CONFIG
    assert_same(load_model(path), tiny_weights, rtol=0, atol=0)


def test_comfyui_model_save_keeps_the_trained_size(tmp_path, tiny_weights):
    saved = tiny_weights | config_tensors(CONFIG, 4096)
    save_file({f"model.diffusion_model.{name}": tensor for name, tensor in saved.items()}, tmp_path / "a.safetensors")
    assert read_checkpoint(tmp_path / "a.safetensors").max_tokens == 4096


def test_comfyui_save_checkpoint_with_vae_and_text_encoder(tmp_path, tiny_weights):
    path = tmp_path / "saved.safetensors"
    saved = {f"model.diffusion_model.{name}": tensor for name, tensor in tiny_weights.items()}
    saved["first_stage_model.decoder.conv_in.weight"] = torch.zeros(4, 4, 3, 3)
    saved["text_encoders.t5xxl.transformer.shared.weight"] = torch.zeros(4, 4)
    save_file(saved, path, metadata=HEADER)
    assert_same(load_model(path), tiny_weights, rtol=0, atol=0)


def test_names_of_the_module_are_read_too(tmp_path, tiny_weights):
    path = tmp_path / "ace.safetensors"
    save_file(to_model_keys(tiny_weights), path, metadata=HEADER)
    assert_same(load_model(path), tiny_weights, rtol=0, atol=0)


def test_the_content_decides_not_the_extension(tmp_path, tiny_weights):
    save_file(tiny_weights, tmp_path / "a.pth", metadata=HEADER)
    torch.save(tiny_weights | config_tensors(CONFIG), tmp_path / "b.safetensors")
    assert_same(load_model(tmp_path / "a.pth"), tiny_weights, rtol=0, atol=0)
    assert_same(load_model(tmp_path / "b.safetensors"), tiny_weights, rtol=0, atol=0)


# Dtypes


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2])
@pytest.mark.parametrize("container", ["safetensors", "pth"])
def test_storage_dtypes(tmp_path, tiny_weights, stored, container):
    small = {name: tensor.to(stored) for name, tensor in tiny_weights.items()}
    path = tmp_path / f"ace.{container}"
    if container == "pth":
        torch.save(small | config_tensors(CONFIG), path)
    else:
        save_file(small, path, metadata=HEADER)
    assert read_checkpoint(path).state_dict["t_block.1.weight"].dtype == stored
    for dtype in (torch.float32, torch.bfloat16):
        loaded = load_model(path, dtype=dtype)
        assert {p.dtype for p in loaded.parameters()} == {dtype}
        assert_same(loaded, small, rtol=0, atol=0)


def scaled(weights, spelling, scale_shape=()):
    """What ComfyUI's scaled fp8 checkpoints hold: matrices as fp8 with a scale beside each."""
    result = {}
    for name, tensor in weights.items():
        if tensor.ndim != 2 or not name.endswith(".weight"):
            result[name] = tensor
            continue
        layer = name.removesuffix(".weight")
        rows = tensor.abs().amax(dim=1) if scale_shape else tensor.abs().max()
        scale = (rows / 448.0).reshape(scale_shape or ())
        result[name] = (tensor / (scale[:, None] if scale_shape else scale)).to(torch.float8_e4m3fn)
        if spelling == "old":
            result[f"{layer}.scale_weight"], result[f"{layer}.scale_input"] = scale, torch.tensor(1.0)
        else:
            result[f"{layer}.weight_scale"], result[f"{layer}.input_scale"] = scale, torch.tensor(1.0)
            result[f"{layer}.comfy_quant"] = torch.tensor(
                list(json.dumps({"format": "float8_e4m3fn"}).encode()), dtype=torch.uint8
            )
    if spelling == "old":
        result["scaled_fp8"] = torch.empty(0, dtype=torch.float8_e4m3fn)
    return result


@pytest.mark.parametrize("spelling", ["old", "new"])
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_scaled_fp8_is_scaled_back(tmp_path, tiny_weights, spelling, prefix):
    path = tmp_path / "ace_fp8_scaled.safetensors"
    save_file({prefix + name: tensor for name, tensor in scaled(tiny_weights, spelling).items()}, path, metadata=HEADER)
    loaded = to_published_keys(load_model(path).state_dict())
    for name, tensor in tiny_weights.items():
        exact = tensor.ndim != 2 or not name.endswith(".weight")
        # e4m3 has three mantissa bits: half a step is 1/16; below the largest value / 448 / 64 it is subnormal
        tolerance = {"rtol": 0, "atol": 0} if exact else {"rtol": 1 / 16, "atol": float(tensor.abs().max()) * 2e-5}
        torch.testing.assert_close(loaded[name], tensor, **tolerance)


def test_scaled_fp8_with_a_scale_for_each_row(tmp_path, tiny_weights):
    path = tmp_path / "ace.safetensors"
    by_row = {n: t for n, t in tiny_weights.items() if n.startswith("blocks.0.attn.q")}
    save_file(tiny_weights | scaled(by_row, "new", scale_shape=(32,)), path, metadata=HEADER)
    loaded = load_model(path).state_dict()["blocks.0.attn.q.weight"]
    torch.testing.assert_close(loaded, tiny_weights["blocks.0.attn.q.weight"], rtol=1 / 16, atol=1e-5)


def test_a_scale_beside_a_weight_that_is_not_fp8_is_refused(tmp_path, tiny_weights):
    """ComfyUI 0.8 with a newer comfy-kitchen saves quantised models so; the weight's bytes are then meaningless."""
    path = tmp_path / "ace.safetensors"
    save_file(tiny_weights | {"t_block.1.weight_scale": torch.tensor(0.5)}, path, metadata=HEADER)
    with pytest.raises(CheckpointError, match=r"t_block\.1\.weight is stored as float32 but comes with a quantis"):
        read_checkpoint(path)


# The model that comes out


def test_loaded_model_is_ready_and_trainable(tiny_file, tiny_model):
    loaded = load_model(tiny_file)
    assert not loaded.training
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert not any(tensor.is_meta for tensor in (*loaded.parameters(), *loaded.buffers()))
    assert loaded.config == CONFIG


def test_training_a_loaded_model_leaves_the_file_alone(tiny_file, tiny_weights):
    """Weights are memory-mapped: a write to them must stay in memory."""
    for path in (tiny_file, tiny_file.with_suffix(".pth")):
        torch.save(tiny_weights | config_tensors(CONFIG), tiny_file.with_suffix(".pth"))
        before = path.read_bytes()
        loaded = load_model(path)
        with torch.no_grad():
            for parameter in loaded.parameters():
                parameter.add_(1.0)
        assert path.read_bytes() == before
        assert_same(load_model(path), tiny_weights, rtol=0, atol=0)


# Incomplete ACE files


def test_missing_unexpected_and_misshaped_tensors_are_named_in_one_error(tmp_path, tiny_weights):
    path = tmp_path / "ace.safetensors"
    tiny_weights = dict(tiny_weights)
    del tiny_weights["blocks.1.attn.q.weight"]
    tiny_weights["blocks.1.extra"] = torch.zeros(1)
    tiny_weights["t_embedder.mlp.2.bias"] = torch.zeros(7)
    save_file(tiny_weights, path, metadata=HEADER)
    with pytest.raises(CheckpointError) as caught:
        load_model(path)
    text = str(caught.value)
    assert "1 missing (blocks.1.attn.q.weight)" in text
    assert "1 unexpected (blocks.1.extra)" in text
    assert "t_embedder.mlp.2.bias [7] instead of [32]" in text
    assert "looks like an ACE model of width 32 with 2 blocks" in text


def test_a_needed_tensor_that_is_missing_is_an_error_of_ours(tmp_path, tiny_weights):
    path = tmp_path / "ace.safetensors"
    save_file({n: t for n, t in tiny_weights.items() if n != "x_embedder.proj.weight"}, path, metadata=HEADER)
    with pytest.raises(CheckpointError, match=r"x_embedder\.proj\.weight"):
        read_checkpoint(path)


def test_parity_weights_load():
    path = Path(__file__).parents[2] / "parity" / "weights.safetensors"
    assert load_model(path).config == ACEConfig(hidden_size=128, depth=3, num_heads=4, text_width=64, max_seq_len=64)
