"""What this machine's plain matrix product achieves: the yardstick for the model."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ...ace.model.config import ACEConfig
from ..timing import Estimate, seconds
from ..workload import Setting

_SQUARE = 4096


def block_matmuls(config: ACEConfig, tokens: int, setting: Setting) -> tuple[Callable[[], None], float]:
    """The matrix products of one block's linear layers.

    Nothing but ``torch.mm`` into memory that is there already: no bias, no norm, no allocation.

    Args:
        config: shape of the model.
        tokens: rows of the inputs.
        setting: device and dtype.

    Returns:
        what does them all, and their number of floating-point operations.
    """
    width, hidden = config.hidden_size, config.mlp_size
    shapes = [(width, width)] * 6 + [(width, hidden), (hidden, width)]  # q, k, v, o, cross q and o; MLP
    place = {"device": setting.device, "dtype": setting.dtype}
    rows = {size: torch.randn(tokens, size, **place) for size in (width, hidden)}
    results = {size: torch.empty(tokens, size, **place) for size in (width, hidden)}
    weights = [torch.randn(wide, narrow, **place) for narrow, wide in shapes]

    def run() -> None:
        for weight in weights:
            torch.mm(rows[weight.shape[1]], weight.t(), out=results[weight.shape[0]])

    return run, 2.0 * tokens * sum(narrow * wide for narrow, wide in shapes)


def matmul_rate(setting: Setting, repeats: int = 3) -> Estimate:
    """GFLOP/s of a large square product in the setting's dtype."""
    a, b = (torch.randn(_SQUARE, _SQUARE, device=setting.device, dtype=setting.dtype) for _ in range(2))
    out = a @ b
    times = [seconds(lambda: torch.mm(a, b, out=out), setting.device) for _ in range(repeats)]
    return Estimate.of([2 * _SQUARE**3 / time / 1e9 for time in times])
