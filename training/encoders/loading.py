"""From a path to an encoder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import torch

from ...ace.files import checksum
from .encoder import Encoder, EncoderError
from .folder import build_from_folder
from .single_file import build_from_file

_WEIGHTS = (".safetensors", ".sft", ".bin", ".pt", ".pth")


def load_encoder(path: str | os.PathLike, device: torch.device | str = "cpu") -> Encoder:
    """A vision encoder: CLIP, SigLIP, DINOv2, CSD, or any vision model that transformers knows.

    Args:
        path: a folder with config.json, or a single file of weights. It is never downloaded.
        device: where it computes; half precision on CUDA, float32 elsewhere.

    Raises:
        EncoderError: there is none, or of no kind that is known.
    """
    place, device = Path(path), torch.device(device)
    if not place.exists():
        raise EncoderError(
            f"There is no encoder at {place}. Give a file of models/clip_vision or a folder with config.json."
        )
    build = build_from_folder if place.is_dir() else build_from_file
    name, module, call, preparation, mean, std = build(place)
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    module = module.to(device, dtype).eval().requires_grad_(False)
    return Encoder(
        name=name,
        digest=weights_digest(place),
        preparation=preparation,
        mean=mean,
        std=std,
        forward=lambda pixels: call(module, pixels),
        device=device,
        dtype=dtype,
    )


def weights_digest(place: Path) -> str:
    """SHA-256 of a file, or of all files of weights in a folder with their names."""
    if place.is_file():
        return checksum(place)
    parts = [f"{path.name} {checksum(path)}" for path in sorted(place.iterdir()) if path.suffix in _WEIGHTS]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
