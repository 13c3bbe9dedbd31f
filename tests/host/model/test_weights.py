"""Core nodes that change or store weights: LoRA loaders, ModelMerge and ModelSave, modulation tables included."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from comfyui_ace.ace.lcu.units import ConditionUnit
from comfyui_ace.ace.model.transformer import ACEModel
from comfyui_ace.ace.weights.checkpoint import load_model, save_checkpoint, to_published_keys
from host.harness.edits import EditGraph, condition, difference, run_latent, standalone
from host.harness.edits import photo as make_photo
from host.harness.models.loras import with_lora, write_lora
from host.harness.models.sensitive_bundle import make_sensitive
from safetensors.torch import load_file

TOLERANCE = 1e-4
OTHER, LORA = "other.safetensors", "edit_lora.safetensors"
_SNOW = "{image} make it snow"


@pytest.fixture(scope="module")
def first(bundle) -> ACEModel:
    return load_model(bundle.dit).requires_grad_(False)


@pytest.fixture(scope="module")
def second(comfy, first, tmp_path_factory) -> ACEModel:
    """Another model of the same shape, in models/ace under the name OTHER."""
    model = make_sensitive(copy.deepcopy(first), seed=7)
    comfy.add_model(save_checkpoint(model, tmp_path_factory.mktemp("other") / OTHER))
    return model


@pytest.fixture(scope="module")
def lora(comfy, first, tmp_path_factory) -> dict[str, torch.Tensor]:
    """A LoRA on linear layers with differences on two tables, in models/loras under the name LORA."""
    path = tmp_path_factory.mktemp("lora") / LORA
    tensors = write_lora(first, path)
    comfy.add_model(path, "loras")
    return tensors


def _mixed(first: ACEModel, second: ACEModel, ratio: float) -> ACEModel:
    model = copy.deepcopy(first)
    for name, weight in model.state_dict().items():
        weight.mul_(ratio).add_(second.state_dict()[name], alpha=1 - ratio)
    return model


def _edit(g: EditGraph, photo: str):
    return g.sampler(g.unit(_SNOW, g.picture(photo)), seed=4)[1]


@pytest.fixture
def expect(pipeline) -> Callable[[ACEModel], torch.Tensor]:
    """The latent that the same edit gives without a host, with a model of one's own."""
    unit = ConditionUnit(_SNOW, [condition(make_photo())])
    return lambda model: standalone(replace(pipeline, model=model), unit, seed=4)


def _load_lora(g: EditGraph, strength: float) -> None:
    g.model = g.node("LoraLoaderModelOnly", model=g.model, lora_name=LORA, strength_model=strength)[0]


def _save(comfy, g: EditGraph, name: str) -> str:
    """ModelSave, then the file put into models/ace; returns its name there."""
    g.node("ModelSave", model=g.model, filename_prefix=f"models/{name}")
    comfy.run(g)
    (path,) = (comfy.base_dir / "output" / "models").glob(f"{name}_*.safetensors")
    return comfy.add_model(path)


def _assert_stored(comfy, name: str, expected: ACEModel) -> None:
    """A file of ModelSave holds these weights under their published names, tables included."""
    stored = load_file(comfy.base_dir / "models" / "ace" / name)
    weights = to_published_keys(expected.state_dict())
    prefix = "model.diffusion_model."
    assert {key.removeprefix(prefix) for key in stored if ".ace_config." not in key} == weights.keys()
    for key, weight in weights.items():
        torch.testing.assert_close(stored[prefix + key], weight, rtol=1e-5, atol=1e-6, msg=lambda m, k=key: f"{k}: {m}")


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0, -1.0])
def test_lora(comfy, bundle, photo, first, lora, expect, strength):
    g = EditGraph()
    _load_lora(g, strength)
    found = run_latent(comfy, g, _edit(g, photo))
    assert difference(found, expect(with_lora(first, lora, strength))) < TOLERANCE
    if strength:
        assert difference(found, expect(first)) > 0.05


@pytest.mark.parametrize("part", ["lora_A", "diff"])
def test_each_part_of_the_lora_counts(first, lora, expect, part):
    """Guards the test above: without the linears, or without the tables, the result is another one."""
    crippled = {name: tensor * (part not in name) for name, tensor in lora.items()}
    full = expect(with_lora(first, lora, 1.0))
    assert difference(expect(with_lora(first, crippled, 1.0)), full) > 0.02


def test_lora_reports_no_unused_key(comfy, bundle, photo, lora):
    mark = comfy.log_mark()
    g = EditGraph()
    _load_lora(g, 0.25)
    run_latent(comfy, g, _edit(g, photo))
    assert "lora key not loaded" not in comfy.log_text(mark)


def test_two_loras_add_up(comfy, bundle, photo, first, lora, expect):
    g = EditGraph()
    _load_lora(g, 0.75)
    _load_lora(g, 0.5)
    assert difference(run_latent(comfy, g, _edit(g, photo)), expect(with_lora(first, lora, 1.25))) < TOLERANCE


