"""LoRA, DoRA and LoKr: the host's own loader gives the weights that training had, and that merging gives.

The files and the weights in training were written outside by ../test_inside.py.
"""

from __future__ import annotations

from pathlib import Path

import comfy.lora
import comfy.sd
import comfy.utils
import comfy.weight_adapter.lora
import pytest
import torch

KINDS = ("lora", "dora", "lokr", "lokr-whole")
LAYER = "blocks.0.attn.q"


@pytest.fixture
def folder(pytestconfig) -> Path:
    return Path(pytestconfig.getoption("--base")) / "adapters"


@pytest.fixture
def load(load_model):
    """Tensors and strength -> the weights of the MODEL while it is patched, without the prefix."""

    def weights(tensors: dict[str, torch.Tensor], strength: float) -> dict[str, torch.Tensor]:
        model, _ = comfy.sd.load_lora_for_models(load_model(), None, tensors, strength, 0.0)
        patched = model.patch_model()
        found = {name: tensor.clone() for name, tensor in patched.diffusion_model.state_dict().items()}
        model.unpatch_model()
        return found

    return weights


def _merged(pack, bundle, path: Path, strength: float) -> dict[str, torch.Tensor]:
    lora = pack("ace.weights.lora")
    model = pack("ace.weights.checkpoint").load_model(bundle.dit)
    return lora.merge_lora(model, lora.read_lora(path), strength).state_dict()


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_trained_merged_and_loaded_weights_are_the_same(pack, bundle, load, folder, kind, strength, caplog):
    path = folder / f"{kind}.safetensors"
    trained = comfy.utils.load_torch_file(str(folder / f"{kind}-weights.safetensors"), safe_load=True)
    loaded = load(comfy.utils.load_torch_file(str(path), safe_load=True), strength)
    assert "not loaded" not in caplog.text.lower() and "ERROR" not in caplog.text
    merged = _merged(pack, bundle, path, strength)
    base = pack("ace.weights.checkpoint").load_model(bundle.dit).state_dict()
    assert loaded.keys() == base.keys()
    for name, before in base.items():
        after = trained.get(name.removesuffix(".weight"), before) if name.endswith(".weight") else before
        assert after is before or (after - before).norm() > 1e-3 * before.norm(), name
        wanted = torch.lerp(before, after, strength)
        torch.testing.assert_close(loaded[name], wanted, rtol=1e-4, atol=1e-5, msg=name)
        torch.testing.assert_close(merged[name], loaded[name], rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize(
    ("parts", "shapes"),
    [
        ("w1 of two factors", {"w1_a": (8, 2), "w1_b": (2, 4), "w2": (-8, -4)}),
        ("both of two factors", {"w1_a": (8, 2), "w1_b": (2, 4), "w2_a": (-8, 3), "w2_b": (3, -4)}),
        ("w2 of two factors", {"w1": (8, 4), "w2_a": (-8, 3), "w2_b": (3, -4)}),
        ("whole", {"w1": (8, 4), "w2": (-8, -4)}),
        ("of a convolution", {"w1_a": (8, 2), "w1_b": (2, 1), "w2": (-8, -1, -2, -2)}),
    ],
)
@pytest.mark.parametrize("decomposed", [False, True], ids=["plain", "with magnitudes"])
def test_lokr_of_other_trainers_is_merged_as_the_host_loads_it(pack, bundle, load, tmp_path, parts, shapes, decomposed):
    """Negative sizes are what is left of the layer's by such a factor; -1 and -2 of a convolution are its own."""
    layer = "x_embedder.proj" if parts == "of a convolution" else LAYER
    base = pack("ace.weights.checkpoint").load_model(bundle.dit).state_dict()
    weight, generator = base[f"{layer}.weight"], torch.Generator().manual_seed(1)
    rows, columns, *kernel = weight.shape
    left = {-8: rows // 8, -4: columns // 4, -1: columns, -2: kernel[0] if kernel else 0}
    prefix = f"diffusion_model.{layer}"
    tensors = {f"{prefix}.alpha": torch.tensor(5.0)}
    for name, shape in shapes.items():
        size = [left.get(n, n) for n in shape]
        tensors[f"{prefix}.lokr_{name}"] = 0.3 * torch.randn(size, generator=generator)
    if decomposed:
        tensors[f"{prefix}.dora_scale"] = torch.rand(1, columns, *[1] * len(kernel), generator=generator) + 0.5
    path = tmp_path / "lokr.safetensors"
    comfy.utils.save_torch_file(tensors, str(path))
    loaded, merged = load(dict(tensors), 0.5), _merged(pack, bundle, path, 0.5)
    assert (loaded[f"{layer}.weight"] - weight).norm() > 0.01 * weight.norm()
    for name in base:
        torch.testing.assert_close(merged[name], loaded[name], rtol=1e-5, atol=1e-6, msg=name)


def _mended(dora_scale, weight, lora_diff, alpha, strength, intermediate_dtype, function):
    """The host's arithmetic with Comfy-Org/ComfyUI#15458 mended: rows, too, are divided by what they have become."""
    changed = weight + function(alpha * lora_diff)
    rows = dora_scale.shape[0] == weight.shape[0]
    lengths = (changed if rows else changed.transpose(0, 1)).flatten(1).norm(dim=1).view_as(dora_scale)
    return weight.lerp_(changed * dora_scale / lengths, strength)


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_a_dora_stays_what_it_is_when_the_host_is_mended(load, folder, strength, monkeypatch):
    file = comfy.utils.load_torch_file(str(folder / "dora.safetensors"), safe_load=True)
    key = f"diffusion_model.{LAYER}.dora_scale"
    by_rows = {**file, key: file[key].mT.contiguous()}  # as other trainers have it; the layer is square
    today = [load(dict(tensors), strength) for tensors in (file, by_rows)]
    monkeypatch.setattr(comfy.weight_adapter.lora, "weight_decompose", _mended)
    mended = [load(dict(tensors), strength) for tensors in (file, by_rows)]
    for name, weight in today[0].items():
        torch.testing.assert_close(mended[0][name], weight, rtol=1e-4, atol=1e-5, msg=name)
    before, after = (weights[1][f"{LAYER}.weight"] for weights in (today, mended))
    assert (before - after).norm() > 0.01 * before.norm()  # the mending is seen where it matters
