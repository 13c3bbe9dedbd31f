"""The replacement workflow: what the pairs have, as a prompt and as a file that opens in the host."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from comfyui_ace.training.capture.workflow.ui_graph import graph_to_prompt
from comfyui_ace.training.dataset.store import Dataset, Pair
from comfyui_ace.training.errors import DatasetError
from comfyui_ace.training.trainer.config import ResolutionSection
from comfyui_ace.training.workflows.ace_graph import ACEGraph
from comfyui_ace.training.workflows.node_specs import CONTROL, NODE_SPECS
from comfyui_ace.training.workflows.replacement import Replacement, choose_example, sampler_resolution, write_rounds
from comfyui_ace.training.workflows.ui_file import ui_workflow
from pair_factory import picture
from PIL import Image
from trainer_runs import workshop_fixture, write_toml  # noqa: F401

PACK = Path(__file__).resolve().parents[3]
TINY = PACK / "bundles" / "ace-tiny"
SCHEMAS = json.loads((PACK / "tests" / "nodes" / "schemas.json").read_text(encoding="utf-8"))
SAMPLER = {"steps": 20, "cfg": 2.0, "guidance_rescale": 0.5}


# Core's nodes of ComfyUI 0.8.0 in the replacement, as its server describes them.
CORE = {
    "LoadImage": {"input": {"required": {"image": [["a.png"], {"image_upload": True}]}}, "output": ["IMAGE", "MASK"]},
    "SaveImage": {"input": {"required": {"images": ["IMAGE"], "filename_prefix": ["STRING", {}]}}, "output": []},
    "LoraLoaderModelOnly": {
        "input": {"required": {"model": ["MODEL"], "lora_name": [["x"]], "strength_model": ["FLOAT", {}]}},
        "output": ["MODEL"],
    },
}


def object_info() -> dict:
    """The recorded schemas in the form of a server's /object_info."""
    info = dict(CORE)
    for name, schema in SCHEMAS.items():
        sections: dict[str, dict] = {"required": {}, "optional": {}}
        for entry in schema["inputs"]:
            sections["optional" if entry["optional"] else "required"][entry["name"]] = _spec(entry)
        info[name] = {"input": sections, "output": [kind for kind, _ in schema["outputs"]]}
    return info


def _spec(entry: dict) -> list:
    details = {key: entry[key] for key in ("control_after_generate", "min", "max") if key in entry}
    if isinstance(entry.get("options"), dict):
        nested = [
            {"key": key, "inputs": {"required": {one["name"]: _spec(one) for one in inputs}}}
            for key, inputs in entry["options"].items()
        ]
        details["options"] = nested
    elif "options" in entry:
        details["options"] = entry["options"]
    if "template" in entry:
        template = entry["template"]
        (one,) = template["inputs"]
        details["template"] = {**template, "input": {"required": {one["name"]: _spec(one)}}}
    return [entry["type"], details]


def replacement(dataset: Dataset, row, folder: Path, trigger: str = "") -> Replacement:
    rounds = write_rounds(dataset, row, trigger or row.instruction, folder, "ink")
    return Replacement("ink", "ace-tiny", "ink.safetensors", rounds, SAMPLER)


def anywhere(sizes: dict) -> tuple[dict, tuple]:
    """A placing for tests of what a file says: to search for good places takes seconds."""
    return dict.fromkeys(sizes, (0, 0)), ()


def kinds(graph: ACEGraph) -> list[str]:
    return [node["class_type"] for node in graph.prompt().values()]


def test_the_workflow_has_what_the_pairs_have(workshop, tmp_path):
    dataset = Dataset(workshop.dataset)
    for row in dataset.rows():
        made = replacement(dataset, row, tmp_path)
        found = kinds(made.graph())
        rounds = [*(dataset.row(earlier) for earlier in row.history), row]
        assert found.count("ACEConditionUnit") == len(rounds)
        assert found.count("LoadImage") == found.count("ACEImage") == sum(len(one.image_files) for one in rounds)
        assert found.count("ACELongContext") == (len(rounds) if len(rounds) > 1 else 0)
        assert found.count("ACEPasteBack") == bool(row.mask_file_names)
        assert found.count("LoraLoaderModelOnly") == found.count("ACESampler") == found.count("SaveImage") == 1


