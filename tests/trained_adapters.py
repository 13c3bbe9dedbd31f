"""Adapters trained for a few steps, and the weights that they amount to, for tests that compare what files say."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from comfyui_ace.ace.model.conditioning import Conditioning
from comfyui_ace.ace.model.config import ACEConfig
from comfyui_ace.ace.model.transformer import ACEModel
from comfyui_ace.ace.weights.init import initialize_weights
from comfyui_ace.training.trainer.config import LoraSection
from comfyui_ace.training.trainer.learning.adapters import adapter_tensors, add_adapters
from safetensors.torch import save_file

EVERYWHERE = ["attn", "cross_attn", "mlp", "x_embedder", "t_block", "y_embedder", "final_layer"]
KINDS = {
    "lora": LoraSection(rank=3, targets=EVERYWHERE),
    "dora": LoraSection(rank=3, targets=EVERYWHERE, adapter="dora"),
    "lokr": LoraSection(rank=3, targets=EVERYWHERE, adapter="lokr", factor=2),
    "lokr-whole": LoraSection(rank=999, targets=EVERYWHERE, adapter="lokr", factor=4),
}
ALPHA = 6.0


def inputs(config: ACEConfig, batch: int = 2) -> tuple[torch.Tensor, torch.Tensor, Conditioning]:
    """Arguments of a forward pass of any model: a latent of 4 x 4, one reference, three tokens of text a frame."""
    generator = torch.Generator().manual_seed(3)
    x, reference = (torch.randn(batch, 4, 4, 4, generator=generator) for _ in range(2))
    context = [torch.randn(batch, 3, config.text_width, generator=generator) for _ in range(2)]
    table = torch.randn(10, config.text_width, generator=generator)
    return x, torch.tensor([10, 900]), Conditioning(context, table, references=[reference])


def base_model(config: ACEConfig) -> ACEModel:
    """A plain model in which no layer is zero, as they would hide a wrong merge."""
    model = initialize_weights(ACEModel(config), seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return model


def train_adapters(base: ACEModel, settings: LoraSection, alpha: float = ALPHA, steps: int = 3) -> ACEModel:
    """A copy of a plain model with adapters that have learnt something."""
    model = add_adapters(copy.deepcopy(base), settings, alpha, seed=0)
    adapters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(adapters, lr=0.05)
    for _ in range(steps):
        model(*inputs(model.config)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def write_adapters(model: ACEModel, path: Path, alpha: float = ALPHA) -> None:
    """The file, as the end of a run writes it."""
    save_file({name: tensor.contiguous() for name, tensor in adapter_tensors(model.state_dict(), alpha).items()}, path)


@torch.no_grad()
def effective_weights(model: ACEModel) -> dict[str, torch.Tensor]:
    """The weight of each adapted layer, as its outputs for unit inputs show it; nothing is known of how it is made."""
    found = {}
    for name, layer in model.named_modules():
        if hasattr(layer, "base_layer"):
            shape = layer.base_layer.weight.shape
            units = torch.eye(shape[1:].numel()).view(-1, *shape[1:])
            outputs = layer(units) - layer(torch.zeros_like(units))
            found[name] = outputs.flatten(1).T.reshape(shape).contiguous()
    return found
