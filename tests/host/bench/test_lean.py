"""The pack on a machine without memory to spare, and installed twice: one server of its own for both.

``--novram`` keeps the weights off the device and casts them layer by layer, on a path of its own through the host.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from comfyui_ace.ace.lcu.units import ConditionUnit
from comfyui_ace.ace.weights.checkpoint import load_model
from host.harness.comfy_server import PACK_ROOT
from host.harness.edits import EditGraph, condition, difference, run_latent, saved_latent, standalone
from host.harness.edits import photo as make_photo
from host.harness.models.loras import with_lora, write_lora

TOLERANCE = 1e-3  # this server keeps its text encoder in fp16, as ComfyUI does unless told otherwise
SECOND_NAME = "ACE Edit, another copy"
_SNOW = "{image} make it snow"


@pytest.fixture(scope="module")
def lean(start_novram, bundle):
    """A server that keeps models off the device, with two instances of the pack, and previews by flag."""
    packs = {"ace-edit": PACK_ROOT, SECOND_NAME: PACK_ROOT}
    with start_novram("--preview-method=latent2rgb", packs=packs) as server:
        server.add_model(bundle.folder)
        server.upload_image(make_photo(), "photo.png")
        yield server


@pytest.fixture(scope="module")
def unit() -> ConditionUnit:
    return ConditionUnit(_SNOW, [condition(make_photo())])


def _unit(g: EditGraph):
    return g.unit(_SNOW, g.picture("photo.png"))


def test_both_instances_are_loaded_and_one_brings_the_nodes(lean):
    assert {name: pack.failed for name, pack in lean.imports.items() if name != "novram"} == {
        "ace-edit": False,
        SECOND_NAME: False,
    }
    assert len({info["python_module"] for id_, info in lean.object_info().items() if id_.startswith("ACE")}) == 1


def test_edit_with_previews(lean, pipeline, unit):
    mark = lean.log_mark()
    g = EditGraph()
    edited = g.sampler(_unit(g), seed=5)
    saved = g.node("SaveImage", images=edited[0], filename_prefix="edit")
    g.save_latent(edited[1])
    result = lean.run(g)
    assert difference(saved_latent(lean, result), standalone(pipeline, unit, seed=5)) < TOLERANCE
    assert np.asarray(result.images[saved.id][0]).std() > 5
    assert [preview.node_id for preview in result.previews] == [edited.id] * 4
    # The model itself stayed off the device, so the comparison is about the path that this test is for.
    assert re.search(r"Requested to load ACEBase\n.*loaded partially", lean.log_text(mark))


def test_ksampler(lean, pipeline, unit):
    g = EditGraph()
    found = run_latent(lean, g, g.encoded_ksampler(_unit(g), sampler_name="euler", seed=6))
    assert difference(found, standalone(pipeline, unit, seed=6)) < TOLERANCE


def test_lora_with_tables(lean, bundle, pipeline, unit, tmp_path):
    """Patches are computed while each layer's weights are fetched; those of the tables too."""
    model = load_model(bundle.dit).requires_grad_(False)
    lora = write_lora(model, tmp_path / "edit.safetensors")
    lean.add_model(tmp_path / "edit.safetensors", "loras")
    g = EditGraph()
    g.model = g.node("LoraLoaderModelOnly", model=g.model, lora_name="edit.safetensors", strength_model=0.7)[0]
    found = run_latent(lean, g, g.sampler(_unit(g), seed=7)[1])
    expected = standalone(replace(pipeline, model=with_lora(model, lora, 0.7)), unit, seed=7)
    assert difference(found, expected) < TOLERANCE


@pytest.mark.parametrize(("weight_dtype", "closeness"), [("fp8_e4m3fn", 0.3), ("bf16", 0.1)])
def test_small_weights(lean, pipeline, unit, weight_dtype, closeness):
    g = EditGraph(weight_dtype=weight_dtype)
    found = run_latent(lean, g, g.sampler(_unit(g), seed=8)[1])
    assert 1e-4 < difference(found, standalone(pipeline, unit, seed=8)) < closeness


def test_save_and_load(lean, pipeline, unit):
    g = EditGraph()
    g.node("ModelSave", model=g.model, filename_prefix="models/lean")
    lean.run(g)
    (path,) = (lean.base_dir / "output" / "models").glob("lean_*.safetensors")
    g = EditGraph()
    g.model = g.node("ACELoadModel", model_name=lean.add_model(path), weight_dtype="default")[0]
    found = run_latent(lean, g, g.sampler(_unit(g), seed=9)[1])
    assert difference(found, standalone(pipeline, unit, seed=9)) < TOLERANCE
