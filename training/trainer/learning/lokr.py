"""LoKr: a change of the weight that is a Kronecker product of two small matrices."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn


class LoKrLayer(nn.Module):
    """A frozen linear or convolution layer W and a trainable w1 ⊗ w2 beside it (Yeh et al. 2024, LyCORIS, section 3.2).

    The names, shapes and scale of the parameters are LyCORIS's, which loaders read. The product is never formed for a
    linear layer: its rows and columns are two axes each, and each axis meets its own factor.

    Attributes:
        base_layer: the frozen layer, weight (out, in, …).
        lokr_w1: (out1, in1), where out1 and in1 divide out and in.
        lokr_w2: (out / out1, in / in1, …), or instead of it
        lokr_w2_a, lokr_w2_b: (out / out1, rank) and (rank, in / in1 · …), where that is smaller.
        whole: whether it is w2.
        scale: alpha / rank; 1 where w2 is whole, since loaders know no rank then.
    """

    def __init__(
        self, base_layer: nn.Linear | nn.Conv2d, *, rank: int, alpha: float, factor: int, dropout: float = 0.0
    ) -> None:
        """Starts without any effect: w2 is zero.

        Args:
            base_layer: what is adapted.
            rank: of w2, which is whole where that takes no more numbers.
            alpha: see ``scale``.
            factor: w1 has at most so many rows and columns.
            dropout: share of the inputs of w1 ⊗ w2 that is set to zero.
        """
        super().__init__()
        self.base_layer, self.dropout, self.enabled = base_layer, dropout, True
        rows, columns, *kernel = base_layer.weight.shape
        out1, in1 = largest_divisor(rows, factor), largest_divisor(columns, factor)
        out2, in2 = rows // out1, columns // in1
        inputs = in2 * math.prod(kernel)
        self.whole = rank * (out2 + inputs) >= out2 * inputs
        self.scale = 1.0 if self.whole else alpha / rank
        device = base_layer.weight.device
        self.lokr_w1 = nn.Parameter(_uniform(out1, in1, device=device))
        if self.whole:
            self.lokr_w2 = nn.Parameter(torch.zeros(out2, in2, *kernel, device=device))
        else:
            self.lokr_w2_a = nn.Parameter(_uniform(out2, rank, device=device))
            self.lokr_w2_b = nn.Parameter(torch.zeros(rank, inputs, device=device))

    @property
    def weight(self) -> torch.Tensor:
        """Of the frozen layer: models look at it for their dtype and device, as they may with a plain layer."""
        return self.base_layer.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As the frozen layer: x (…, in) -> (…, out), or (B, in, H, W) -> (B, out, H', W')."""
        out = self.base_layer(x)
        if not self.enabled:
            return out
        x = F.dropout(x, self.dropout, self.training).to(self.lokr_w1.dtype)
        change = self._linear(x) if isinstance(self.base_layer, nn.Linear) else self._convolution(x)
        return out + (self.scale * change).to(out.dtype)

    def enable_adapters(self, enabled: bool) -> None:
        """As peft's layers have it: whether the frozen layer answers with w1 ⊗ w2 or alone."""
        self.enabled = enabled

    def _linear(self, x: torch.Tensor) -> torch.Tensor:
        x = x.unflatten(-1, (self.lokr_w1.shape[1], -1))  # (…, in1, in2)
        x = F.linear(x, self.lokr_w2) if self.whole else F.linear(F.linear(x, self.lokr_w2_b), self.lokr_w2_a)
        return F.linear(x.transpose(-1, -2), self.lokr_w1).transpose(-1, -2).flatten(-2)  # (…, out1 · out2)

    def _convolution(self, x: torch.Tensor) -> torch.Tensor:
        layer = self.base_layer
        w2 = self.lokr_w2.flatten(1) if self.whole else self.lokr_w2_a @ self.lokr_w2_b
        weight = torch.kron(self.lokr_w1, w2).view_as(layer.weight)
        return F.conv2d(x, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)


def largest_divisor(size: int, limit: int) -> int:
    """The largest divisor of ``size`` that is neither above ``limit`` nor above the root of ``size``."""
    return next(d for d in range(min(limit, math.isqrt(size)), 0, -1) if size % d == 0)


def _uniform(rows: int, columns: int, *, device: torch.device) -> torch.Tensor:
    """As torch starts a linear layer; drawn on the CPU, so that a seed means the same everywhere."""
    return nn.init.kaiming_uniform_(torch.empty(rows, columns), a=math.sqrt(5)).to(device)
