"""Files that are no ACE model: each gets an error that says what it looks like and what to do."""

import pickle
import zipfile

import numpy as np
import pytest
import torch
from comfyui_ace.ace.weights.checkpoint import CheckpointError, load_model
from comfyui_ace.ace.weights.detection import detect_from_tensors
from safetensors.torch import save_file

# name in the error -> tensors that the file holds: name -> shape (a small excerpt of the real names)
NOT_ACE = {
    "FLUX.": {
        "double_blocks.0.img_attn.qkv.weight": (12, 4),
        "single_blocks.0.linear1.weight": (12, 4),
        "img_in.weight": (4, 64),
    },
    "ACE++ (built on FLUX).": {
        "model.diffusion_model.double_blocks.0.img_attn.qkv.weight": (12, 4),
        "model.diffusion_model.single_blocks.0.linear1.weight": (12, 4),
        "model.diffusion_model.img_in.weight": (4, 448),
    },
    "FLUX or a relative of it in the diffusers layout.": {
        "transformer_blocks.0.norm1_context.linear.weight": (4, 4),
        "single_transformer_blocks.0.attn.to_q.weight": (4, 4),
    },
    "Chroma": {
        "double_blocks.0.img_attn.qkv.weight": (12, 4),
        "single_blocks.0.linear1.weight": (12, 4),
        "distilled_guidance_layer.norms.0.scale": (4,),
    },
    "HunyuanVideo.": {
        "double_blocks.0.img_attn_qkv.weight": (12, 4),
        "single_blocks.0.linear1.weight": (12, 4),
        "txt_in.individual_token_refiner.blocks.0.norm1.weight": (4,),
    },
    "Stable Diffusion 1.x (a UNet).": {
        "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3),
        "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight": (4, 768),
        "first_stage_model.decoder.up.0.block.0.conv1.weight": (4, 4, 3, 3),
        "cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight": (4, 4),
    },
    "Stable Diffusion XL (a UNet).": {
        "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3),
        "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight": (4, 2048),
    },
    "Stable Diffusion 1.x in the diffusers layout (a UNet).": {
        "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (4, 768),
        "time_embedding.linear_1.weight": (4, 4),
    },
    "Stable Diffusion 3.": {"model.diffusion_model.joint_blocks.0.context_block.attn.qkv.weight": (12, 4)},
    "Wan, a video model.": {"blocks.0.self_attn.q.weight": (4, 4), "patch_embedding.weight": (4, 4, 1, 2, 2)},
    "Qwen-Image.": {"transformer_blocks.0.img_mod.1.weight": (4, 4)},
    "Lumina or Z-Image.": {"noise_refiner.0.attention.qkv.weight": (4, 4), "cap_embedder.1.weight": (4, 4)},
    "a VAE.": {"decoder.up.0.block.0.conv1.weight": (4, 4, 3, 3), "quant_conv.weight": (8, 8, 1, 1)},
    "a VAE in the diffusers layout.": {"decoder.up_blocks.0.resnets.0.conv1.weight": (4, 4, 3, 3)},
    "a T5 text encoder.": {
        "shared.weight": (4, 4),
        "encoder.block.0.layer.0.SelfAttention.q.weight": (4, 4),
    },
    "a CLIP text encoder.": {
        "text_model.encoder.layers.0.self_attn.q_proj.weight": (4, 4),
        "text_model.embeddings.token_embedding.weight": (4, 4),
    },
    "a CLIP vision model.": {
        "vision_model.encoder.layers.0.self_attn.q_proj.weight": (4, 4),
        "vision_model.embeddings.class_embedding": (4,),
    },
    "a diffusion transformer of another kind": {"transformer_blocks.0.attn1.to_q.weight": (4, 4)},
    "a language model.": {"model.layers.0.self_attn.q_proj.weight": (4, 4)},
    "ACE-Step, a music model.": {
        "genre_embedder.weight": (4, 4),
        "lyric_encoder.embed.out.0.weight": (4, 4),
        "transformer_blocks.0.cross_attn.to_q.weight": (4, 4),
    },
    "a PixArt model in the diffusers layout.": {
        "adaln_single.linear.weight": (24, 4),
        "transformer_blocks.0.attn1.to_q.weight": (4, 4),
        "caption_projection.linear_1.weight": (4, 4),
    },
    "an upscaling model.": {"body.0.rdb1.conv1.weight": (4, 4, 3, 3)},
    "a ControlNet.": {"control_model.input_blocks.0.0.weight": (4, 4, 3, 3)},
    "the state of an optimizer.": {"exp_avg": (4,), "exp_avg_sq": (4,)},
}

