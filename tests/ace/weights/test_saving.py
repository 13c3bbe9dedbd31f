"""Saving and converting weights."""

import hashlib
import subprocess
import sys

import pytest
import torch
from comfyui_ace.ace.files import atomic_write
from comfyui_ace.ace.weights.checkpoint import (
    CheckpointError,
    config_tensors,
    convert,
    load_model,
    read_checkpoint,
    save_checkpoint,
    to_model_keys,
)
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from .tiny_weights import (  # noqa: F401
    CONFIG,
    HEADER,
    assert_same,
    tiny_file_fixture,
    tiny_model_fixture,
    tiny_weights_fixture,
)


def test_saving_a_model_writes_published_names_and_the_header(tmp_path, tiny_model, tiny_weights):
    path = save_checkpoint(tiny_model, tmp_path / "deep" / "ace.safetensors", metadata={"steps": 20})
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "pt", **HEADER, "steps": "20"}
        assert set(file.keys()) == set(tiny_weights)
    assert_same(load_model(path), tiny_weights, rtol=0, atol=0)


def test_saving_a_state_dict_with_shared_and_transposed_tensors(tmp_path, tiny_weights):
    one = torch.randn(64, 32)
    tiny_weights = tiny_weights | {
        "blocks.0.attn.q.weight": one[:32],
        "blocks.0.attn.k.weight": one[32:],
        "blocks.0.attn.v.weight": one[:32].T,
        "blocks.1.attn.q.weight": tiny_weights["blocks.1.attn.k.weight"],
    }
    path = save_checkpoint(to_model_keys(tiny_weights), tmp_path / "ace.safetensors", metadata=HEADER)
    assert_same(load_model(path), tiny_weights, rtol=0, atol=0)


def test_an_existing_file_is_overwritten_only_when_asked(tmp_path, tiny_model):
    path = tmp_path / "ace.safetensors"
    path.write_bytes(b"precious")
    with pytest.raises(CheckpointError, match="exists already"):
        save_checkpoint(tiny_model, path)
    assert path.read_bytes() == b"precious"
    save_checkpoint(tiny_model, path, overwrite=True)
    assert load_model(path).config == CONFIG
    assert [p.name for p in tmp_path.iterdir()] == ["ace.safetensors"]


def test_a_model_can_be_saved_over_the_file_it_was_loaded_from(tiny_file, tiny_weights):
    loaded = load_model(tiny_file)
    with torch.no_grad():
        loaded.t_block[1].bias.add_(1.0)
    save_checkpoint(loaded, tiny_file, overwrite=True)
    again = load_model(tiny_file).state_dict()
    torch.testing.assert_close(again["t_block.1.bias"], tiny_weights["t_block.1.bias"] + 1.0)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are POSIX")
def test_others_may_read_a_saved_file_as_any_other(tmp_path, tiny_model):
    (tmp_path / "plain").touch()
    path = save_checkpoint(tiny_model, tmp_path / "ace.safetensors")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_only_safetensors_is_written(tmp_path, tiny_model):
    with pytest.raises(CheckpointError, match=r"does not end in \.safetensors"):
        save_checkpoint(tiny_model, tmp_path / "ace.pth")


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
@pytest.mark.parametrize("existing", [False, True])
def test_a_full_disk_leaves_nothing_behind(tmp_path, existing):
    """A limit on the size of files makes the write fail half-way, as a full disk does."""
    path = tmp_path / "ace.safetensors"
    if existing:
        path.write_bytes(b"precious")
    script = f"""
import resource, signal
from comfyui_ace.ace.weights.checkpoint import CheckpointError, save_checkpoint
from comfyui_ace.ace.model.config import ACEConfig
from comfyui_ace.ace.model.transformer import ACEModel
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
    with pytest.raises(OSError, match="1e\\+09 GB are needed"), atomic_write(tmp_path / "a.safetensors", size=10**18):
        pytest.fail("must not begin to write")
    assert list(tmp_path.iterdir()) == []


# Converting


def test_convert_stores_the_trained_size(tmp_path, tiny_file):
    assert read_checkpoint(tiny_file).max_tokens is None
    first = convert(tiny_file, tmp_path / "first.safetensors", max_tokens=4096).destination
    assert read_checkpoint(first).max_tokens == 4096
    again = convert(first, tmp_path / "again.safetensors", dtype=torch.float16).destination
    assert read_checkpoint(again).max_tokens == 4096


def test_convert_writes_what_the_tensors_cannot_say(tmp_path, tiny_weights):
    source = tmp_path / "models" / "dit" / "ace_tiny.pth"
    source.parent.mkdir(parents=True)
    torch.save({"state_dict": tiny_weights | config_tensors(CONFIG)}, source)
    (tmp_path / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# ACE\n", encoding="utf-8")
    summary = convert(source, tmp_path)
    assert summary.destination == tmp_path / "ace_tiny.safetensors"
    assert summary.dtypes == ("float32",)
    assert summary.parameters == sum(t.numel() for t in tiny_weights.values())
    assert summary.size == summary.destination.stat().st_size
    with safe_open(summary.destination, "pt") as file:
        header = file.metadata()
    assert header == {
        "format": "pt",
        **HEADER,
        "architecture": "ACE",
        "source_file": "ace_tiny.pth",
        "source_format": "published .pth",
        "source_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "license": "apache-2.0",
    }
    assert_same(load_model(summary.destination), tiny_weights, rtol=0, atol=0)


def test_convert_says_nothing_about_an_unknown_licence(tiny_file, tmp_path):
    with safe_open(convert(tiny_file, tmp_path / "b.safetensors").destination, "pt") as opened:
        assert "license" not in opened.metadata()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_convert_to_half_precision(tiny_file, tmp_path, tiny_weights, dtype):
    path = convert(tiny_file, tmp_path / "half.safetensors", dtype=dtype).destination
    assert {t.dtype for t in load_file(path).values()} == {dtype}
    assert_same(load_model(path), {n: t.to(dtype) for n, t in tiny_weights.items()}, rtol=0, atol=0)


def test_convert_to_fp8_keeps_the_few_sensitive_weights_in_bfloat16(tiny_file, tmp_path):
    path = convert(tiny_file, tmp_path / "fp8.safetensors", dtype=torch.float8_e4m3fn).destination
    dtypes = {name: tensor.dtype for name, tensor in load_file(path).items()}
    assert dtypes["blocks.0.attn.q.weight"] == dtypes["blocks.1.mlp.fc2.weight"] == torch.float8_e4m3fn
    assert dtypes["blocks.0.attn.q.bias"] == dtypes["blocks.0.attn.norm_q.weight"] == torch.bfloat16
    assert dtypes["blocks.0.scale_shift_table"] == dtypes["x_embedder.proj.weight"] == torch.bfloat16
    load_model(path)


def test_convert_refuses_a_dtype_that_cannot_hold_a_weight(tmp_path, tiny_weights):
    tiny_weights["t_block.1.bias"][3] = 1e6
    source = tmp_path / "ace.safetensors"
    save_file(tiny_weights, source, metadata=HEADER)
    with pytest.raises(CheckpointError, match=r"t_block\.1\.bias has values up to 1e\+06, which float16 cannot hold"):
        convert(source, tmp_path / "half.safetensors", dtype=torch.float16)
    assert not (tmp_path / "half.safetensors").exists()


def test_convert_does_not_touch_an_existing_file(tiny_file, tmp_path):
    target = tmp_path / "there.safetensors"
    target.write_bytes(b"precious")
    with pytest.raises(CheckpointError, match="exists already"):
        convert(tiny_file, target)
    assert target.read_bytes() == b"precious"
