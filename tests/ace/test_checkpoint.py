"""Loading, saving and converting weights in every format, on a tiny model."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from comfyui_ace.ace.checkpoint import (
    CheckpointError,
    config_tensors,
    convert,
    load_model,
    read_checkpoint,
    save_checkpoint,
    to_model_keys,
    to_published_keys,
)
from comfyui_ace.ace.config import ACEConfig
from comfyui_ace.ace.model import ACEModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file

CONFIG = ACEConfig(hidden_size=32, depth=2, num_heads=2, text_width=16, max_seq_len=64)
HEADER = CONFIG.metadata()


@pytest.fixture
def model():
    torch.manual_seed(0)
    return ACEModel(CONFIG).eval()


@pytest.fixture
def weights(model):
    """The published names."""
    return to_published_keys(model.state_dict())


@pytest.fixture
def file(tmp_path, weights):
    path = tmp_path / "ace.safetensors"
    save_file(weights, path, metadata=HEADER)
    return path


def assert_same(model, weights, **tolerance):
    own = to_published_keys(model.state_dict())
    assert own.keys() == weights.keys()
    for name, tensor in own.items():
        torch.testing.assert_close(
            tensor, weights[name].to(tensor.dtype), **tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )


def published_size(**metadata):
    """A state dict with the published width and depth whose tensors cost no memory."""
    config = ACEConfig(**metadata)
    return {n: torch.zeros(()).expand(t.shape) for n, t in _meta(config).items()}


def _meta(config):
    return to_published_keys(ACEModel(config, device="meta").state_dict())


# Names


def test_names_go_back_and_forth(model, weights):
    assert "blocks.0.scale_shift_table" in weights
    assert "final_layer.scale_shift_table" in weights
    assert to_model_keys(weights).keys() == model.state_dict().keys()
    assert to_model_keys(to_model_keys(weights)).keys() == model.state_dict().keys()
    assert to_published_keys(weights).keys() == weights.keys()


# Formats


def test_safetensors(file, weights):
    checkpoint = read_checkpoint(file)
    assert checkpoint.source == "safetensors"
    assert checkpoint.config == CONFIG
    assert checkpoint.metadata == HEADER
    assert checkpoint.state_dict.keys() == weights.keys()
    assert_same(load_model(file), weights, rtol=0, atol=0)


@pytest.mark.parametrize(
    "wrap", [lambda sd: sd, lambda sd: {"state_dict": sd, "epoch": 3}, lambda sd: {"model": {"ema": sd}}]
)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_pth_wrapped_or_not(tmp_path, weights, wrap, zipped):
    path = tmp_path / "ace.pth"
    torch.save(wrap(weights | config_tensors(CONFIG)), path, _use_new_zipfile_serialization=zipped)
    checkpoint = read_checkpoint(path)
    assert checkpoint.source == "published .pth"
    assert checkpoint.config == CONFIG
    assert_same(load_model(path), weights, rtol=0, atol=0)


def test_published_shape_needs_no_metadata(tmp_path):
    path = tmp_path / "ace_0.6b_512px.pth"
    torch.save({"state_dict": published_size()}, path)
    assert path.stat().st_size < 1e6
    config = read_checkpoint(path).config
    assert (config.hidden_size, config.depth, config.num_heads) == (1152, 28, 16)


def test_unknown_shape_without_metadata_is_an_error(tmp_path, weights):
    path = tmp_path / "ace.safetensors"
    save_file(weights, path)
    with pytest.raises(CheckpointError, match="num_heads"):
        read_checkpoint(path)


@pytest.mark.parametrize("prefix", ["module.", "model.", "diffusion_model.", "_orig_mod.", "module.model."])
def test_prefixes_are_taken_off(tmp_path, weights, prefix):
    path = tmp_path / "ace.safetensors"
    save_file({prefix + name: tensor for name, tensor in weights.items()}, path, metadata=HEADER)
    assert_same(load_model(path), weights, rtol=0, atol=0)


def test_comfyui_model_save(tmp_path, weights):
    path = tmp_path / "saved.safetensors"
    saved = {f"model.diffusion_model.{name}": tensor for name, tensor in (weights | config_tensors(CONFIG)).items()}
    save_file(saved, path, metadata={"prompt": "{}"})
    assert read_checkpoint(path).source == "ComfyUI ModelSave"
    assert read_checkpoint(path).config == CONFIG
    assert_same(load_model(path), weights, rtol=0, atol=0)


def test_comfyui_save_checkpoint_with_vae_and_text_encoder(tmp_path, weights):
    path = tmp_path / "saved.safetensors"
    saved = {f"model.diffusion_model.{name}": tensor for name, tensor in weights.items()}
    saved["first_stage_model.decoder.conv_in.weight"] = torch.zeros(4, 4, 3, 3)
    saved["text_encoders.t5xxl.transformer.shared.weight"] = torch.zeros(4, 4)
    save_file(saved, path, metadata=HEADER)
    assert_same(load_model(path), weights, rtol=0, atol=0)


def test_names_of_the_module_are_read_too(tmp_path, weights):
    path = tmp_path / "ace.safetensors"
    save_file(to_model_keys(weights), path, metadata=HEADER)
    assert_same(load_model(path), weights, rtol=0, atol=0)


def test_the_content_decides_not_the_extension(tmp_path, weights):
    save_file(weights, tmp_path / "a.pth", metadata=HEADER)
    torch.save(weights | config_tensors(CONFIG), tmp_path / "b.safetensors")
    assert_same(load_model(tmp_path / "a.pth"), weights, rtol=0, atol=0)
    assert_same(load_model(tmp_path / "b.safetensors"), weights, rtol=0, atol=0)


# Dtypes


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2])
@pytest.mark.parametrize("container", ["safetensors", "pth"])
def test_storage_dtypes(tmp_path, weights, stored, container):
    small = {name: tensor.to(stored) for name, tensor in weights.items()}
    path = tmp_path / f"ace.{container}"
    if container == "pth":
        torch.save(small | config_tensors(CONFIG), path)
    else:
        save_file(small, path, metadata=HEADER)
    assert read_checkpoint(path).state_dict["t_block.1.weight"].dtype == stored
    for dtype in (torch.float32, torch.bfloat16):
        loaded = load_model(path, dtype=dtype)
        assert {p.dtype for p in loaded.parameters()} == {dtype}
        assert_same(loaded, small, rtol=0, atol=0)


def scaled(weights, spelling, scale_shape=()):
    """What ComfyUI's scaled fp8 checkpoints hold: matrices as fp8 with a scale beside each."""
    result = {}
    for name, tensor in weights.items():
        if tensor.ndim != 2 or not name.endswith(".weight"):
            result[name] = tensor
            continue
        layer = name.removesuffix(".weight")
        rows = tensor.abs().amax(dim=1) if scale_shape else tensor.abs().max()
        scale = (rows / 448.0).reshape(scale_shape or ())
        result[name] = (tensor / (scale[:, None] if scale_shape else scale)).to(torch.float8_e4m3fn)
        if spelling == "old":
            result[f"{layer}.scale_weight"], result[f"{layer}.scale_input"] = scale, torch.tensor(1.0)
        else:
            result[f"{layer}.weight_scale"], result[f"{layer}.input_scale"] = scale, torch.tensor(1.0)
            result[f"{layer}.comfy_quant"] = torch.tensor(
                list(json.dumps({"format": "float8_e4m3fn"}).encode()), dtype=torch.uint8
            )
    if spelling == "old":
        result["scaled_fp8"] = torch.empty(0, dtype=torch.float8_e4m3fn)
    return result


