"""What several commands share."""

from __future__ import annotations

import os
from pathlib import Path

import torch

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def bundle_roots() -> list[Path]:
    """Folders that may hold ACE models: ``$ACE_MODELS``, else ``models/ace`` here and of a ComfyUI in the home folder."""
    if configured := os.environ.get("ACE_MODELS"):
        return [Path(folder) for folder in configured.split(os.pathsep)]
    hosts = (Path.home() / "ComfyUI", Path.home() / "comfy" / "ComfyUI")
    return [Path("models/ace"), *(host / "models" / "ace" for host in hosts)]


def parse_device(name: str) -> torch.device:
    """A device by name; "auto" is the best one there is.

    Raises:
        ValueError: unknown, or not on this machine.
    """
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"the device {name!r} cannot be used here: {error}") from None
    return device


def parse_dtype(name: str, device: torch.device) -> torch.dtype:
    """A dtype by name; "auto" is float32 on the CPU and bfloat16 elsewhere."""
    if name == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    return _DTYPES[name]
