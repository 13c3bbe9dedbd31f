"""CLIP and DINO from files of the user, in the formats they are published in. Nothing is ever downloaded.

Read are folders of transformers (``config.json`` with ``model.safetensors`` or ``pytorch_model.bin``), single files of
ComfyUI's ``clip_vision`` folder (the picture half of CLIP), and DINO's own ``.pth`` files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from ....ace.files import checksum
from ..errors import EvaluationError

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_HEAD = 64  # channels a head, of OpenAI's CLIP and of DINO
_LARGE_HEADS = 16  # of OpenCLIP's large models, H, g and bigG, whose heads are wider
_MOST_TOKENS = 77


class ImageEncoder:
    """A network from prepared pixels to one vector.

    Attributes:
        name: of the file or folder.
        sha256: of the weights.
        size: pixels a side that it takes.
    """

    def __init__(self, network: torch.nn.Module, name: str, sha256: str, size: int, device: torch.device) -> None:
        self.name, self.sha256, self.size = name, sha256, size
        self.device = device
        self._network = network.eval().requires_grad_(False).to(device)

    def describe(self) -> str:
        """For reports."""
        return f"{self.name} (sha256 {self.sha256[:16]}…)"

    @torch.no_grad()
    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """(3, H, W) -> (D,), of length 1, on the CPU."""
        return _unit(self._vector(pixels[None].to(self.device)))

    def _vector(self, pixels: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


class ClipEncoder(ImageEncoder):
    """CLIP. ``reads_words`` is False for files that hold the picture half alone."""

    def __init__(self, network, name, sha256, size, device, tokenizer=None) -> None:
        super().__init__(network, name, sha256, size, device)
        self._tokenizer = tokenizer

    @property
    def reads_words(self) -> bool:
        return self._tokenizer is not None

    @torch.no_grad()
    def encode_words(self, text: str, *, cut: bool = False) -> torch.Tensor | None:
        """(D,), of length 1; None for a text of more than 77 tokens, which CLIP cannot read, unless it is to be ``cut``."""
        if self._tokenizer is None:
            raise EvaluationError(f"{self.name} holds the picture half of CLIP alone; give a folder of the whole model")
        ids = self._tokenizer(text, truncation=cut, max_length=_MOST_TOKENS if cut else None)["input_ids"]
        if len(ids) > _MOST_TOKENS:
            return None
        tokens = torch.tensor([ids], device=self.device)
        return _unit(_pooled(self._network.get_text_features(input_ids=tokens)))

    def _vector(self, pixels: torch.Tensor) -> torch.Tensor:
        if self.reads_words:
            return _pooled(self._network.get_image_features(pixel_values=pixels))
        return self._network(pixel_values=pixels).image_embeds


class DinoEncoder(ImageEncoder):
    """DINO's ViT; the vector is the class token's."""

    def _vector(self, pixels: torch.Tensor) -> torch.Tensor:
        return self._network(pixel_values=pixels).last_hidden_state[:, 0]


def load_clip(path: Path, device: torch.device | str = "cpu") -> ClipEncoder:
    """CLIP from a folder, or its picture half from a file.

    Raises:
        EvaluationError: it is not there, or is no CLIP.
    """
    from transformers import CLIPModel, CLIPTokenizer

    path, device = Path(path), torch.device(device)
    if path.is_file():
        return _clip_from_file(path, device)
    weights = _weights_of(path, "CLIP")
    try:
        network = CLIPModel.from_pretrained(path, local_files_only=True)
        tokenizer = CLIPTokenizer.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise EvaluationError(f"{path} cannot be opened as CLIP: {error}") from error
    size = network.config.vision_config.image_size
    return ClipEncoder(network, path.name, checksum(weights), size, device, tokenizer)


def load_dino(path: Path, device: torch.device | str = "cpu") -> DinoEncoder:
    """DINO from a folder, or from one of its own .pth files.

    Raises:
        EvaluationError: it is not there, or is no DINO.
    """
    from transformers import ViTModel

    path, device = Path(path), torch.device(device)
    weights = path if path.is_file() else _weights_of(path, "DINO")
    try:
        if path.is_file():
            network = _dino_from_file(_read(path))
        else:
            network = ViTModel.from_pretrained(path, local_files_only=True, add_pooling_layer=False)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise EvaluationError(f"{path} cannot be opened as DINO: {error}") from error
    return DinoEncoder(network, path.name, checksum(weights), network.config.image_size, device)


def _weights_of(folder: Path, what: str) -> Path:
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise EvaluationError(
        f"{folder} is no folder of {what}: it has none of {', '.join(_WEIGHTS)}. Nothing is downloaded; give the folder "
        "that you have it in"
    )


def _clip_from_file(path: Path, device: torch.device) -> ClipEncoder:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    state = _read(path)
    try:
        patches = state["vision_model.embeddings.patch_embedding.weight"]
        places = state["vision_model.embeddings.position_embedding.weight"]
        projection = state["visual_projection.weight"]
        wide = state["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0]
    except KeyError as error:
        raise EvaluationError(f"{path} is no file of CLIP's picture half: {error} is missing") from error
    width, patch = patches.shape[0], patches.shape[-1]
    size = round((places.shape[0] - 1) ** 0.5) * patch
    layers = _count(state, "vision_model.encoder.layers.")
    # OpenAI's models use the quick GELU; the large open ones (width 1280 and up) do not.
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=wide,
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // _HEAD) if width < 1280 else _LARGE_HEADS,
        image_size=size,
        patch_size=patch,
        projection_dim=projection.shape[0],
        hidden_act="quick_gelu" if width < 1280 else "gelu",
    )
    ours = {
        key: value.float() for key, value in state.items() if key.startswith(("vision_model.", "visual_projection."))
    }
    network = CLIPVisionModelWithProjection.from_pretrained(None, config=config, state_dict=ours)
    return ClipEncoder(network, path.name, checksum(path), size, device)


def _dino_from_file(state: Mapping[str, torch.Tensor]) -> Any:
    """ViTModel out of DINO's own names (``blocks.0.attn.qkv.weight``)."""
    from transformers import ViTConfig, ViTModel

    state = state.get("teacher", state.get("model", state))
    state = {key.removeprefix("module.").removeprefix("backbone."): value for key, value in state.items()}
    patches, places = state["patch_embed.proj.weight"], state["pos_embed"]
    width, patch, layers = patches.shape[0], patches.shape[-1], _count(state, "blocks.")
    config = ViTConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // _HEAD),
        intermediate_size=state["blocks.0.mlp.fc1.weight"].shape[0],
        image_size=round((places.shape[1] - 1) ** 0.5) * patch,
        patch_size=patch,
        layer_norm_eps=1e-6,
        qkv_bias=True,
    )
    named = {
        "embeddings.cls_token": state["cls_token"],
        "embeddings.position_embeddings": places,
        "embeddings.patch_embeddings.projection.weight": patches,
        "embeddings.patch_embeddings.projection.bias": state["patch_embed.proj.bias"],
        "layernorm.weight": state["norm.weight"],
        "layernorm.bias": state["norm.bias"],
    }
    for layer in range(layers):
        named |= _dino_layer(state, f"blocks.{layer}.", f"encoder.layer.{layer}.")
    network = ViTModel.from_pretrained(None, config=config, state_dict=named, add_pooling_layer=False)
    return network


