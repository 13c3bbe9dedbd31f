"""Initialises an ACE model from PixArt-α, the text-to-image model whose architecture it extends."""

from __future__ import annotations

from collections.abc import Mapping

import torch

_SIGMA_TOKENS = 300  # PixArt-Σ reads 300 text tokens, PixArt-α 120

# PixArt's position table and learned empty caption have no counterpart in ACE (RoPE; the empty text is encoded).
_UNUSED = ("pos_embed", "y_embedder.y_embedding")
# Size and aspect ratio of the multi-scale variant, which ACE sees from the positions of its tokens.
_MICRO_CONDITIONS = ("csize_embedder.", "ar_embedder.")

_RENAMES = (
    ("y_embedder.y_proj.", "y_embedder."),
    (".cross_attn.q_linear.", ".cross_attn.q."),
    (".cross_attn.proj.", ".cross_attn.o."),
    (".attn.proj.", ".attn.o."),
)
_FUSED = {".attn.qkv.": "qkv", ".cross_attn.kv_linear.": "kv"}


def is_pixart(state_dict: Mapping[str, torch.Tensor]) -> bool:
    """Whether these are the names of PixArt's original code (not of diffusers)."""
    return "t_block.1.weight" in state_dict and any(".cross_attn.kv_linear." in name for name in state_dict)


def is_pixart_sigma(state_dict: Mapping[str, torch.Tensor]) -> bool:
    """Whether a PixArt state dict (PixArt's names) is PixArt-Σ, whose latents are those of the SDXL VAE."""
    caption = state_dict.get("y_embedder.y_embedding")
    compressed = any(".attn.sr." in name for name in state_dict)
    return compressed or (caption is not None and caption.shape[-2] == _SIGMA_TOKENS)


def has_micro_conditions(state_dict: Mapping[str, torch.Tensor]) -> bool:
    """Whether this is the multi-scale variant, whose size and aspect ratio embedders are left out."""
    return any(name.startswith(_MICRO_CONDITIONS) for name in state_dict)


def from_pixart(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Turns a PixArt-α state dict into one with ACE's published names.

    Before it is trained, such a model draws like PixArt without position embeddings and ignores masks. The fused
    projections are split, the patch convolution gets a mask channel of zeros, and the QK norms, which PixArt does not
    have, start at one.

    Args:
        state_dict: PixArt's names without a prefix; patch convolution (D, 4, p, p).

    Returns:
        New tensors in the dtypes given.
    """
    result: dict[str, torch.Tensor] = {}
    for name, tensor in state_dict.items():
        if name in _UNUSED or name.startswith(_MICRO_CONDITIONS):
            continue
        fused = next((infix for infix in _FUSED if infix in name), None)
        if fused is None:
            for old, new in _RENAMES:
                name = name.replace(old, new)
            result[name] = tensor
            continue
        letters = _FUSED[fused]
        for letter, part in zip(letters, tensor.chunk(len(letters)), strict=True):
            unfused = f".{fused.split('.')[1]}.{letter}."
            result[name.replace(fused, unfused)] = part.clone()  # (D, D) or (D,), with a storage of its own
    patch = result["x_embedder.proj.weight"]  # (D, 4, p, p)
    result["x_embedder.proj.weight"] = torch.nn.functional.pad(patch, (0, 0, 0, 0, 0, 1))  # (D, 5, p, p)
    result.update(_unit_norms(result))
    return result


def _unit_norms(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """norm_q and norm_k (D,) of ones for every attention."""
    queries = [name for name in state_dict if name.endswith("attn.q.weight")]
    return {
        f"{query.removesuffix('q.weight')}norm_{letter}.weight": state_dict[query].new_ones(state_dict[query].shape[0])
        for query in queries
        for letter in "qk"
    }
