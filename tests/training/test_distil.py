"""Distillation: settings, what is written, stopping and going on, and the replacement workflow."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from comfyui_ace.ace.bundles.bundle import find_bundle
from comfyui_ace.ace.pipeline import ACEPipeline
from comfyui_ace.ace.weights.lora import read_lora
from comfyui_ace.cli import main
from comfyui_ace.training.capture.workflow.ui_graph import graph_to_prompt
from comfyui_ace.training.dataset.intake.checks import CheckSettings
from comfyui_ace.training.dataset.store import Dataset, Pair
from comfyui_ace.training.distil import DistilSettings, distil, make_train_config
from comfyui_ace.training.errors import DatasetError
from comfyui_ace.training.evaluate.cases import CaseSettings
from comfyui_ace.training.evaluate.run import evaluate
from comfyui_ace.training.packages import require_packages
from comfyui_ace.training.trainer.config import ResolutionSection
from comfyui_ace.training.trainer.errors import ConfigError, TrainError
from comfyui_ace.training.workflows.bench import Bench
from comfyui_ace.training.workflows.replacement import Replacement, choose_example, sampler_resolution, write_rounds
from comfyui_ace.training.workflows.shapes import CONTROL, SHAPES
from comfyui_ace.training.workflows.ui_file import ui_workflow
from pair_factory import pair, picture
from PIL import Image
from trainer_runs import workshop_fixture, write_toml  # noqa: F401

PACK = Path(__file__).resolve().parents[2]
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


@pytest.fixture
def settings(workshop, tmp_path) -> DistilSettings:
    """Two steps on a random bundle."""
    return DistilSettings(
        datasets=[workshop.dataset],
        bundle=workshop.bundle,
        output=tmp_path / "run",
        name="ink",
        steps=2,
        rank=2,
        batch_size=2,
        changes={"tensorboard": False, "plot": False, "samples": {"every": 0}, "data": {"cache": str(workshop.cache)}},
        device="cpu",
        pairs=1,
    )


# -- settings --------------------------------------------------------------------------------------------------------


def test_settings_win_over_the_file_and_the_file_over_nothing(settings, tmp_path):
    file = write_toml(
        {"output": "x", "steps": 7, "method": "lora", "seed": 3, "model": {"bundle": "x"}, "data": {"datasets": ["x"]}},
        tmp_path / "own.toml",
    )
    config = make_train_config(replace(settings, config=file, steps=None, rank=5))
    assert (config.steps, config.seed, config.lora.rank, config.name) == (7, 3, 5, "ink")
    assert config.output == settings.output and config.data.datasets == list(settings.datasets)
    assert (config.device, config.precision) == ("cpu", "fp32")


def test_intervals_of_the_shipped_file_fit_a_short_run(settings):
    config = make_train_config(replace(settings, steps=40, changes=None))
    assert config.optimizer.warmup_steps <= 4 and config.validation.every <= 4
    assert config.checkpoints.every <= 10 and config.samples.every <= 10


def test_whole_models_are_not_distilled(settings, tmp_path):
    whole = write_toml(
        {"output": "x", "steps": 7, "method": "full", "model": {"bundle": "x"}, "data": {"datasets": ["x"]}},
        tmp_path / "full.toml",
    )
    with pytest.raises(ConfigError, match=r'method = "lora"'):
        make_train_config(replace(settings, config=whole))
    assert make_train_config(replace(settings, config=whole, train_only=True)).method == "full"


def test_missing_packages_come_with_the_line_that_installs_them():
    with pytest.raises(TrainError, match=r"(?s)no_such_one.*-m pip install no_such_one no_such_two"):
        require_packages(["torch", "no_such_one", "no_such_two"])
    require_packages(["torch"])


# -- runs ------------------------------------------------------------------------------------------------------------


def test_a_run_leaves_lora_report_and_workflow(settings):
    events = []
    result = distil(settings, on_event=events.append)
    assert result.finished and result.step == 2
    assert read_lora(result.trained).metadata["title"] == "ink"
    assert len(result.evaluation.answers) == 1 and result.evaluation.split == "validation"
    assert result.report.is_file() and (result.report.parent / "evaluation.json").is_file()
    nodes = json.loads(result.workflow.read_text())["nodes"]
    (opened,) = [node["widgets_values"][0] for node in nodes if node["type"] == "LoadImage"]
    assert (settings.output / "inputs" / opened).is_file()
    assert events[-1]["event"] == "distilled" and events[-1]["score"] == result.evaluation.score
    assert {"start", "step", "end", "progress"} <= {event["event"] for event in events}


def test_a_stopped_run_has_a_lora_and_a_workflow_and_goes_on(settings):
    (settings.output).mkdir()

    def stop_after_one(event) -> None:
        if event["event"] == "step":
            (settings.output / "stop_now").touch()

    stopped = distil(replace(settings, steps=4), on_event=stop_after_one)
    assert (stopped.finished, stopped.step, stopped.report) == (False, 1, None)
    assert read_lora(stopped.trained).layers and stopped.workflow.is_file()
    assert "not evaluated yet" in stopped.workflow.read_text()
    assert not (settings.output / "stop_now").exists()
    steps = []
    result = distil(
        replace(settings, steps=4), on_event=lambda e: steps.append(e["step"]) if e["event"] == "step" else None
    )
    assert result.finished and steps == [2, 3, 4]


def test_a_stop_during_the_evaluation_keeps_what_is_trained(settings):
    def stop(event) -> None:
        if event.get("what") == "evaluating":
            (settings.output / "stop_now").touch()

    result = distil(replace(settings, pairs=2), on_event=stop)
    assert not result.finished and result.evaluation is None and result.workflow.is_file()
    again = distil(replace(settings, pairs=2))
    assert again.finished and again.step == result.step and again.report.is_file()


def test_a_number_of_pairs_below_zero_is_refused_before_training(settings, capsys):
    with pytest.raises(ConfigError, match="-1 pairs"):
        distil(replace(settings, pairs=-1))
    assert not settings.output.exists()
    with pytest.raises(SystemExit):
        main(["distil", str(settings.datasets[0]), "--pairs", "-1"])
    assert "expected 0 or more, got -1" in capsys.readouterr().err


def test_without_held_out_pairs_the_report_says_that_it_flatters(settings, tmp_path):
    dataset = Dataset.create(tmp_path, "few")
    for seed in range(3):
        dataset.append(pair(seed))
    dataset.rewrite(lambda row: replace(row, split="train"))
    result = distil(replace(settings, datasets=[dataset.folder]))
    assert result.evaluation.split == "train" and "it was trained on" in result.report.read_text()


def test_a_lora_learns_what_the_teacher_does(settings, tmp_path):
    """A teacher that paints everything red, on the shipped bundle: far better than the bundle by itself."""
    dataset = Dataset.create(tmp_path, "red")
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 220
    for seed in range(6):
        dataset.append(
            Pair(source=picture(seed, 32, 32), target=red + np.uint8(seed), instruction="{image} red", seed=seed),
            checks=CheckSettings(blank=False, near_duplicate=False),
        )
    dataset.rewrite(lambda row: replace(row, split="validation" if row.seed > 4 else "train"))
    cases = CaseSettings()
    before = evaluate(ACEPipeline.load(find_bundle(TINY)), [dataset.folder], cases=cases).score
    changes = {
        **settings.changes,
        "objective": {"instruction_dropout": 0.0},
        "validation": {"every": 0},
        "checkpoints": {"every": 0, "export": False},
        "lora": {"targets": ["blocks", "final_layer", "x_embedder", "t_block"]},
    }
    taught = replace(settings, datasets=[dataset.folder], bundle=TINY, steps=400, rank=16, learning_rate=1e-2)
    after = distil(replace(taught, batch_size=5, changes=changes)).evaluation
    assert after.score > max(before, 0) + 0.2 and after.share <= 1.1, (before, after.score)


def test_command_tells_its_caller_everything_in_json(settings, capsys):
    given = {"model": settings.bundle, "output": settings.output, "name": "ink", "steps": 1, "rank": 2, "pairs": 0}
    given |= {"device": "cpu", "batch-size": 2}
    options = [f"--{key}={value}" for key, value in given.items()]
    changes = ["--set=samples.every=0", f"--set=data.cache={settings.changes['data']['cache']}"]
    assert main(["distil", str(settings.datasets[0]), "--json", *options, *changes]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1]["event"] == "distilled" and events[-1]["report"] is None and events[-1]["finished"]


def test_the_pack_runs_from_a_folder_of_any_name(tmp_path):
    """As a host has it: linked under a name that is no module's, not installed, another folder current."""
    (tmp_path / "my pack-1.0").symlink_to(PACK, target_is_directory=True)
    code = (
        "import runpy, sys; sys.meta_path = [f for f in sys.meta_path if 'editable' not in type(f).__module__ + repr(f)];"
        f"sys.argv = ['x', 'distil', '--help']; runpy.run_path({str(tmp_path / 'my pack-1.0')!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and "Train a LoRA on the pairs" in done.stdout, done.stderr


# -- workflow --------------------------------------------------------------------------------------------------------


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


def kinds(graph: Bench) -> list[str]:
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


def test_the_file_says_the_same_as_the_prompt(workshop, tmp_path):
    """Read back by the rules by which the front end makes a prompt of a file."""
    dataset = Dataset(workshop.dataset)
    for row in dataset.rows():
        graph = replacement(dataset, row, tmp_path).graph()
        read = graph_to_prompt(ui_workflow(graph, "note"), object_info())
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
    read = graph_to_prompt(ui_workflow(made.graph(), ""), object_info()).prompt
    (sampler,) = [node["inputs"] for node in read.values() if node["class_type"] == "ACESampler"]
    assert {name: sampler[name] for name in sampler if name.startswith("resolution")} == {
        "resolution": "as the model",
        **expected,
    }


def test_a_hidden_hole_is_hidden_in_the_workflow_too(workshop, tmp_path):
    dataset = Dataset(workshop.dataset)
    row = next(row for row in dataset.rows() if row.mask_file_names)
    graph = replace(replacement(dataset, row, tmp_path), fill="blank").graph()
    read = graph_to_prompt(ui_workflow(graph, ""), object_info()).prompt
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
    found = kinds(replacement(dataset, dataset.row(kept.id), tmp_path).graph())
    assert "LoadImage" not in found and "ACESampler" in found


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
    g = Bench()
    g.node("NoSuchNode")
    with pytest.raises(ValueError, match="no shape for the node NoSuchNode"):
        ui_workflow(g, "")
    g = Bench()
    g.node("SaveImage", images=g.photo(), prefix="x")
    with pytest.raises(ValueError, match="SaveImage has no input prefix"):
        ui_workflow(g, "")


@pytest.mark.parametrize("name", [name for name in SHAPES if name in SCHEMAS])
def test_shapes_are_those_of_the_nodes(name):
    """Widgets in the order of the file, sockets and outputs by name and type."""
    schema, shape = SCHEMAS[name], SHAPES[name]
    assert list(shape.outputs) == [(label, kind) for kind, label in schema["outputs"]]
    widgets = []
    for entry in schema["inputs"]:
        if entry.get("widget"):
            widgets.append(entry["name"])
            widgets += [CONTROL] if entry.get("control_after_generate") else []
    assert list(shape.widgets) == widgets
    sockets = {
        entry["name"]: entry["type"] + ("?" if entry["optional"] else "")
        for entry in schema["inputs"]
        if not entry.get("widget") and "template" not in entry
    }
    assert dict(shape.sockets) == sockets
    grown = [f"{entry['name']}.{entry['template']['prefix']}" for entry in schema["inputs"] if "template" in entry]
    assert ([shape.grows[0]] if shape.grows else []) == grown
