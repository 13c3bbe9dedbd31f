"""Folders as transformers writes them: ``config.json``, weights, and ``preprocessor_config.json`` for the pictures."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from ...ace.text_files import read_text
from .encoder import CLIP_MEAN, CLIP_STD, HALF, IMAGENET_MEAN, IMAGENET_STD, EncoderError, Preparation
from .quiet import load_quietly
from .single_file import Built, pooled

_CLIP = ("clip", "clip_vision_model")
_SIGLIP = ("siglip", "siglip_vision_model", "siglip2", "siglip2_vision_model")


def build_from_folder(folder: Path) -> Built:
    """Name, module, how to call it, preparation, mean and standard deviation.

    Raises:
        EncoderError: no vision model that transformers can load.
    """
    try:
        config = json.loads(read_text(folder / "config.json"))
        kind = config["model_type"]
    except (OSError, ValueError, KeyError) as error:
        raise EncoderError(f"{folder} has no readable config.json with a model_type ({error}).") from error
    try:
        module = _load(folder, kind)
    except Exception as error:  # transformers has no error of its own for what it cannot load
        raise EncoderError(f"transformers cannot load {folder} (model_type {kind}): {error!s:.300}") from error
    inner = getattr(module.config, "vision_config", module.config)
    preparation, mean, std = _preparation(folder, kind, inner)
    name = f"{folder.name} ({kind}), {preparation.side} px"
    return name, module, pooled, preparation, mean, std


def _load(folder: Path, kind: str):
    """The vision tower.

    Raises:
        EncoderError: weights are missing, which transformers would fill with random ones.
    """
    import transformers

    known = {**dict.fromkeys(_CLIP, "CLIPVisionModelWithProjection"), **dict.fromkeys(_SIGLIP[:2], "SiglipVisionModel")}
    loader = getattr(transformers, known.get(kind, "AutoModel"))
    options = {"local_files_only": True, "trust_remote_code": False}
    module, missing = load_quietly(loader, folder, **options)
    if missing and all("pooler" in key for key in missing):
        module, missing = load_quietly(loader, folder, add_pooling_layer=False, **options)
    if missing:
        raise EncoderError(f"weights are missing for {', '.join(sorted(missing)[:3])}, {len(missing)} in all")
    return module if kind in known else getattr(module, "vision_model", module)


def _preparation(folder: Path, kind: str, config) -> tuple[Preparation, tuple, tuple]:
    """What preprocessor_config.json says; where it is missing, as the family was trained."""
    patch = getattr(config, "patch_size", 16)
    try:
        said = json.loads(read_text(folder / "preprocessor_config.json"))
    except OSError:
        said = {}
    side = getattr(config, "image_size", 224)
    side = side if isinstance(side, int) else side[0]
    crops = kind not in _SIGLIP
    mean, std = (CLIP_MEAN, CLIP_STD) if kind in _CLIP else (IMAGENET_MEAN, IMAGENET_STD) if crops else (HALF, HALF)
    if kind.startswith("dinov2") and not said:
        side = min(side, 224) // patch * patch
        said = {"size": round(side * 256 / 224)}
    size, crop = said.get("size", {}), said.get("crop_size", side)
    size = {"shortest_edge": size} if isinstance(size, int) else size
    shortest = size.get("shortest_edge", side if crops and "height" not in size else None)
    if said.get("do_center_crop", crops and shortest is not None):
        side = crop if isinstance(crop, int) else crop.get("height", side)
    else:
        side, shortest = size.get("height", side), None
    resample = said.get("resample", int(Image.Resampling.BICUBIC))
    preparation = Preparation(side, None if shortest is None else max(shortest, side), resample)
    return preparation, tuple(said.get("image_mean", mean)), tuple(said.get("image_std", std))
