"""The file that comes out of a run: a LoRA that core's loaders apply, or a whole model that Load Model opens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from ...ace.checkpoint import save_checkpoint
from ...ace.config import ACEConfig
from ...ace.files import whole_file
from .adapters import lora_tensors
from .config import TrainConfig
from .errors import TrainError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Provenance:
    """Where a trained file comes from.

    Attributes:
        base_model, base_sha256: what training started from.
        dataset_sha256: over all pairs as they were used.
        pairs: number of training pairs.
        trigger: words that call the edit.
        max_tokens: patches in the largest picture, where the rule for sizes sets a limit.
    """

    base_model: str
    base_sha256: str
    dataset_sha256: str
    pairs: int
    trigger: str
    max_tokens: int | None = None

    def metadata(self, config: TrainConfig, step: int) -> dict[str, str]:
        """Entries of a safetensors header."""
        entries = {
            "architecture": "ACE",
            "title": config.name,
            "base_model": self.base_model,
            "base_model_sha256": self.base_sha256,
            "dataset_sha256": self.dataset_sha256,
            "pairs": self.pairs,
            "trigger": self.trigger,
            "steps": step,
            "method": config.method,
            "license": config.export.licence,
            "description": config.export.description,
            "software": "ACE Edit",
        }
        if config.method == "lora":
            entries |= {"rank": config.lora.rank, "alpha": config.lora_alpha, "dora": config.lora.dora}
        elif self.max_tokens is not None:
            entries["max_tokens"] = self.max_tokens
        return {name: str(value) for name, value in entries.items() if value != ""}


def write_result(
    path: Path,
    config: TrainConfig,
    shape: ACEConfig,
    tensors: Mapping[str, torch.Tensor],
    metadata: Mapping[str, str],
) -> Path:
    """Writes the LoRA or the model, whole or not at all.

    Args:
        tensors: of the model under its names while training; frozen ones too, where it is trained whole or as DoRA.

    Raises:
        TrainError: the file cannot be written.
    """
    dtype = DTYPES[config.export.dtype]
    try:
        if config.method == "full":
            weights = {name: tensor.to(dtype) for name, tensor in tensors.items()}
            return save_checkpoint(weights, path, metadata={**shape.metadata(), **metadata}, overwrite=True)
        adapters = lora_tensors(tensors, config.lora_alpha, base=tensors)
        # Scales stay in float32: they are few, and rounding one changes a whole row or layer.
        narrow = {name: tensor.to(dtype) if name.endswith(".weight") else tensor for name, tensor in adapters.items()}
        return _write_lora(path, narrow, metadata)
    except (OSError, ValueError) as error:
        raise TrainError(
            f"{path} cannot be written ({error}). The run's last checkpoint is kept; free some space and run the same "
            "command again"
        ) from error


def _write_lora(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> Path:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        with whole_file(path, sum(tensor.nbytes for tensor in tensors.values())) as temporary:
            save_file(
                {name: tensor.contiguous() for name, tensor in tensors.items()},
                temporary,
                metadata={"format": "pt", **metadata},
            )
    except SafetensorError as error:
        raise OSError(str(error)) from error
    return path
