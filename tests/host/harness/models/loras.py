"""A small LoRA for ACE as ComfyUI's loaders read it, and the same merged by hand."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from comfyui_ace.ace.model.transformer import ACEModel
from safetensors.torch import save_file

LINEARS = ("blocks.0.attn.q", "blocks.1.cross_attn.v", "blocks.2.mlp.fc1", "y_embedder.fc2", "t_block.1")
TABLES = ("blocks.1.scale_shift_table", "final_layer.scale_shift_table")
_PREFIX = "diffusion_model"


def write_lora(model: ACEModel, path: Path, rank: int = 4) -> dict[str, torch.Tensor]:
    """Low-rank changes of some linear layers and whole differences of some modulation tables; returns the tensors."""
    generator = torch.Generator().manual_seed(3)
    weights, tensors = model.state_dict(), {}
    for name in LINEARS:
        rows, columns = weights[f"{name}.weight"].shape
        tensors[f"{_PREFIX}.{name}.lora_A.weight"] = torch.randn(rank, columns, generator=generator) * 0.1
        tensors[f"{_PREFIX}.{name}.lora_B.weight"] = torch.randn(rows, rank, generator=generator) * 0.1
    for name in TABLES:
        like = weights[f"{name}.weight"]
        tensors[f"{_PREFIX}.{name}.diff"] = torch.randn(like.shape, generator=generator) * 0.3
    save_file(tensors, path)
    return tensors


def with_lora(model: ACEModel, lora: dict[str, torch.Tensor], strength: float) -> ACEModel:
    """A copy of the model with the LoRA added to its weights."""
    model = copy.deepcopy(model)
    weights = model.state_dict()
    for name in LINEARS:
        a, b = (lora[f"{_PREFIX}.{name}.lora_{side}.weight"] for side in "AB")
        weights[f"{name}.weight"] += strength * (b @ a)
    for name in TABLES:
        weights[f"{name}.weight"] += strength * lora[f"{_PREFIX}.{name}.diff"]
    return model