def _dino_layer(state: Mapping[str, torch.Tensor], old: str, new: str) -> dict[str, torch.Tensor]:
    names = {
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "attn.proj": "attention.output.dense",
        "mlp.fc1": "intermediate.dense",
        "mlp.fc2": "output.dense",
    }
    found = {}
    for kind in ("weight", "bias"):
        found |= {f"{new}{theirs}.{kind}": state[f"{old}{ours}.{kind}"] for ours, theirs in names.items()}
        parts = state[f"{old}attn.qkv.{kind}"].chunk(3)
        for name, part in zip(("query", "key", "value"), parts, strict=True):
            found[f"{new}attention.attention.{name}.{kind}"] = part.contiguous()
    return found


def _read(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError) as error:
        raise EvaluationError(f"{path} cannot be read: {error}") from error
    except Exception as error:  # torch's own unpickling error, whose class is not public
        if type(error).__name__ != "UnpicklingError":
            raise
        raise EvaluationError(f"{path} holds more than weights and is not opened") from error


def _count(state: Mapping[str, Any], prefix: str) -> int:
    return 1 + max(int(key[len(prefix) :].split(".")[0]) for key in state if key.startswith(prefix))


def _pooled(output: Any) -> torch.Tensor:
    """Newer transformers hand out an object, older ones the features themselves."""
    return output if isinstance(output, torch.Tensor) else output.pooler_output


def _unit(vector: torch.Tensor) -> torch.Tensor:
    return F.normalize(vector[0].float(), dim=0).cpu()