LORAS = {
    "peft": "base_model.model.blocks.0.attn.q.lora_A.weight",
    "peft, ComfyUI prefix": "diffusion_model.blocks.0.attn.q.lora_B.weight",
    "core trainer": "diffusion_model.blocks.0.attn.q.lora_up.weight",
    "kohya": "lora_unet_blocks_0_attn_q.lora_down.weight",
    "kohya, text encoder": "lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_up.weight",
    "old diffusers": "unet.mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.down.weight",
    "diffusers": "transformer.transformer_blocks.0.attn.to_q.lora_A.weight",
    "LoKr": "lycoris_blocks_0_attn_q.lokr_w1",
    "LoHa": "lora_unet_blocks_0_attn_q.hada_w1_a",
    "full difference": "diffusion_model.blocks.0.attn.q.diff",
}


@pytest.mark.parametrize("looks_like", NOT_ACE)
def test_foreign_models_are_named(tmp_path, looks_like):
    path = tmp_path / "ace.safetensors"
    save_file({name: torch.zeros(shape) for name, shape in NOT_ACE[looks_like].items()}, path)
    with pytest.raises(CheckpointError) as caught:
        load_model(path)
    assert f"looks like {looks_like}" in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("style", LORAS)
def test_loras_are_sent_to_a_lora_loader(tmp_path, style):
    path = tmp_path / "lora.safetensors"
    save_file({LORAS[style]: torch.zeros(4, 4)}, path)
    with pytest.raises(CheckpointError, match=r"LoRA.*LoRA loader node"):
        load_model(path)


@pytest.mark.parametrize(
    "name",
    [
        "lora_unet_double_blocks_0_img_attn_proj.lora_down.weight",
        "transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight",
    ],
)
def test_loras_for_flux_say_so(name):
    assert detect_from_tensors({name: (4, 4)}).name.startswith("a LoRA for FLUX")


