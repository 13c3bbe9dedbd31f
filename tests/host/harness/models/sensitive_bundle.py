"""A random bundle whose result depends on everything it is given, so that a comparison of results can fail.

Freshly initialised weights predict next to no noise: whatever is asked for, the result is the starting noise. Here
another text, picture, mask, seed or guidance changes the result by a tenth and more, while rounding errors stay small.
"""

from __future__ import annotations

from pathlib import Path

import torch
from comfyui_ace.ace.bundles.bundle import Bundle
from comfyui_ace.ace.bundles.random_bundle import make_random_bundle
from comfyui_ace.ace.model.transformer import ACEModel
from comfyui_ace.ace.weights.checkpoint import load_model, save_checkpoint


def make_sensitive_bundle(folder: Path) -> Bundle:
    """Writes the random bundle with a sensitive transformer, and latents of the usual scale from its VAE."""
    bundle = make_random_bundle(folder)
    save_checkpoint(make_sensitive(load_model(bundle.dit)), bundle.dit, overwrite=True)
    vae = torch.load(bundle.vae, weights_only=True)
    vae["quant_conv.weight"] *= 30.0  # latents of a standard deviation of 1
    vae["quant_conv.bias"] *= 0.0
    torch.save(vae, bundle.vae)
    return bundle


@torch.no_grad()
def make_sensitive(model: ACEModel, seed: int = 0) -> ACEModel:
    """Redraws in place what decides how far text, pictures and modulation reach the output."""
    generator = torch.Generator().manual_seed(seed)
    for layer in (model.y_embedder.fc1, model.y_embedder.fc2, model.final_layer.linear):
        layer.weight.normal_(0.0, 0.1, generator=generator)
    for block in model.blocks:
        block.cross_attn.o.weight.normal_(0.0, 0.1, generator=generator)
        block.attn.norm_q.weight.fill_(2.0)  # sharper attention to the pictures
    for part in (*model.blocks, model.final_layer):
        part.scale_shift_table.weight.normal_(0.0, 0.5, generator=generator)
    return model
