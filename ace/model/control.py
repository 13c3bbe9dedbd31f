"""What may change tokens and texts on their way from block to block, without being part of the transformer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch

from .layers import BlockInputs

# (index of a block, what it read, its result (B, N, D), text (B or 1, L, D)) -> result and text for the next block
BlockHook = Callable[[int, BlockInputs, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


class Control(Protocol):
    """Takes part in forward passes; each has a hook of its own, so that nothing is kept from one to the next."""

    def begin(self) -> BlockHook:
        """The hook of one forward pass, called after every block in their order.

        The last block computes the target frame alone: its result has only that, and what text is handed on then is read
        by nobody.
        """
        ...