@pytest.mark.parametrize("spelling", ["old", "new"])
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_scaled_fp8_is_scaled_back(tmp_path, weights, spelling, prefix):
    path = tmp_path / "ace_fp8_scaled.safetensors"
    save_file({prefix + name: tensor for name, tensor in scaled(weights, spelling).items()}, path, metadata=HEADER)
    loaded = to_published_keys(load_model(path).state_dict())
    for name, tensor in weights.items():
        exact = tensor.ndim != 2 or not name.endswith(".weight")
        # e4m3 has three mantissa bits: half a step is 1/16; below the largest value / 448 / 64 it is subnormal
        tolerance = {"rtol": 0, "atol": 0} if exact else {"rtol": 1 / 16, "atol": float(tensor.abs().max()) * 2e-5}
        torch.testing.assert_close(loaded[name], tensor, **tolerance)


def test_scaled_fp8_with_a_scale_for_each_row(tmp_path, weights):
    path = tmp_path / "ace.safetensors"
    by_row = {n: t for n, t in weights.items() if n.startswith("blocks.0.attn.q")}
    save_file(weights | scaled(by_row, "new", scale_shape=(32,)), path, metadata=HEADER)
    loaded = load_model(path).state_dict()["blocks.0.attn.q.weight"]
    torch.testing.assert_close(loaded, weights["blocks.0.attn.q.weight"], rtol=1 / 16, atol=1e-5)


