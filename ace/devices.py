"""What devices can compute, where they differ: MPS before macOS 14, and old GPUs, have no bfloat16."""

from __future__ import annotations

from functools import cache

import torch


def half_precision(device: torch.device | str) -> torch.dtype:
    """The type for weights on a device: bfloat16 where it can compute in it, else float32.

    Never float16: its range is too narrow for T5, and for the largest activations of the transformer.
    """
    device = torch.device(device)
    return torch.bfloat16 if device.type != "cpu" and _computes_bfloat16(str(device)) else torch.float32


@cache
def _computes_bfloat16(device: str) -> bool:
    try:
        ones = torch.ones(2, 2, dtype=torch.bfloat16, device=device)
        (ones @ ones).sum().float().item()
    except (RuntimeError, TypeError):  # NotImplementedError among them
        return False
    return True


def available_devices() -> list[str]:
    """Names of the devices that this machine and this PyTorch have."""
    names = ["cpu"]
    if torch.accelerator.is_available():
        kind = torch.accelerator.current_accelerator().type
        names += [kind, *(f"{kind}:{number}" for number in range(1, torch.accelerator.device_count()))]
    return names
