"""Key names of vision towers in OpenAI's and OpenCLIP's weights, brought to those of transformers."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

_PARTS = {
    "class_embedding": "vision_model.embeddings.class_embedding",
    "conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "ln_post.weight": "vision_model.post_layernorm.weight",
    "ln_post.bias": "vision_model.post_layernorm.bias",
}
_IN_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_BLOCK = re.compile(r"transformer\.resblocks\.(\d+)\.(.+)\.?(weight|bias)\Z")


def vision_prefix(keys: Mapping[str, torch.Tensor]) -> str | None:
    """What stands before the tower's own keys ("visual.", "module.backbone.", ""); None if these are no such weights."""
    for key in keys:
        if key.endswith("transformer.resblocks.0.attn.in_proj_weight"):
            prefix = key.removesuffix("transformer.resblocks.0.attn.in_proj_weight")
            if f"{prefix}conv1.weight" in keys:
                return prefix
    return None


def to_transformers(weights: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The tower that stands under `prefix`, by transformers' names; `proj` (D, P) becomes a linear layer's (P, D)."""
    found: dict[str, torch.Tensor] = {}
    for key, value in weights.items():
        if not key.startswith(prefix):
            continue
        inner = key[len(prefix) :]
        if inner in _PARTS:
            found[_PARTS[inner]] = value
        elif inner == "proj":
            found["visual_projection.weight"] = value.t().contiguous()
        elif match := _BLOCK.match(inner):
            found.update(_block(*match.groups(), value))
    return found


def _block(number: str, part: str, kind: str, value: torch.Tensor) -> dict[str, torch.Tensor]:
    base = f"vision_model.encoder.layers.{number}."
    if part in ("attn.in_proj_", "attn.in_proj"):
        names = (f"{base}self_attn.{letter}_proj.{kind}" for letter in "qkv")
        return dict(zip(names, value.chunk(3), strict=True))
    part = part.rstrip(".")
    return {f"{base}{_IN_BLOCK[part]}.{kind}": value} if part in _IN_BLOCK else {}
