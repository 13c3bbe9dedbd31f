"""Loaders in ComfyUI: every format of a model, and files that are none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from comfyui_ace.ace.bundles.random_bundle import CONFIG
from comfyui_ace.ace.weights.checkpoint import config_tensors, convert, to_published_keys
from host.harness.edits import BUNDLE, EditGraph, difference, run_latent
from safetensors.torch import load_file, save_file

_PUBLISHED = "ACE-0.6B-512px"


@pytest.fixture(scope="module")
def weights(bundle) -> dict[str, torch.Tensor]:
    """The bundle's transformer under its published names."""
    return load_file(bundle.dit)


@pytest.fixture(scope="module")
def place(comfy, tmp_path_factory):
    """Write a file by a function and put it into models/<kind>; returns its name there."""
    folder = tmp_path_factory.mktemp("models")

    def place_(name: str, write, kind: str = "ace") -> str:
        write(folder / name)
        return comfy.add_model(folder / name, kind)

    return place_


@pytest.fixture(scope="module")
def expected(comfy, bundle, photo) -> torch.Tensor:
    """The latent that the bundle's own model gives."""
    return run_latent(comfy, *_edit(EditGraph(), photo))


def _edit(g: EditGraph, photo: str):
    return g, g.sampler(g.unit("{image} make it snow", g.picture(photo)), steps=2)[1]


def _with_model(name: str, photo: str, **loader):
    g = EditGraph()
    g.model = g.node("ACELoadModel", model_name=name, **{"weight_dtype": "default", **loader})[0]
    return _edit(g, photo)


def _load_error(comfy, name: str):
    g = EditGraph()
    g.show(g.node("ACELoadModel", model_name=name, weight_dtype="default"))
    error = comfy.run_expect_error(g)
    assert error.node_type == "ACELoadModel"
    return error.message


# Load Bundle


def test_bundle_brings_model_text_encoder_and_vae(comfy, bundle):
    g = EditGraph()
    sinks = [g.show(link) for link in (g.model, g.clip, g.vae)]
    assert comfy.run(g).outputs.keys() == {sink.id for sink in sinks}
    assert comfy.object_info("ACELoadBundle")["input"]["required"]["bundle"][1]["options"][0] == BUNDLE


def test_published_bundle_is_not_fetched_unasked(comfy):
    g = EditGraph(bundle=_PUBLISHED)
    g.show(g.model)
    error = comfy.run_expect_error(g)
    assert error.node_type == "ACELoadBundle"
    assert f"{_PUBLISHED} is not on this machine" in error.message
    assert "Set “download” to “if missing”" in error.message
    target = comfy.base_dir / "models" / "ace" / _PUBLISHED / "models" / "dit"
    assert f"ace_0.6b_512px.pth -> {target}" in error.message
    assert not target.parent.exists()


def test_download_without_a_network_says_what_to_place_where(comfy):
    """The tests' server may not ask Hugging Face for anything."""
    g = EditGraph(bundle=_PUBLISHED, download=True)
    g.show(g.model)
    error = comfy.run_expect_error(g)
    assert error.node_type == "ACELoadBundle"
    assert "huggingface.co/scepter-studio/ACE-0.6B-512px" in error.message
    assert str(comfy.base_dir / "models" / "ace" / _PUBLISHED) in error.message


def test_download_of_an_installed_bundle_asks_nobody(comfy, bundle):
    g = EditGraph(download=True)
    g.show(g.model)
    assert comfy.run(g).error is None


def test_incomplete_bundle_lists_what_is_missing(comfy, bundle):
    folder = comfy.base_dir / "models" / "ace" / "ACE-0.6B-1024px"
    (folder / "models" / "dit").mkdir(parents=True)
    (folder / "models" / "dit" / "ace.safetensors").symlink_to(bundle.dit)
    g = EditGraph(bundle="ACE-0.6B-1024px")
    g.show(g.model)
    message = comfy.run_expect_error(g).message
    shutil.rmtree(folder)
    assert "incomplete" in message
    assert "the VAE (vae.bin)" in message and "the T5 text encoder" in message and "the DiT" not in message


# Load Model


def test_only_transformers_are_offered(comfy, bundle):
    offered = comfy.object_info("ACELoadModel")["input"]["required"]["model_name"][1]["options"]
    assert f"{BUNDLE}/models/dit/{bundle.dit.name}" in [name.replace("\\", "/") for name in offered]
    assert not [name for name in offered if "vae.bin" in name or "text_encoder" in name]


