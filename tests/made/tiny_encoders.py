"""CLIP and DINO with tiny random weights in the formats they are published in, for tests."""

from __future__ import annotations

import json
from pathlib import Path

import torch


def save_clip(folder: Path, seed: int = 0, size: int = 32):
    """A folder as transformers writes it, tokenizer included; returns the model."""
    from transformers import CLIPConfig, CLIPModel

    vocabulary = ["<|startoftext|>", "<|endoftext|>", *(chr(code) for code in range(97, 123))]
    vocabulary += [f"{chr(code)}</w>" for code in range(97, 123)]
    places = {token: number for number, token in enumerate(vocabulary)}
    torch.manual_seed(seed)
    config = CLIPConfig(
        text_config={
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "vocab_size": len(vocabulary),
            "bos_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": 1,
        },
        vision_config={
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 1,
            "intermediate_size": 96,
            "image_size": size,
            "patch_size": 8,
        },
        projection_dim=12,
    )
    model = CLIPModel(config).eval()
    with torch.no_grad():  # random weights as small as usual hardly tell pictures apart
        for parameter in model.parameters():
            parameter.mul_(8)
    model.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(places))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))
    return model


def save_clip_vision(model, path: Path) -> None:
    """The picture half as a single file, as in ComfyUI's clip_vision folder."""
    from safetensors.torch import save_file

    state = {key: value.contiguous() for key, value in published_names(model.state_dict()).items()}
    save_file({key: value for key, value in state.items() if key.startswith(("vision_model.", "visual_"))}, path)


def published_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """CLIP's names as in published files, whatever this version of transformers calls them inside."""
    swaps = {".layers.": ".encoder.layers.", ".attention.o_proj.": ".attention.out_proj."}
    named = {}
    for key, value in state.items():
        for new, old in swaps.items():
            if new in key and old not in key:
                key = key.replace(new, old)
        named[key] = value
    return named


def save_dino(folder: Path, file: Path, seed: int = 0) -> None:
    """The same network as a folder of transformers, and as one of DINO's own .pth files."""
    from transformers import ViTConfig, ViTModel

    torch.manual_seed(seed)
    config = ViTConfig(
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=224,
        patch_size=56,
        layer_norm_eps=1e-6,
    )
    model = ViTModel(config, add_pooling_layer=False).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    torch.save(dino_names(folder), file)


def dino_names(folder: Path) -> dict[str, torch.Tensor]:
    """The folder's weights under DINO's names, from the names that files of transformers have had from the start."""
    from safetensors.torch import load_file

    theirs = load_file(folder / "model.safetensors")
    swaps = {
        "embeddings.cls_token": "cls_token",
        "embeddings.position_embeddings": "pos_embed",
        "embeddings.patch_embeddings.projection": "patch_embed.proj",
        "layernorm_before": "norm1",
        "layernorm_after": "norm2",
        "attention.output.dense": "attn.proj",
        "attention.o_proj": "attn.proj",
        "intermediate.dense": "mlp.fc1",
        "encoder.layer.": "blocks.",
        "layers.": "blocks.",
    }
    ours: dict[str, torch.Tensor] = {}
    heads: dict[str, dict[str, torch.Tensor]] = {}
    for key, value in theirs.items():
        name = key
        for old, new in swaps.items():
            name = name.replace(old, new)
        name = name.replace(".output.dense.", ".mlp.fc2.")
        if name.startswith("layernorm."):
            name = name.replace("layernorm.", "norm.")
        part = next((part for part in ("query", "key", "value", "q_proj", "k_proj", "v_proj") if part in name), None)
        if part is None:
            ours[name] = value
        else:
            place = name.split("attention")[0] + "attn.qkv." + name.rsplit(".", 1)[1]
            heads.setdefault(place, {})[part[0]] = value
    return ours | {place: torch.cat([parts[letter] for letter in "qkv"]) for place, parts in heads.items()}