def test_nothing_is_guessed_about_unknown_tensors(tmp_path):
    path = tmp_path / "mystery.safetensors"
    save_file({"some.weight": torch.zeros(3, 2), "other": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match=r"not one that is recognised: it holds 2 tensors.*Expected an ACE model"):
        load_model(path)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 2447431856\n"
PAGES = {
    "a Git LFS pointer, not the weights": LFS,
    "an HTML page": b"\n<!DOCTYPE html>\n<html><head><title>Sign in</title>",
    "an error message from a download server": b'{"error":"Invalid credentials in Authorization header"}',
    "the index of a model that is split": b'{"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}',
    "a JSON text": b'{"_class_name": "PixArtTransformer2DModel"}',
    "a GGUF file": b"GGUF\x03\x00\x00\x00" + bytes(64),
    "an image": b"\x89PNG\r\n\x1a\n" + bytes(64),
    "a packed archive": b"\x1f\x8b\x08\x00" + bytes(64),
    "a NumPy array": b"\x93NUMPY\x01\x00" + bytes(64),
    "a text file": b"make the boy cry, his eyes filled with tears",
}


@pytest.mark.parametrize("looks_like", PAGES)
@pytest.mark.parametrize("name", ["ace_0.6b_512px.pth", "ace.safetensors"])
def test_files_under_the_name_of_weights(tmp_path, name, looks_like):
    path = tmp_path / name
    path.write_bytes(PAGES[looks_like])
    with pytest.raises(CheckpointError) as caught:
        load_model(path)
    assert f"it looks like {looks_like}" in str(caught.value)


def test_bytes_of_no_known_kind(tmp_path):
    path = tmp_path / "ace.pth"
    path.write_bytes(bytes(range(200, 256)) * 10)
    with pytest.raises(CheckpointError, match="starts with the bytes c8 c9 ca"):
        load_model(path)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_a_download_that_was_cut_off(tmp_path, suffix, kept):
    path = tmp_path / f"ace.{suffix}"
    tensors = {f"blocks.{k}.attn.q.weight": torch.randn(32, 32) for k in range(20)}
    torch.save(tensors, path) if suffix == "pth" else save_file(tensors, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(CheckpointError, match="cut off"):
        load_model(path)


def test_a_legacy_file_that_was_cut_off(tmp_path):
    path = tmp_path / "ace.pth"
    torch.save({"blocks.0.attn.q.weight": torch.randn(64, 64)}, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    for kept in (0.02, 0.5, 0.95):
        path.write_bytes(whole[: int(len(whole) * kept)])
        with pytest.raises(CheckpointError, match="cut off"):
            load_model(path)


def test_a_safetensors_header_that_was_cut_off(tmp_path):
    path = tmp_path / "ace.safetensors"
    save_file({f"blocks.{k}.attn.q.weight": torch.zeros(2, 2) for k in range(200)}, path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(CheckpointError, match=r"header needs \d+ bytes, the file has 500"):
        load_model(path)


def test_a_damaged_safetensors_header(tmp_path):
    path = tmp_path / "ace.safetensors"
    save_file({"a": torch.zeros(2, 2)}, path)
    content = bytearray(path.read_bytes())
    content[20:24] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged safetensors header"):
        load_model(path)


class Exploit:
    """Unpickling this would make a file."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_pickle_that_wants_to_run_code_is_not_run(tmp_path, zipped):
    path, mark = tmp_path / "ace.pth", tmp_path / "ran"
    content = {"state_dict": {"a": torch.zeros(1)}, "callback": Exploit(mark)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"was not opened.*would have to run `\w+\.open`.*\.safetensors"):
        load_model(path)
    assert not mark.exists()


def test_a_bare_pickle_is_not_run_either(tmp_path):
    path, mark = tmp_path / "ace.ckpt", tmp_path / "ran"
    path.write_bytes(pickle.dumps({"a": Exploit(mark)}))
    with pytest.raises(CheckpointError):
        load_model(path)
    assert not mark.exists()


def test_torchscript_and_other_zips(tmp_path):
    script = tmp_path / "script.pt"
    with zipfile.ZipFile(script, "w") as file:
        for member in ("script/data.pkl", "script/constants.pkl", "script/code/__torch__.py"):
            file.writestr(member, b"")
    with pytest.raises(CheckpointError, match="TorchScript program"):
        load_model(script)
    archive = tmp_path / "model.pth"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("README.txt", "unpack me")
    with pytest.raises(CheckpointError, match=r"ordinary zip archive \(README\.txt"):
        load_model(archive)
    np.savez(tmp_path / "model.npz", a=np.zeros(2))
    with pytest.raises(CheckpointError, match="ordinary zip archive"):
        load_model(tmp_path / "model.npz")


@pytest.mark.parametrize(
    ("content", "what"), [(torch.zeros(2), "a Tensor"), ([1, 2], "a list"), ({"epoch": 3, "lr": 0.1}, "epoch, lr")]
)
def test_pytorch_files_without_named_weights(tmp_path, content, what):
    path = tmp_path / "latent.pt"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=f"without named weights: it holds.*{what}"):
        load_model(path)


def test_missing_files_get_a_suggestion(tmp_path):
    (tmp_path / "ace_0.6b_512px.pth").touch()
    with pytest.raises(CheckpointError, match=r"no file .*Did you mean ace_0\.6b_512px\.pth\?"):
        load_model(tmp_path / "ace_0.6b_512px.safetensors")
    with pytest.raises(CheckpointError, match="has a similar name"):
        load_model(tmp_path / "zzz")
    with pytest.raises(CheckpointError, match="does not exist either"):
        load_model(tmp_path / "nowhere" / "ace.pth")


def test_empty_files_and_folders(tmp_path):
    (tmp_path / "ace.pth").touch()
    with pytest.raises(CheckpointError, match="is empty"):
        load_model(tmp_path / "ace.pth")
    with pytest.raises(CheckpointError, match=r"is a folder.*it holds ace\.pth"):
        load_model(tmp_path)