def test_safetensors(comfy, bundle, place, photo, expected, weights):
    name = place("copy.safetensors", lambda path: path.write_bytes(bundle.dit.read_bytes()))
    assert difference(run_latent(comfy, *_with_model(name, photo)), expected) == 0.0


@pytest.mark.parametrize("wrapped", [False, True])
def test_pth(comfy, place, photo, expected, weights, wrapped):
    """As published, with or without a `state_dict` key; small models must carry their head count along."""
    tensors = {**weights, **config_tensors(CONFIG)}
    content = {"state_dict": tensors} if wrapped else tensors
    name = place(f"published{wrapped}.pth", lambda path: torch.save(content, path))
    assert difference(run_latent(comfy, *_with_model(name, photo)), expected) == 0.0


def test_pth_of_the_published_shape(comfy, place):
    """28 blocks of width 1152 need no head count. Repeated views of single numbers keep the file small."""

    def write(path: Path) -> None:
        from comfyui_ace.ace.model.config import ACEConfig
        from comfyui_ace.ace.model.transformer import ACEModel

        shapes = to_published_keys(ACEModel(ACEConfig(), device="meta").state_dict())
        zero = torch.zeros(1, dtype=torch.float16)
        torch.save({"state_dict": {name: zero.expand(t.shape) for name, t in shapes.items()}}, path)

    name = place("ace_0.6b_1024px.pth", write)
    g = EditGraph()
    model = g.node("ACELoadModel", model_name=name, weight_dtype="fp8_e4m3fn")
    encoded = {"clip": g.clip, "vae": g.vae, "context": g.unit("a cat"), "negative": "", "batch_size": 1}
    latent = g.node("ACEEncode", model=model, resolution="as the model", **encoded)[2]
    assert run_latent(comfy, g, latent).shape == (1, 4, 128, 128)  # the name says 1024 px
    comfy.free()


def test_pth_without_a_head_count(comfy, place, weights):
    name = place("headless.pth", lambda path: torch.save(weights, path))
    assert "does not say how many heads" in _load_error(comfy, name)


def test_model_save_output_of_another_pack_or_host(comfy, place, photo, expected, weights):
    """With ModelSave's prefix; the host's own ModelSave is tested with the other core nodes."""
    tensors = {f"model.diffusion_model.{name}": t for name, t in {**weights, **config_tensors(CONFIG)}.items()}
    name = place("saved.safetensors", lambda path: save_file(tensors, path))
    assert difference(run_latent(comfy, *_with_model(name, photo)), expected) == 0.0


@pytest.mark.parametrize(
    ("weight_dtype", "closeness"),
    [("fp32", 0.0), ("bf16", 0.1), ("fp16", 0.02), ("fp8_e4m3fn", 0.3), ("fp8_e5m2", 0.5)],
)
def test_weight_dtypes(comfy, bundle, photo, expected, weight_dtype, closeness):
    g = EditGraph(weight_dtype=weight_dtype)
    found = difference(run_latent(comfy, *_edit(g, photo)), expected)
    assert found <= closeness
    assert (found > 1e-4) == (weight_dtype != "fp32")


def test_stored_fp8(comfy, bundle, place, photo, expected):
    name = place("fp8.safetensors", lambda path: convert(bundle.dit, path, dtype=torch.float8_e4m3fn) and None)
    assert 1e-4 < difference(run_latent(comfy, *_with_model(name, photo)), expected) < 0.3


def test_sub_folders(comfy, bundle, photo, expected):
    name = f"{BUNDLE}/models/dit/{bundle.dit.name}"
    assert difference(run_latent(comfy, *_with_model(name, photo)), expected) == 0.0


def _flux(path: Path) -> None:
    blocks = ("double_blocks.0.img_attn.qkv.weight", "single_blocks.0.linear1.weight", "img_in.weight")
    save_file({name: torch.zeros(8, 64) for name in blocks}, path)


def _lora(path: Path) -> None:
    name = "diffusion_model.blocks.0.attn.q"
    save_file({f"{name}.lora_A.weight": torch.zeros(2, 96), f"{name}.lora_B.weight": torch.zeros(96, 2)}, path)


@pytest.mark.parametrize(
    ("name", "write", "said"),
    [
        ("flux.safetensors", _flux, "it looks like FLUX"),
        ("lora.safetensors", _lora, "it looks like a LoRA"),
        ("notes.pth", lambda path: path.write_text("put the weights here, please\n"), "it looks like a text file"),
        ("empty.safetensors", lambda path: path.touch(), "is empty"),
        ("t5.safetensors", lambda path: save_file(_t5(), path), "a T5 text encoder"),
    ],
)
def test_foreign_files(comfy, place, name, write, said):
    place(name, write)
    message = _load_error(comfy, name)
    assert said in message and name in message


