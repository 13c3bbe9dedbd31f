"""Vision encoders from local folders and single files give what transformers gives for the same weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from comfyui_ace.training.encoders import EncoderError, Preparation, load_encoder
from PIL import Image
from safetensors.torch import load_file, save_file

transformers = pytest.importorskip("transformers")

WIDTH, SIDE = 64, 32
SIZES = {"hidden_size": WIDTH, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 1}
COLOURS = {
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "siglip": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "dinov2": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


def build(kind: str) -> torch.nn.Module:
    torch.manual_seed(0)
    if kind == "clip":
        config = transformers.CLIPVisionConfig(
            **SIZES, image_size=SIDE, patch_size=8, projection_dim=24, hidden_act="gelu"
        )
        model = transformers.CLIPVisionModelWithProjection(config)
    elif kind == "siglip":
        model = transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**SIZES, image_size=SIDE, patch_size=8))
    else:
        config = transformers.Dinov2Config(**{**SIZES, "mlp_ratio": 4}, image_size=SIDE, patch_size=8)
        model = transformers.Dinov2Model(config)
    with torch.no_grad():  # starting weights make all pictures alike
        for value in model.parameters():
            value.copy_(torch.randn(value.shape) * 0.2)
    return model.eval()


def squares(count: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for _ in range(count)]


def expected(kind: str, model: torch.nn.Module, pictures: list[np.ndarray]) -> np.ndarray:
    mean, std = (np.array(values, dtype=np.float32) for values in COLOURS[kind])
    pixels = (np.stack(pictures).astype(np.float32) / 255 - mean) / std
    with torch.no_grad():
        output = model(pixel_values=torch.from_numpy(pixels).permute(0, 3, 1, 2))
    features = output.image_embeds if kind == "clip" else output.pooler_output
    return (features / features.norm(dim=1, keepdim=True)).numpy()


def saved(kind: str, folder: Path) -> tuple[torch.nn.Module, Path]:
    model = build(kind)
    model.save_pretrained(folder)
    mean, std = COLOURS[kind]
    said = {"image_mean": mean, "image_std": std, "size": {"height": SIDE, "width": SIDE}, "do_center_crop": False}
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    return model, folder


@pytest.mark.parametrize("kind", ["clip", "siglip", "dinov2"])
def test_folders_and_single_files_give_what_transformers_gives(tmp_path, kind):
    model, folder = saved(kind, tmp_path / "folder")
    wanted = expected(kind, model, squares())
    assert np.abs(wanted @ wanted.T - np.eye(3)).max() > 0.05  # no trivial features
    for path in (folder, folder / "model.safetensors"):
        encoder = load_encoder(path)
        assert encoder.preparation.side == SIDE
        np.testing.assert_allclose(encoder.encode(squares()), wanted, atol=2e-5)


def as_open_clip(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """transformers' keys brought to those of OpenAI's and OpenCLIP's files."""
    found = {}
    names = {
        "vision_model.embeddings.class_embedding": "class_embedding",
        "vision_model.embeddings.patch_embedding.weight": "conv1.weight",
        "vision_model.embeddings.position_embedding.weight": "positional_embedding",
        "vision_model.pre_layrnorm.weight": "ln_pre.weight",
        "vision_model.pre_layrnorm.bias": "ln_pre.bias",
        "vision_model.post_layernorm.weight": "ln_post.weight",
        "vision_model.post_layernorm.bias": "ln_post.bias",
    }
    found = {f"visual.{new}": weights[old] for old, new in names.items()}
    found["visual.proj"] = weights["visual_projection.weight"].t().contiguous()
    parts = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    for number in range(SIZES["num_hidden_layers"]):
        old, new = f"vision_model.encoder.layers.{number}.", f"visual.transformer.resblocks.{number}."
        for kind in ("weight", "bias"):
            for one, other in {**parts, "self_attn.out_proj": "attn.out_proj"}.items():
                found[f"{new}{other}.{kind}"] = weights[f"{old}{one}.{kind}"]
            joined = torch.cat([weights[f"{old}self_attn.{letter}_proj.{kind}"] for letter in "qkv"])
            found[f"{new}attn.in_proj_{kind}"] = joined
    return found


def test_files_of_open_clip_and_style_encoders(tmp_path):
    model, folder = saved("clip", tmp_path / "folder")
    weights = as_open_clip(load_file(folder / "model.safetensors"))
    save_file(weights, tmp_path / "open.safetensors")
    wanted = expected("clip", model, squares())
    np.testing.assert_allclose(load_encoder(tmp_path / "open.safetensors").encode(squares()), wanted, atol=2e-5)
    # CSD: the same tower with a projection of its own, as a pickled state under other names.
    style = torch.randn(WIDTH, 20)
    tower = {f"module.backbone.{key.removeprefix('visual.')}": value for key, value in weights.items()}
    torch.save({"model_state_dict": {**tower, "module.last_layer_style": style}}, tmp_path / "csd.pth")
    encoder = load_encoder(tmp_path / "csd.pth")
    model.visual_projection.weight = torch.nn.Parameter(style.t().contiguous())
    assert encoder.name.startswith("CSD")
    np.testing.assert_allclose(encoder.encode(squares()), expected("clip", model, squares()), atol=2e-5)


def test_pictures_are_brought_to_the_square_that_the_encoder_takes():
    wide = np.zeros((40, 120, 3), np.uint8)
    wide[:, 40:80] = 255
    cut = Preparation(32, 32)(wide)
    assert cut.shape == (32, 32, 3) and cut[:, 4:-4].min() > 250  # the middle third, cut out
    squeezed = Preparation(30)(wide)
    assert squeezed.shape == (30, 30, 3) and squeezed[:, :8].max() < 5 and squeezed[:, 12:18].min() > 250
    assert Preparation(32, 48, int(Image.Resampling.BILINEAR))(wide).shape == (32, 32, 3)


def test_what_is_no_encoder_is_explained(tmp_path):
    with pytest.raises(EncoderError, match=r"no encoder at .*models/clip_vision"):
        load_encoder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EncoderError, match=r"config\.json"):
        load_encoder(tmp_path / "empty")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(EncoderError, match="cannot be read as weights"):
        load_encoder(tmp_path / "broken.safetensors")
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(EncoderError, match="no vision encoder that is known"):
        load_encoder(tmp_path / "other.safetensors")


@pytest.mark.parametrize("kind", ["clip", "siglip", "dinov2"])
def test_missing_weights_are_not_made_up(tmp_path, kind):
    _, folder = saved(kind, tmp_path / "folder")
    weights = load_file(folder / "model.safetensors")
    gone = next(key for key in weights if "1" in key and key.endswith("weight") and ("mlp" in key))
    save_file(
        {key: value for key, value in weights.items() if key != gone}, folder / "model.safetensors", {"format": "pt"}
    )
    for path in (folder, folder / "model.safetensors"):
        with pytest.raises(EncoderError, match="missing"):
            load_encoder(path)


def test_an_encoder_is_known_by_its_weights(tmp_path):
    _, folder = saved("clip", tmp_path / "folder")
    first = load_encoder(folder).digest
    assert first == load_encoder(folder).digest
    weights = load_file(folder / "model.safetensors")
    weights["visual_projection.weight"] += 1
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert load_encoder(folder).digest != first
