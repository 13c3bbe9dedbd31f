"""Values that are no numbers are refused where they are typed or opened, and never become a black picture."""

from __future__ import annotations

import argparse
import math
import shutil

import pytest
import torch
from comfyui_ace.ace.bundles.bundle import SHIPPED_BUNDLES, find_bundle
from comfyui_ace.ace.bundles.random_bundle import make_random_bundle
from comfyui_ace.ace.model.sampler import NotFiniteError, check_finite, sample
from comfyui_ace.ace.pictures.image_files import save_picture
from comfyui_ace.ace.pictures.preprocess import as_mask
from comfyui_ace.ace.pictures.resolution import Resolution
from comfyui_ace.ace.text import T5TextEncoder
from comfyui_ace.ace.vae import DiffusersVAE, read_vae_tensors
from comfyui_ace.ace.weights.checkpoint import load_model, read_checkpoint, save_checkpoint
from comfyui_ace.ace.weights.containers import CheckpointError
from comfyui_ace.ace.weights.containers import check_finite as check_weights
from comfyui_ace.ace.weights.lora import LoraError, merge_lora, read_lora
from comfyui_ace.cli import main
from comfyui_ace.commands.common import parse_adapter
from comfyui_ace.training.dataset.intake.checks import parse_checks
from comfyui_ace.training.errors import CheckError
from diffusers import AutoencoderKL
from PIL import Image
from safetensors.torch import load_file, save_file

NAN, INF = math.nan, math.inf
LAYER = "diffusion_model.blocks.3.mlp.fc2"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    make_random_bundle(root / "ace-random")
    return find_bundle(root / "ace-random")


@pytest.fixture
def folder(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("ACE_MODELS", str(bundle.dit.parents[3]))
    monkeypatch.chdir(tmp_path)
    Image.linear_gradient("L").convert("RGB").resize((32, 32)).save("photo.png")
    return tmp_path


def _lora(path, bundle, value: float = 0.01) -> None:
    width = load_model(bundle.dit).config.hidden_size
    tensors = {
        f"{LAYER}.lora_A.weight": torch.full((2, 4 * width), 0.01),
        f"{LAYER}.lora_B.weight": torch.full((width, 2), 0.01),
    }
    tensors[f"{LAYER}.lora_A.weight"][0, 0] = value
    save_file(tensors, path)


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_weights_are_checked_when_a_file_is_opened(tmp_path, value, dtype):
    tensors = {"fine": torch.ones(3, 3), "broken": torch.ones(3, 3), "count": torch.tensor(3)}
    tensors["broken"][1, 1] = value
    tensors = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    if not tensors["broken"].float().isfinite().all():  # this fp8 has no infinity and stores its largest number
        with pytest.raises(CheckpointError, match=r"a\.safetensors holds values.*1 of 3 tensors, such as broken"):
            check_weights(tmp_path / "a.safetensors", tensors)
    check_weights(
        tmp_path / "a.safetensors", {"large": torch.full((64, 64), 3e38), "half": torch.full((9,), 65504.0).half()}
    )


def test_models_vaes_and_loras_of_nan_are_refused_by_name(bundle, tmp_path):
    broken = dict(read_checkpoint(bundle.dit).state_dict)
    name = next(name for name, tensor in broken.items() if tensor.ndim > 1)
    broken[name] = broken[name].clone().fill_(NAN)
    save_checkpoint(broken, tmp_path / "nan.safetensors")
    with pytest.raises(CheckpointError, match=r"nan\.safetensors holds values that are no numbers"):
        load_model(tmp_path / "nan.safetensors")
    with pytest.raises(CheckpointError, match="no numbers"):
        read_vae_tensors(tmp_path / "nan.safetensors")
    _lora(tmp_path / "lora.safetensors", bundle, NAN)
    with pytest.raises(LoraError, match=r"lora\.safetensors holds values that are no numbers"):
        read_lora(tmp_path / "lora.safetensors")


def test_text_encoders_and_vaes_in_folders_are_checked(tmp_path):
    encoder = find_bundle(SHIPPED_BUNDLES / "ace-tiny").text_encoder
    shutil.copytree(encoder, tmp_path / "t5")
    weights = load_file(encoder / "model.safetensors")
    name = next(name for name in weights if "DenseReluDense" in name)
    weights[name] = weights[name].clone().fill_(INF)
    save_file(weights, tmp_path / "t5" / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"t5 holds values that are no numbers.*DenseReluDense"):
        T5TextEncoder.load(tmp_path / "t5", find_bundle(SHIPPED_BUNDLES / "ace-tiny").tokenizer)
    vae = AutoencoderKL(block_out_channels=(32,), norm_num_groups=32)
    torch.nn.init.constant_(vae.decoder.conv_out.bias, NAN)
    vae.save_pretrained(tmp_path / "vae")
    with pytest.raises(CheckpointError, match=r"vae holds values that are no numbers.*decoder\.conv_out\.bias"):
        DiffusersVAE.load(tmp_path / "vae")


@pytest.mark.parametrize("steps", ["0", "1001", "-3", "2.5"])
@pytest.mark.parametrize("command", ["edit", "generate", "evaluate"])
def test_steps_are_checked_where_they_are_typed(folder, capsys, command, steps):
    with pytest.raises(SystemExit) as caught:
        main([command, "x", f"--steps={steps}"])
    assert caught.value.code == 2 and "--steps" in capsys.readouterr().err


def test_a_lora_that_leaves_the_range_changes_nothing(bundle, tmp_path):
    _lora(tmp_path / "lora.safetensors", bundle, 3e38)
    model = load_model(bundle.dit, dtype=torch.float16)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    lora = read_lora(tmp_path / "lora.safetensors")
    with pytest.raises(LoraError, match=r"leaves the range of torch\.float16; lower the strength"):
        merge_lora(model, lora)
    for strength in (NAN, INF):
        with pytest.raises(ValueError, match="must be a number"):
            merge_lora(model, lora, strength)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "NaN", "1e999"])