@pytest.mark.parametrize("detail", [False, True])
def test_the_file_says_the_same_as_the_prompt(workshop, tmp_path, detail):
    """Read back by the rules by which the front end makes a prompt of a file."""
    dataset = Dataset(workshop.dataset)
    for row in dataset.rows():
        graph = replace(replacement(dataset, row, tmp_path), keep_detail=detail).graph()
        read = graph_to_prompt(ui_workflow(graph, "note", anywhere), object_info())
        assert not read.problems
        found = {name: node["inputs"] for name, node in read.prompt.items()}
        assert found == {name: node["inputs"] for name, node in graph.prompt().items()}


@pytest.mark.parametrize(
    ("resolution", "expected"),
    [
        ({}, {}),
        ({"max_tokens": 64}, {}),
        ({"max_tokens": 4096}, {"resolution": "1024 px model"}),
        ({"max_tokens": 256}, {"resolution": "megapixels", "resolution.megapixels": 0.06}),
        ({"max_tokens": 2304}, {"resolution": "megapixels", "resolution.megapixels": 0.56}),
        ({"max_tokens": 16}, {"resolution": "megapixels", "resolution.megapixels": 0.01}),
        ({"rule": "source"}, {"resolution": "source size"}),
        ({"rule": "megapixels", "megapixels": 0.5}, {"resolution": "megapixels", "resolution.megapixels": 0.5}),
        (
            {"rule": "exact", "width": 48, "height": 32},
            {"resolution": "exact size", "resolution.width": 48, "resolution.height": 32},
        ),
    ],
)
def test_the_workflow_paints_at_the_size_of_the_training(workshop, tmp_path, resolution, expected):
    found = sampler_resolution(ResolutionSection(**resolution), 64)
    assert found == expected
    dataset = Dataset(workshop.dataset)
    made = replace(replacement(dataset, next(dataset.rows()), tmp_path), sampler={**SAMPLER, **found})
    read = graph_to_prompt(ui_workflow(made.graph(), "", anywhere), object_info()).prompt
    (sampler,) = [node["inputs"] for node in read.values() if node["class_type"] == "ACESampler"]
    assert {name: sampler[name] for name in sampler if name.startswith("resolution")} == {
        "resolution": "as the model",
        **expected,
    }


def test_detail_is_kept_at_the_pictures_own_size_before_pasting_back(workshop, tmp_path):
    dataset = Dataset(workshop.dataset)
    for row in dataset.rows():
        graph = replace(replacement(dataset, row, tmp_path), keep_detail=True).graph()
        nodes = graph.prompt()
        ((name, sampler),) = [(key, node) for key, node in nodes.items() if node["class_type"] == "ACESampler"]
        assert sampler["inputs"]["keep_detail"] == 1.0 and sampler["inputs"]["result_size"] == "as the source"
        for node in nodes.values():
            if node["class_type"] == "ACEPasteBack":
                assert node["inputs"]["result"] == [name, 0] and node["inputs"]["fit"] == [name, 2]


def test_a_hidden_hole_is_hidden_in_the_workflow_too(workshop, tmp_path):
    dataset = Dataset(workshop.dataset)
    row = next(row for row in dataset.rows() if row.mask_file_names)
    graph = replace(replacement(dataset, row, tmp_path), fill="blank").graph()
    read = graph_to_prompt(ui_workflow(graph, "", anywhere), object_info()).prompt
    (hole,) = [node["inputs"] for node in read.values() if node["class_type"] == "ACEInpaint"]
    assert hole["way"].startswith("blank") and "ACEImage" not in kinds(graph)


def test_example_pictures_open_with_their_masks(workshop, tmp_path):
    dataset = Dataset(workshop.dataset)
    row = next(row for row in dataset.rows() if row.mask_file_names)
    ((one,),) = [one.pictures for one in write_rounds(dataset, row, row.instruction, tmp_path, "ink")]
    stored = dataset.load(row)
    with Image.open(tmp_path / one.file) as image:
        assert np.array_equal(np.asarray(image)[..., :3], stored.source)
        assert np.array_equal(255 - np.asarray(image)[..., 3], stored.masks[0])