def test_vae_as_a_model(comfy, bundle, place):
    name = place("vae.safetensors", lambda path: save_file(torch.load(bundle.vae, weights_only=True), path))
    assert "it looks like a VAE" in _load_error(comfy, name)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_truncated_files(comfy, bundle, place, weights, suffix):
    def write(path: Path) -> None:
        if suffix == ".pth":
            torch.save(weights, path)
            content = path.read_bytes()
        else:
            content = bundle.dit.read_bytes()
        path.write_bytes(content[: len(content) // 2])

    assert "cut off" in _load_error(comfy, place(f"half{suffix}", write))


def test_missing_tensors(comfy, place, weights, bundle):
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith("blocks.1.mlp")}
    name = place("holes.safetensors", lambda path: save_file(kept, path, metadata=CONFIG.metadata()))
    assert "4 missing (blocks.1.mlp." in _load_error(comfy, name)


def test_after_a_failure_a_good_file_loads(comfy, place, photo, expected, bundle):
    _load_error(comfy, place("again.pth", lambda path: path.write_text("not weights, sorry to say")))
    assert difference(run_latent(comfy, *_edit(EditGraph(), photo)), expected) == 0.0


# Load Text Encoder


def _t5_model():
    """A T5 encoder that is much smaller than XXL."""
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(vocab_size=600, d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4, feed_forward_proj="gated-gelu")
    )


def _t5() -> dict[str, torch.Tensor]:
    """Its weights as a single file has them."""
    return {name: tensor.clone() for name, tensor in _t5_model().state_dict().items()}


@pytest.mark.parametrize(
    ("name", "write", "said"),
    [
        ("t5_small.safetensors", lambda path: save_file(_t5(), path), "another T5 with 600 words and a width of 32"),
        ("umt5_xxl.safetensors", lambda path: _umt5(path), "another T5 with 256384 words and a width of 4096"),
        ("flux_model.safetensors", _flux, "it looks like FLUX"),
        ("page.safetensors", lambda path: path.write_text("<!doctype html><title>log in</title>"), "HTML page"),
        ("half_t5.safetensors", lambda path: _half(path), "is cut off"),
    ],
)
def test_files_that_are_no_t5xxl(comfy, place, name, write, said):
    place(name, write, "text_encoders")
    g = EditGraph()
    g.show(g.node("ACELoadTextEncoder", text_encoder_name=name))
    error = comfy.run_expect_error(g)
    assert error.node_type == "ACELoadTextEncoder"
    assert name in error.message and said in error.message
    assert "choose a t5xxl file" in error.message


def _umt5(path: Path) -> None:
    """Wan's text encoder: as wide and deep as T5 v1.1 XXL, with more words. Views of one number keep the file small."""
    shapes = {"shared.weight": (256384, 4096), "encoder.block.23.layer.1.DenseReluDense.wi_1.weight": (10240, 4096)}
    zero = torch.zeros(1, dtype=torch.float16)
    torch.save({name: zero.expand(shape) for name, shape in shapes.items()}, path)


def _half(path: Path) -> None:
    save_file(_t5(), path)
    path.write_bytes(path.read_bytes()[:20_000])


# Parts that do not belong together


def test_text_encoder_of_another_width(comfy, bundle, tmp_path, photo):
    """The model reads 64 numbers a token, this encoder writes 32."""
    parts = tmp_path / "narrow" / "models"
    parts.mkdir(parents=True)
    for part in ("dit", "vae", "tokenizer"):
        (parts / part).symlink_to(bundle.folder / "models" / part)
    _t5_model().save_pretrained(parts / "text_encoder" / "t5")
    comfy.add_model(parts.parent)
    g = EditGraph()
    g.clip = g.load("narrow")[1]
    g.save_latent(_edit(g, photo)[1])
    error = comfy.run_expect_error(g)
    assert "this model reads text embeddings 64 wide, got 32" in error.message


def test_vae_of_another_family(comfy, bundle, photo):
    """Core's stand-in for models that work on pixels makes latents of three channels."""
    g = EditGraph()
    g.vae = g.node("VAELoader", vae_name="pixel_space")[0]
    g.save_latent(_edit(g, photo)[1])
    error = comfy.run_expect_error(g)
    assert error.node_type == "ACESampler"
    assert "this VAE makes latents of 3 channels; ACE was trained with the VAE of Stable Diffusion 1.x" in error.message
