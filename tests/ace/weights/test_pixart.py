"""Initialising ACE from PixArt-α."""

import logging

import pytest
import torch
from comfyui_ace.ace.weights.checkpoint import (
    CheckpointError,
    config_tensors,
    load_model,
    read_checkpoint,
)
from safetensors.torch import save_file

from .tiny_weights import CONFIG, HEADER


def pixart(config=CONFIG, tokens=120, micro=False):
    """A state dict with the names and shapes of PixArt's original code."""
    torch.manual_seed(1)
    width, text = config.hidden_size, config.text_width
    shapes = {
        "pos_embed": (1, 16, width),
        "x_embedder.proj.weight": (width, 4, 2, 2),
        "x_embedder.proj.bias": (width,),
        "y_embedder.y_embedding": (tokens, text),
        "final_layer.scale_shift_table": (2, width),
    }
    linears = {
        "t_embedder.mlp.0": (width, 256),
        "t_embedder.mlp.2": (width, width),
        "t_block.1": (6 * width, width),
        "y_embedder.y_proj.fc1": (width, text),
        "y_embedder.y_proj.fc2": (width, width),
        "final_layer.linear": (32, width),
    }
    for index in range(config.depth):
        block = f"blocks.{index}"
        shapes[f"{block}.scale_shift_table"] = (6, width)
        linears |= {
            f"{block}.attn.qkv": (3 * width, width),
            f"{block}.attn.proj": (width, width),
            f"{block}.cross_attn.q_linear": (width, width),
            f"{block}.cross_attn.kv_linear": (2 * width, width),
            f"{block}.cross_attn.proj": (width, width),
            f"{block}.mlp.fc1": (4 * width, width),
            f"{block}.mlp.fc2": (width, 4 * width),
        }
    if micro:
        linears |= {f"{name}.mlp.{k}": (width // 3, 256) for name in ("csize_embedder", "ar_embedder") for k in (0, 2)}
    for name, shape in linears.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return {name: torch.randn(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("micro", [False, True])
def test_pixart_initialises_an_ace_model(tmp_path, caplog, micro):
    source = pixart(micro=micro)
    path = tmp_path / "PixArt-XL-2-512x512.pth"
    torch.save({"state_dict": source | config_tensors(CONFIG)}, path)
    with caplog.at_level(logging.WARNING):
        checkpoint = read_checkpoint(path)
    assert checkpoint.source == "PixArt-α"
    assert "not ACE" in caplog.text
    assert ("left out" in caplog.text) == micro

    model = load_model(path)
    x = torch.randn(5, 32)
    block, names = model.blocks[1], "blocks.1"
    for attention, fused, letters in (
        (block.attn, "attn.qkv", "qkv"),
        (block.cross_attn, "cross_attn.kv_linear", "kv"),
    ):
        together = torch.nn.functional.linear(x, source[f"{names}.{fused}.weight"], source[f"{names}.{fused}.bias"])
        apart = torch.cat([getattr(attention, letter)(x) for letter in letters], dim=-1)
        torch.testing.assert_close(apart, together)
        assert torch.equal(attention.norm_q.weight, torch.ones(32))
    torch.testing.assert_close(block.attn.o.weight, source[f"{names}.attn.proj.weight"])
    torch.testing.assert_close(block.cross_attn.q.weight, source[f"{names}.cross_attn.q_linear.weight"])
    torch.testing.assert_close(block.cross_attn.o.weight, source[f"{names}.cross_attn.proj.weight"])
    torch.testing.assert_close(model.y_embedder.fc2.bias, source["y_embedder.y_proj.fc2.bias"])
    # The mask channel is silent, the latent's are PixArt's.
    latent = torch.randn(1, 4, 8, 8)
    alone = torch.nn.functional.conv2d(
        latent, source["x_embedder.proj.weight"], source["x_embedder.proj.bias"], stride=2
    )
    both = model.x_embedder.proj(torch.cat((latent, torch.randn(1, 1, 8, 8)), dim=1))
    torch.testing.assert_close(both, alone)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_pixart_in_other_dtypes(tmp_path, dtype):
    path = tmp_path / "pixart.safetensors"
    save_file({name: tensor.to(dtype) for name, tensor in pixart().items()}, path, metadata=HEADER)
    assert {t.dtype for t in read_checkpoint(path).state_dict.values()} == {dtype}
    assert load_model(path).dtype == torch.float32


def test_pixart_sigma_is_refused(tmp_path):
    path = tmp_path / "PixArt-Sigma.pth"
    torch.save(pixart(tokens=300), path)
    with pytest.raises(CheckpointError, match=r"SDXL VAE.*PixArt-α instead"):
        read_checkpoint(path)