def test_the_trigger_is_used_where_its_pictures_are_there(workshop, tmp_path):
    dataset = Dataset(workshop.dataset)
    row = next(row for row in dataset.rows() if not row.history and len(row.image_files) == 1)
    assert replacement(dataset, row, tmp_path, "{image} INK").rounds[-1].instruction == "{image} INK"
    assert replacement(dataset, row, tmp_path, "{image1} on {image}").rounds[-1].instruction == row.instruction


def test_the_commonest_kind_of_pair_is_the_example(workshop, tmp_path):
    _, row = choose_example([workshop.dataset], "{image} as a negative")
    assert row.split == "validation" and not row.mask_file_names and not row.history
    _, row = choose_example([workshop.dataset], "put {image1} into {image}")
    assert len(row.image_files) == 2
    empty = Dataset.create(tmp_path, "empty")
    with pytest.raises(DatasetError, match="no pair to make a workflow from"):
        choose_example([empty.folder], "x")


def test_pictures_from_text_alone_have_no_loader(tmp_path):
    dataset = Dataset.create(tmp_path, "text")
    kept = dataset.append(Pair(target=picture(1), instruction="noise"))
    made = replace(replacement(dataset, dataset.row(kept.id), tmp_path), keep_detail=True)
    assert "LoadImage" not in kinds(made.graph()) and "ACESampler" in kinds(made.graph())
    (sampler,) = [node["inputs"] for node in made.graph().prompt().values() if node["class_type"] == "ACESampler"]
    assert sampler["keep_detail"] == 0.0 and sampler["result_size"] == "as sampled"
    assert "keep_detail" not in made.note("fine")
    assert "workflow, it can.\n" in made.note("it can.") and "workflow, fine.\n" in made.note("fine")


def test_nodes_do_not_overlap(workshop, tmp_path):
    dataset = Dataset(workshop.dataset)
    row = next(row for row in dataset.rows() if row.history)
    nodes = ui_workflow(replacement(dataset, row, tmp_path).graph(), "note")["nodes"]
    boxes = [(*node["pos"], node["pos"][0] + node["size"][0], node["pos"][1] + node["size"][1]) for node in nodes]
    for index, (left, top, right, bottom) in enumerate(boxes):
        for other in boxes[:index]:
            assert left >= other[2] or right <= other[0] or top >= other[3] or bottom <= other[1]


def test_writing_the_same_workflow_again_gives_the_same_file(workshop, tmp_path):
    dataset = Dataset(workshop.dataset)
    made = replacement(dataset, next(dataset.rows()), tmp_path)
    assert ui_workflow(made.graph(), "note") == ui_workflow(made.graph(), "note")


def test_strange_nodes_and_inputs_are_refused():
    g = ACEGraph()
    g.node("NoSuchNode")
    with pytest.raises(ValueError, match=r"the node NoSuchNode is not described in node_specs\.py"):
        ui_workflow(g, "")
    g = ACEGraph()
    g.node("SaveImage", images=g.load_image(), prefix="x")
    with pytest.raises(ValueError, match="SaveImage has no input prefix"):
        ui_workflow(g, "")


@pytest.mark.parametrize("name", [name for name in NODE_SPECS if name in SCHEMAS])
def test_shapes_are_those_of_the_nodes(name):
    """Widgets in the order of the file, sockets and outputs by name and type."""
    schema, spec = SCHEMAS[name], NODE_SPECS[name]
    assert list(spec.outputs) == [(label, kind) for kind, label in schema["outputs"]]
    widgets = []
    for entry in schema["inputs"]:
        if entry.get("widget"):
            widgets.append(entry["name"])
            widgets += [CONTROL] if entry.get("control_after_generate") else []
    assert list(spec.widgets) == widgets
    sockets = {
        entry["name"]: entry["type"] + ("?" if entry["optional"] else "")
        for entry in schema["inputs"]
        if not entry.get("widget") and "template" not in entry
    }
    assert dict(spec.sockets) == sockets
    grown = [f"{entry['name']}.{entry['template']['prefix']}" for entry in schema["inputs"] if "template" in entry]
    assert ([spec.autogrow[0]] if spec.autogrow else []) == grown
