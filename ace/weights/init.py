"""Weight initialization of an untrained model."""

from __future__ import annotations

import torch
from torch import nn

from ..model.transformer import ACEModel


@torch.no_grad()
def initialize_weights(model: ACEModel, seed: int = 0) -> ACEModel:
    """Draws initial weights in place, as DiT and PixArt-α do (Peebles & Xie 2023; Chen et al. 2023).

    Linear layers are Xavier-uniform with zero bias, embedders and the modulation are normal with a standard deviation of
    0.02, and what adds to the residual stream last (cross-attention's output, the final layer) starts at zero.

    Args:
        model: of any size.
        seed: of the weights.

    Returns:
        The same model.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            flat = module.weight.flatten(1)  # a patch convolution is a linear layer over a patch
            nn.init.xavier_uniform_(flat, generator=generator)
            module.weight.copy_(flat.view_as(module.weight))
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            module.weight.normal_(0.0, module.embedding_dim**-0.5, generator=generator)
        elif isinstance(module, nn.RMSNorm):
            nn.init.ones_(module.weight)
    embedders = (model.t_embedder.mlp[0], model.t_embedder.mlp[2], model.t_block[1])
    for layer in (*embedders, model.y_embedder.fc1, model.y_embedder.fc2):
        layer.weight.normal_(0.0, 0.02, generator=generator)
    for layer in (*(block.cross_attn.o for block in model.blocks), model.final_layer.linear):
        nn.init.zeros_(layer.weight)
    return model