def test_a_scale_beside_a_weight_that_is_not_fp8_is_refused(tmp_path, weights):
    """ComfyUI 0.8 with a newer comfy-kitchen saves quantised models so; the weight's bytes are then meaningless."""
    path = tmp_path / "ace.safetensors"
    save_file(weights | {"t_block.1.weight_scale": torch.tensor(0.5)}, path, metadata=HEADER)
    with pytest.raises(CheckpointError, match=r"t_block\.1\.weight is stored as float32 but comes with a quantis"):
        read_checkpoint(path)


# The model that comes out


def test_loaded_model_is_ready_and_trainable(file, model):
    loaded = load_model(file)
    assert not loaded.training
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert not any(tensor.is_meta for tensor in (*loaded.parameters(), *loaded.buffers()))
    assert loaded.config == CONFIG


def test_training_a_loaded_model_leaves_the_file_alone(file, weights):
    """Weights are memory-mapped: a write to them must stay in memory."""
    for path in (file, file.with_suffix(".pth")):
        torch.save(weights | config_tensors(CONFIG), file.with_suffix(".pth"))
        before = path.read_bytes()
        loaded = load_model(path)
        with torch.no_grad():
            for parameter in loaded.parameters():
                parameter.add_(1.0)
        assert path.read_bytes() == before
        assert_same(load_model(path), weights, rtol=0, atol=0)


# Incomplete ACE files


def test_missing_unexpected_and_misshaped_tensors_are_named_in_one_error(tmp_path, weights):
    path = tmp_path / "ace.safetensors"
    weights = dict(weights)
    del weights["blocks.1.attn.q.weight"]
    weights["blocks.1.extra"] = torch.zeros(1)
    weights["t_embedder.mlp.2.bias"] = torch.zeros(7)
    save_file(weights, path, metadata=HEADER)
    with pytest.raises(CheckpointError) as caught:
        load_model(path)
    text = str(caught.value)
    assert "1 missing (blocks.1.attn.q.weight)" in text
    assert "1 unexpected (blocks.1.extra)" in text
    assert "t_embedder.mlp.2.bias [7] instead of [32]" in text
    assert "looks like an ACE model of width 32 with 2 blocks" in text


def test_a_needed_tensor_that_is_missing_is_an_error_of_ours(tmp_path, weights):
    path = tmp_path / "ace.safetensors"
    save_file({n: t for n, t in weights.items() if n != "x_embedder.proj.weight"}, path, metadata=HEADER)
    with pytest.raises(CheckpointError, match=r"x_embedder\.proj\.weight"):
        read_checkpoint(path)


# PixArt


