"""Single files of weights: what ComfyUI keeps in ``models/clip_vision``, and CSD's style encoder.

A single file has no configuration. Sizes are read from the shapes of its weights; the number of attention heads and the
activation, which leave no trace there, are those of the published models of that width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from .encoder import CLIP_MEAN, CLIP_STD, HALF, IMAGENET_MEAN, IMAGENET_STD, EncoderError, Preparation
from .open_clip import to_transformers, vision_prefix
from .quiet import load_quietly

_HEADS = {384: 6, 768: 12, 1024: 16, 1152: 16, 1280: 16, 1408: 16, 1536: 24, 1664: 16}  # by width
_OPENAI_WIDTHS = (768, 1024)  # trained with the quick approximation of GELU; the larger ones were not
_HEAD_WIDTH = 64

Weights = dict[str, torch.Tensor]
Built = tuple[str, torch.nn.Module, Callable[[torch.nn.Module, torch.Tensor], torch.Tensor], Preparation, tuple, tuple]


def build_from_file(path: Path) -> Built:
    """Name, module, how to call it, preparation, mean and standard deviation.

    Raises:
        EncoderError: no encoder of a known kind.
    """
    weights = _read(path)
    try:
        return _build(path, weights)
    except KeyError as error:
        raise EncoderError(f"weights are missing in {path}: {error}; is the file whole?") from error


def _build(path: Path, weights: Weights) -> Built:
    prefix = vision_prefix(weights)
    if prefix is not None:
        style = next((value for key, value in weights.items() if key.endswith("last_layer_style")), None)
        return _clip(to_transformers(weights, prefix), style)
    if "embeddings.patch_embedding.weight" in weights:  # a tower alone, as later versions of transformers write it
        weights = {f"vision_model.{key}": value for key, value in weights.items()}
    for start in ("", "model.", "module."):
        if f"{start}vision_model.embeddings.patch_embedding.weight" in weights:
            inner = {key.removeprefix(start): value for key, value in weights.items()}
            return _clip(inner, None) if "vision_model.embeddings.class_embedding" in inner else _siglip(inner)
        if f"{start}embeddings.patch_embeddings.projection.weight" in weights:
            return _dinov2({key.removeprefix(start): value for key, value in weights.items()})
    raise EncoderError(
        f"{path} holds no vision encoder that is known here. Give a file of ComfyUI's models/clip_vision (CLIP, SigLIP, "
        f"DINOv2), OpenCLIP or CSD weights, or a folder with a config.json. Its first keys: {', '.join(list(weights)[:3])}."
    )


def _read(path: Path) -> Weights:
    try:
        if path.suffix in (".safetensors", ".sft"):
            from safetensors.torch import load_file

            weights: Mapping = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file shows itself by whatever its bytes lead to
        raise EncoderError(f"{path} cannot be read as weights: {error!s:.200}.") from error
    for key in ("model_state_dict", "state_dict"):
        weights = weights.get(key, weights)
    return {key: value for key, value in weights.items() if isinstance(value, torch.Tensor)}


def _clip(weights: Weights, style: torch.Tensor | None) -> Built:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    sizes = _sizes(weights, "vision_model.embeddings.patch_embedding.weight", "vision_model.encoder.layers.")
    width, side = sizes["hidden_size"], _side(weights, sizes["patch_size"], extra=1)
    if style is not None:  # CSD projects by its own matrix, from the tower's output
        weights["visual_projection.weight"] = style.t().contiguous()
    elif "visual_projection.weight" not in weights:
        weights["visual_projection.weight"] = torch.eye(width)
    config = CLIPVisionConfig(
        **sizes,
        image_size=side,
        intermediate_size=weights["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
        projection_dim=weights["visual_projection.weight"].shape[0],
        hidden_act="quick_gelu" if width in _OPENAI_WIDTHS else "gelu",
    )
    module = _filled(CLIPVisionModelWithProjection, config, weights)
    name = f"{'CSD' if style is not None else 'CLIP'}, width {width}, {side} px"
    return name, module, _image_embeds, Preparation(side, side), CLIP_MEAN, CLIP_STD


def _image_embeds(module: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    return module(pixel_values=pixels).image_embeds


def _siglip(weights: Weights) -> Built:
    from transformers import SiglipVisionConfig, SiglipVisionModel

    sizes = _sizes(weights, "vision_model.embeddings.patch_embedding.weight", "vision_model.encoder.layers.")
    side = _side(weights, sizes["patch_size"], extra=0)
    head = "vision_model.head.probe" in weights
    config = SiglipVisionConfig(
        **sizes,
        image_size=side,
        intermediate_size=weights["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
        vision_use_head=head,
    )
    module = _filled(SiglipVisionModel, config, weights)
    name = f"SigLIP, width {sizes['hidden_size']}, {side} px{'' if head else ', mean of its tokens'}"
    return name, module, pooled, Preparation(side), HALF, HALF


def _dinov2(weights: Weights) -> Built:
    from transformers import Dinov2Config, Dinov2Model

    sizes = _sizes(weights, "embeddings.patch_embeddings.projection.weight", "encoder.layer.")
    rows = weights["embeddings.position_embeddings"].shape[1]
    swiglu = "encoder.layer.0.mlp.weights_in.weight" in weights
    trained = round((rows - 1) ** 0.5) * sizes["patch_size"]
    config = Dinov2Config(**sizes, image_size=trained, use_swiglu_ffn=swiglu)
    module = _filled(Dinov2Model, config, weights)
    side = min(224, trained) // sizes["patch_size"] * sizes["patch_size"]
    preparation = Preparation(side, max(side, round(side * 256 / 224)))
    return f"DINOv2, width {sizes['hidden_size']}, {side} px", module, pooled, preparation, IMAGENET_MEAN, IMAGENET_STD


def pooled(module: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """One vector a picture of a transformers vision model: projected, pooled, or the mean of the tokens."""
    output = module(pixel_values=pixels)
    for name in ("image_embeds", "pooler_output"):
        if getattr(output, name, None) is not None:
            return getattr(output, name).flatten(1)
    return output.last_hidden_state.mean(dim=1)


def _sizes(weights: Weights, patches: str, layers: str) -> dict[str, int]:
    width, _, patch, _ = weights[patches].shape
    numbers = {int(key.removeprefix(layers).split(".")[0]) for key in weights if key.startswith(layers)}
    heads = _HEADS.get(width, max(1, width // _HEAD_WIDTH))
    return {
        "hidden_size": width,
        "patch_size": patch,
        "num_hidden_layers": max(numbers) + 1,
        "num_attention_heads": heads,
    }


def _side(weights: Weights, patch: int, extra: int) -> int:
    rows = weights["vision_model.embeddings.position_embedding.weight"].shape[0] - extra
    return round(rows**0.5) * patch


def _filled(kind: type, config, weights: Weights) -> torch.nn.Module:
    """A model of this kind and configuration with these weights.

    Raises:
        EncoderError: some are missing or do not fit; left over may be what belongs to a text tower.
    """
    with torch.device("meta"):
        own = kind(config).state_dict()
    named = {_own_name(key, own): value.float() for key, value in weights.items()}
    try:
        module, missing = load_quietly(kind, None, config=config, state_dict=named)
    except Exception as error:  # transformers has no error of its own for what it cannot load
        raise EncoderError(f"the weights do not fit each other: {error!s:.300}") from error
    if missing:
        listed = ", ".join(sorted(missing)[:3])
        raise EncoderError(f"weights are missing for {listed}, {len(missing)} in all; is the file whole?")
    return module


def _own_name(key: str, own: Weights) -> str:
    """Versions of transformers differ in whether a tower's keys start with its name; other changes it knows itself."""
    for name in (key, key.removeprefix("vision_model."), f"vision_model.{key}"):
        if name in own:
            return name
    return key