@pytest.mark.parametrize("option", ["--guidance", "--rescale", "--megapixels"])
def test_values_are_checked_where_they_are_typed(folder, capsys, option, value):
    with pytest.raises(SystemExit) as caught:
        main(["edit", "x", "photo.png", f"{option}={value}", "-o", "out.png"])
    assert caught.value.code == 2 and option in capsys.readouterr().err and not (folder / "out.png").exists()
    with pytest.raises(argparse.ArgumentTypeError, match="strength must be a number"):
        parse_adapter(f"a.safetensors:{value}")
    with pytest.raises(CheckError):
        parse_checks([f"size_tolerance={value}"])


@pytest.mark.parametrize("seed", ["18446744073709551616", "-1", "one"])
def test_seeds_are_those_that_a_generator_takes(folder, capsys, seed):
    with pytest.raises(SystemExit):
        main(["edit", "x", "photo.png", f"--seed={seed}"])
    assert "--seed" in capsys.readouterr().err
    assert main(["edit", "{image} x", "photo.png", "--seed", str(2**64 - 1), "--steps", "1", "-q", "-o", "a.png"]) == 0


def test_functions_check_what_nodes_and_scripts_give(bundle):
    for value in (NAN, INF, 0.0, -1.0):
        with pytest.raises(ValueError, match="megapixels"):
            Resolution.megapixels(value)
    model = load_model(bundle.dit)
    for settings in ({"guidance_scale": NAN}, {"guidance_scale": -INF}, {"guidance_rescale": NAN}):
        with pytest.raises(ValueError, match="guidance_"):
            sample(model, torch.zeros(1, 4, 2, 2), None, **settings)
    for value in (NAN, INF):
        with pytest.raises(ValueError, match="not finite"):
            as_mask(torch.full((1, 4, 4), value))


@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        (torch.float16, "The likely cause is an overflow of float16"),
        (torch.bfloat16, "The likely cause is a LoRA"),
        (None, "or an overflow of float16"),
    ],
)
def test_the_message_names_the_likely_cause(dtype, words):
    with pytest.raises(NotFiniteError, match=words) as caught:
        check_finite(torch.tensor([1.0, NAN]), "the result", dtype)
    assert ("float16" in str(caught.value)) == (dtype != torch.bfloat16)
    check_finite(torch.ones(2), "the result")


def test_a_result_of_nan_is_an_error_and_no_file(folder, monkeypatch, capsys):
    """As after an overflow in the middle of the network, which no check of the file can see."""
    from comfyui_ace.ace.model.transformer import ACEModel

    forward = ACEModel.forward
    monkeypatch.setattr(ACEModel, "forward", lambda *args, **options: forward(*args, **options) * NAN)
    before = sorted(folder.rglob("*"))
    assert main(["edit", "{image} x", "photo.png", "-o", "out/a.png", "--steps", "3", "-q"]) == 1
    error = capsys.readouterr().err
    assert "after step 1 of 3 holds values that are no numbers" in error and "LoRA" in error
    assert sorted(folder.rglob("*")) == before


def test_a_picture_of_nan_is_not_written(tmp_path):
    for value in (NAN, INF):
        with pytest.raises(ValueError, match=r"a\.png is not written"):
            save_picture(torch.full((4, 4, 3), value), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
