"""DoRA: the lengths of a weight's columns are learnt beside a LoRA, which is then left with their directions.

Liu et al. 2024, equation 5: W' = m · (W + ΔW) / ‖W + ΔW‖, where the norm is that of each column (one per input) and m
starts as ‖W‖, so that W' starts as W. As in section 4.3 no gradient flows through the norm.

A file holds m as ``dora_scale`` with the shape (1, in). Other trainers take the rows (one per output) and write
(out, 1): ComfyUI divides such by ‖W‖ in place of ‖W + ΔW‖, which is wrong for the usual files, and a file made for
that will be wrong once it is mended (Comfy-Org/ComfyUI#15458). With columns it divides by ‖W + ΔW‖, before and after.
"""

from __future__ import annotations

import torch
from torch import nn


def column_lengths(weight: torch.Tensor) -> torch.Tensor:
    """Euclidean length of everything that one input is multiplied with: (out, in, …) -> (1, in, 1, …)."""
    lengths = weight.transpose(0, 1).flatten(1).norm(dim=1)
    return lengths.view(1, -1, *[1] * (weight.ndim - 2))


def add_magnitudes(layer: nn.Module, adapter: str) -> None:
    """Makes a LoRA layer a DoRA layer, in place, by a trainable ``magnitude`` (1, in, …).

    Args:
        layer: peft's, around a linear or convolution layer.
        adapter: peft's name of the LoRA.
    """
    layer.magnitude = nn.Parameter(column_lengths(layer.base_layer.weight.detach().float()))

    def rescale_input(layer: nn.Module, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        if layer.disable_adapters:
            return arguments
        # A factor for each column of the weight is the same as one for each input, and the LoRA need not know of it.
        x, *others = arguments
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):  # a norm in bfloat16 has two digits
            changed = layer.base_layer.weight.float() + layer.get_delta_weight(adapter).float()
            lengths = column_lengths(changed)
        factor = layer.magnitude / lengths
        if x.ndim != factor.ndim:  # (…, in) with any number of axes before the last
            factor = factor.flatten()
        return (x * factor).to(x.dtype), *others

    layer.register_forward_pre_hook(rescale_input)