def test_a_lora_leaves_the_model_as_it_was(comfy, bundle, photo, first, lora, expect):
    """Both are asked for in one prompt; the host patches and unpatches the same weights."""
    g = EditGraph()
    plain = g.node("SaveLatent", samples=_edit(g, photo), filename_prefix="latents/plain")
    _load_lora(g, 1.0)
    patched = g.node("SaveLatent", samples=_edit(g, photo), filename_prefix="latents/patched")
    result = comfy.run(g)
    for node, model in ((plain, first), (patched, with_lora(first, lora, 1.0))):
        (item,) = result.outputs[node.id]["latents"]
        latent = load_file(comfy.base_dir / "output" / item["subfolder"] / item["filename"])["latent_tensor"]
        assert difference(latent, expect(model)) < TOLERANCE


@pytest.mark.parametrize("ratio", [1.0, 0.3, 0.0])
def test_merge(comfy, bundle, photo, first, second, expect, ratio):
    g = EditGraph()
    other = g.node("ACELoadModel", model_name=OTHER, weight_dtype="default")
    g.model = g.node("ModelMergeSimple", model1=g.model, model2=other, ratio=ratio)[0]
    assert difference(run_latent(comfy, g, _edit(g, photo)), expect(_mixed(first, second, ratio))) < TOLERANCE


def test_models_differ(first, second, expect):
    """Guards the test above, and what follows: the two models' tables alone make another result."""
    mixed = copy.deepcopy(first)
    for name, weight in mixed.state_dict().items():
        if "scale_shift_table" in name:
            weight.copy_(second.state_dict()[name])
    assert difference(expect(mixed), expect(first)) > 0.05


def test_saved_model_loads_again(comfy, bundle, photo, first, expect):
    name = _save(comfy, EditGraph(), "plain")
    _assert_stored(comfy, name, first)
    g = EditGraph()
    g.model = g.node("ACELoadModel", model_name=name, weight_dtype="default")[0]
    assert difference(run_latent(comfy, g, _edit(g, photo)), expect(first)) < TOLERANCE


def test_merged_and_patched_model_is_saved_as_it_runs(comfy, bundle, photo, first, second, lora, expect):
    """Merge, then LoRA, then ModelSave: the file holds what was sampled with, in the tables too."""
    g = EditGraph()
    other = g.node("ACELoadModel", model_name=OTHER, weight_dtype="default")
    g.model = g.node("ModelMergeSimple", model1=g.model, model2=other, ratio=0.6)[0]
    _load_lora(g, 0.8)
    name = _save(comfy, g, "merged")
    expected = with_lora(_mixed(first, second, 0.6), lora, 0.8)
    _assert_stored(comfy, name, expected)
    g = EditGraph()
    g.model = g.node("ACELoadModel", model_name=name, weight_dtype="default")[0]
    assert difference(run_latent(comfy, g, _edit(g, photo)), expect(expected)) < TOLERANCE


def test_saved_model_works_without_a_host(comfy, bundle, first, expect):
    name = _save(comfy, EditGraph(), "outside")
    again = load_model(comfy.base_dir / "models" / "ace" / name)
    assert again.config == first.config
    saved, original = again.state_dict(), first.state_dict()
    assert saved.keys() == original.keys()
    assert all(torch.equal(saved[name], original[name]) for name in original)
    # Where in a file a weight lies decides how it is aligned in memory, and with that the order of additions.
    assert difference(expect(again), expect(first)) < 1e-5


def test_fp8_model_is_saved_and_loads_again(comfy, bundle, photo):
    g = EditGraph(weight_dtype="fp8_e4m3fn")
    before = run_latent(comfy, g, _edit(g, photo))
    name = _save(comfy, EditGraph(weight_dtype="fp8_e4m3fn"), "fp8")
    stored = load_file(comfy.base_dir / "models" / "ace" / name)
    assert stored["model.diffusion_model.blocks.0.attn.q.weight"].dtype == torch.float8_e4m3fn
    g = EditGraph()
    g.model = g.node("ACELoadModel", model_name=name, weight_dtype="fp8_e4m3fn")[0]
    assert difference(run_latent(comfy, g, _edit(g, photo)), before) < TOLERANCE


def test_lora_on_fp8_weights(comfy, bundle, photo, first, lora, expect):
    """Patched weights are rounded to fp8 again, by chance up or down, so only nearness can be asked for."""
    g = EditGraph(weight_dtype="fp8_e4m3fn")
    _load_lora(g, 1.0)
    found = run_latent(comfy, g, _edit(g, photo))
    patched, plain = expect(with_lora(first, lora, 1.0)), expect(first)
    assert difference(found, patched) < 0.5 * difference(plain, patched)