def pixart(config=CONFIG, tokens=120, micro=False):
    """A state dict with the names and shapes of PixArt's original code."""
    torch.manual_seed(1)
    width, text = config.hidden_size, config.text_width
    shapes = {
        "pos_embed": (1, 16, width),
        "x_embedder.proj.weight": (width, 4, 2, 2),
        "x_embedder.proj.bias": (width,),
        "y_embedder.y_embedding": (tokens, text),
        "final_layer.scale_shift_table": (2, width),
    }
    linears = {
        "t_embedder.mlp.0": (width, 256),
        "t_embedder.mlp.2": (width, width),
        "t_block.1": (6 * width, width),
        "y_embedder.y_proj.fc1": (width, text),
        "y_embedder.y_proj.fc2": (width, width),
        "final_layer.linear": (32, width),
    }
    for index in range(config.depth):
        block = f"blocks.{index}"
        shapes[f"{block}.scale_shift_table"] = (6, width)
        linears |= {
            f"{block}.attn.qkv": (3 * width, width),
            f"{block}.attn.proj": (width, width),
            f"{block}.cross_attn.q_linear": (width, width),
            f"{block}.cross_attn.kv_linear": (2 * width, width),
            f"{block}.cross_attn.proj": (width, width),
            f"{block}.mlp.fc1": (4 * width, width),
            f"{block}.mlp.fc2": (width, 4 * width),
        }
    if micro:
        linears |= {f"{name}.mlp.{k}": (width // 3, 256) for name in ("csize_embedder", "ar_embedder") for k in (0, 2)}
    for name, shape in linears.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return {name: torch.randn(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("micro", [False, True])
def test_pixart_initialises_an_ace_model(tmp_path, caplog, micro):
    source = pixart(micro=micro)
    path = tmp_path / "PixArt-XL-2-512x512.pth"
    torch.save({"state_dict": source | config_tensors(CONFIG)}, path)
    with caplog.at_level(logging.WARNING):
        checkpoint = read_checkpoint(path)
    assert checkpoint.source == "PixArt-α"
    assert "not ACE" in caplog.text
    assert ("left out" in caplog.text) == micro

    model = load_model(path)
    x = torch.randn(5, 32)
    block, names = model.blocks[1], "blocks.1"
    for attention, fused, letters in (
        (block.attn, "attn.qkv", "qkv"),
        (block.cross_attn, "cross_attn.kv_linear", "kv"),
    ):
        together = torch.nn.functional.linear(x, source[f"{names}.{fused}.weight"], source[f"{names}.{fused}.bias"])
        apart = torch.cat([getattr(attention, letter)(x) for letter in letters], dim=-1)
        torch.testing.assert_close(apart, together)
        assert torch.equal(attention.norm_q.weight, torch.ones(32))
    torch.testing.assert_close(block.attn.o.weight, source[f"{names}.attn.proj.weight"])
    torch.testing.assert_close(block.cross_attn.q.weight, source[f"{names}.cross_attn.q_linear.weight"])
    torch.testing.assert_close(block.cross_attn.o.weight, source[f"{names}.cross_attn.proj.weight"])
    torch.testing.assert_close(model.y_embedder.fc2.bias, source["y_embedder.y_proj.fc2.bias"])
    # The mask channel is silent, the latent's are PixArt's.
    latent = torch.randn(1, 4, 8, 8)
    alone = torch.nn.functional.conv2d(
        latent, source["x_embedder.proj.weight"], source["x_embedder.proj.bias"], stride=2
    )
    both = model.x_embedder.proj(torch.cat((latent, torch.randn(1, 1, 8, 8)), dim=1))
    torch.testing.assert_close(both, alone)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_pixart_in_other_dtypes(tmp_path, dtype):
    path = tmp_path / "pixart.safetensors"
    save_file({name: tensor.to(dtype) for name, tensor in pixart().items()}, path, metadata=HEADER)
    assert {t.dtype for t in read_checkpoint(path).state_dict.values()} == {dtype}
    assert load_model(path).dtype == torch.float32


def test_pixart_sigma_is_refused(tmp_path):
    path = tmp_path / "PixArt-Sigma.pth"
    torch.save(pixart(tokens=300), path)
    with pytest.raises(CheckpointError, match=r"SDXL VAE.*PixArt-α instead"):
        read_checkpoint(path)


# Saving


def test_saving_a_model_writes_published_names_and_the_header(tmp_path, model, weights):
    path = save_checkpoint(model, tmp_path / "deep" / "ace.safetensors", metadata={"steps": 20})
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "pt", **HEADER, "steps": "20"}
        assert set(file.keys()) == set(weights)
    assert_same(load_model(path), weights, rtol=0, atol=0)


def test_saving_a_state_dict_with_shared_and_transposed_tensors(tmp_path, weights):
    one = torch.randn(64, 32)
    weights = weights | {
        "blocks.0.attn.q.weight": one[:32],
        "blocks.0.attn.k.weight": one[32:],
        "blocks.0.attn.v.weight": one[:32].T,
        "blocks.1.attn.q.weight": weights["blocks.1.attn.k.weight"],
    }
    path = save_checkpoint(to_model_keys(weights), tmp_path / "ace.safetensors", metadata=HEADER)
    assert_same(load_model(path), weights, rtol=0, atol=0)


def test_an_existing_file_is_overwritten_only_when_asked(tmp_path, model):
    path = tmp_path / "ace.safetensors"
    path.write_bytes(b"precious")
    with pytest.raises(CheckpointError, match="exists already"):
        save_checkpoint(model, path)
    assert path.read_bytes() == b"precious"
    save_checkpoint(model, path, overwrite=True)
    assert load_model(path).config == CONFIG
    assert [p.name for p in tmp_path.iterdir()] == ["ace.safetensors"]


def test_a_model_can_be_saved_over_the_file_it_was_loaded_from(file, weights):
    loaded = load_model(file)
    with torch.no_grad():
        loaded.t_block[1].bias.add_(1.0)
    save_checkpoint(loaded, file, overwrite=True)
    again = load_model(file).state_dict()
    torch.testing.assert_close(again["t_block.1.bias"], weights["t_block.1.bias"] + 1.0)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are POSIX")
def test_others_may_read_a_saved_file_as_any_other(tmp_path, model):
    (tmp_path / "plain").touch()
    path = save_checkpoint(model, tmp_path / "ace.safetensors")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_only_safetensors_is_written(tmp_path, model):
    with pytest.raises(CheckpointError, match=r"does not end in \.safetensors"):
        save_checkpoint(model, tmp_path / "ace.pth")


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
@pytest.mark.parametrize("existing", [False, True])
def test_a_full_disk_leaves_nothing_behind(tmp_path, existing):
    """A limit on the size of files makes the write fail half-way, as a full disk does."""
    path = tmp_path / "ace.safetensors"
    if existing:
        path.write_bytes(b"precious")
    script = f"""
import resource, signal
from comfyui_ace.ace.checkpoint import CheckpointError, save_checkpoint
from comfyui_ace.ace.config import ACEConfig
from comfyui_ace.ace.model import ACEModel
model = ACEModel(ACEConfig(hidden_size=32, depth=2, num_heads=2, text_width=16))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    save_checkpoint(model, {str(path)!r}, overwrite=True)
except CheckpointError as error:
    assert "could not be written" in str(error), error
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "refused", done.stderr
    assert [p.read_bytes() for p in tmp_path.iterdir()] == ([b"precious"] if existing else [])


def test_too_little_space_is_told_beforehand(tmp_path):
    from comfyui_ace.ace.files import whole_file

    with pytest.raises(OSError, match="1e\\+09 GB are needed"), whole_file(tmp_path / "a.safetensors", size=10**18):
        pytest.fail("must not begin to write")
    assert list(tmp_path.iterdir()) == []


# Converting


def test_convert_writes_what_the_tensors_cannot_say(tmp_path, weights):
    source = tmp_path / "models" / "dit" / "ace_tiny.pth"
    source.parent.mkdir(parents=True)
    torch.save({"state_dict": weights | config_tensors(CONFIG)}, source)
    (tmp_path / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# ACE\n", encoding="utf-8")
    summary = convert(source, tmp_path)
    assert summary.destination == tmp_path / "ace_tiny.safetensors"
    assert summary.dtypes == ("float32",)
    assert summary.parameters == sum(t.numel() for t in weights.values())
    assert summary.size == summary.destination.stat().st_size
    with safe_open(summary.destination, "pt") as file:
        header = file.metadata()
    import hashlib

    assert header == {
        "format": "pt",
        **HEADER,
        "architecture": "ACE",
        "source_file": "ace_tiny.pth",
        "source_format": "published .pth",
        "source_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "license": "apache-2.0",
    }
    assert_same(load_model(summary.destination), weights, rtol=0, atol=0)


def test_convert_says_nothing_about_an_unknown_licence(file, tmp_path):
    with safe_open(convert(file, tmp_path / "b.safetensors").destination, "pt") as opened:
        assert "license" not in opened.metadata()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_convert_to_half_precision(file, tmp_path, weights, dtype):
    path = convert(file, tmp_path / "half.safetensors", dtype=dtype).destination
    assert {t.dtype for t in load_file(path).values()} == {dtype}
    assert_same(load_model(path), {n: t.to(dtype) for n, t in weights.items()}, rtol=0, atol=0)


def test_convert_to_fp8_keeps_the_few_sensitive_weights_in_bfloat16(file, tmp_path):
    path = convert(file, tmp_path / "fp8.safetensors", dtype=torch.float8_e4m3fn).destination
    dtypes = {name: tensor.dtype for name, tensor in load_file(path).items()}
    assert dtypes["blocks.0.attn.q.weight"] == dtypes["blocks.1.mlp.fc2.weight"] == torch.float8_e4m3fn
    assert dtypes["blocks.0.attn.q.bias"] == dtypes["blocks.0.attn.norm_q.weight"] == torch.bfloat16
    assert dtypes["blocks.0.scale_shift_table"] == dtypes["x_embedder.proj.weight"] == torch.bfloat16
    load_model(path)


def test_convert_refuses_a_dtype_that_cannot_hold_a_weight(tmp_path, weights):
    weights["t_block.1.bias"][3] = 1e6
    source = tmp_path / "ace.safetensors"
    save_file(weights, source, metadata=HEADER)
    with pytest.raises(CheckpointError, match=r"t_block\.1\.bias has values up to 1e\+06, which float16 cannot hold"):
        convert(source, tmp_path / "half.safetensors", dtype=torch.float16)
    assert not (tmp_path / "half.safetensors").exists()


def test_convert_does_not_touch_an_existing_file(file, tmp_path):
    target = tmp_path / "there.safetensors"
    target.write_bytes(b"precious")
    with pytest.raises(CheckpointError, match="exists already"):
        convert(file, target)
    assert target.read_bytes() == b"precious"


def test_parity_weights_load():
    path = Path(__file__).parents[1] / "parity" / "weights.safetensors"
    assert load_model(path).config == ACEConfig(hidden_size=128, depth=3, num_heads=4, text_width=64, max_seq_len=64)
