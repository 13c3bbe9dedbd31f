"""Train and Distil in real ComfyUI: from a dataset to a LoRA and a replacement workflow, and what a cancel leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_server import chat_server, marks_by_picture
from comfyui_ace.ace.bundles.bundle import find_bundle
from comfyui_ace.ace.weights.lora import read_lora
from comfyui_ace.training.dataset.intake.checks import CheckSettings
from comfyui_ace.training.dataset.store import Dataset, Pair
from host.harness.comfy_server import PACK_ROOT, ComfyServer, Graph, NodeRef
from host.harness.install.training_packages import lend_training_packages
from PIL import Image, ImageChops
from safetensors import safe_open

BUNDLE = "ace-tiny"
CONTROLS = {"steps": 3, "rank": 2, "learning_rate": 1e-3, "batch_size": 2, "seed": 0, "config": "(standard)"}
_PHOTO = PACK_ROOT / "commands" / "data" / "cat.jpg"


@pytest.fixture(scope="module")
def training_comfy(tmp_path_factory, start_comfy) -> ComfyServer:
    """The pack under a folder name that is no module's name, on a host that can train, with two small datasets."""
    env = lend_training_packages(tmp_path_factory.mktemp("lent"))
    server = start_comfy(packs={"ace.edit-1": PACK_ROOT}, env=env)
    root = server.base_dir / "output" / "datasets"
    make_dataset(root, "negatives")
    make_dataset(root, "masked", masked=True)
    return server


def make_dataset(root: Path, name: str, masked: bool = False) -> None:
    """Six squares of a photograph and their negatives, under a mask on the left half if wanted; one is held out."""
    dataset = Dataset.create(root, name, checks=CheckSettings(near_duplicate=False))
    photo = Image.open(_PHOTO).convert("RGB")
    mask = np.zeros((64, 64), np.uint8)
    mask[:, :32] = 255
    for number in range(6):
        source = np.asarray(photo.crop((40 * number, 0, 40 * number + 200, 200)).resize((64, 64)))
        target = np.where(mask[..., None] > 0, 255 - source, source) if masked else 255 - source
        pair = Pair(source=source, target=target, instruction="{image} as a negative", seed=number)
        assert dataset.append(replace(pair, masks=[mask] if masked else [])).stored
    dataset.rewrite(lambda row: replace(row, split="validation" if row.seed == 5 else "train"))


def training(kind: str, name: str, dataset: str = "negatives", **changes: Any) -> Graph:
    g = Graph()
    g.node(kind, dataset_name=dataset, bundle=BUNDLE, name=name, **{**CONTROLS, **changes})
    return g


def workflow_file(server: ComfyServer, name: str) -> Path:
    return server.base_dir / "user" / "default" / "workflows" / f"{name}.json"


def lora_file(server: ComfyServer, name: str) -> Path:
    return server.base_dir / "models" / "loras" / f"{name}.safetensors"


@pytest.mark.parametrize("dataset", ["negatives", "masked"])
def test_distil_makes_a_workflow_that_opens_and_runs(training_comfy, open_page, dataset):
    name = f"small {dataset}"
    graph = training("ACEDistil", name, dataset)
    if dataset == "masked":  # by its socket instead of by name
        loaded = graph.node("ACELoadDataset", dataset=dataset, split="all", pictures=0, first=0)
        graph.set(NodeRef("1"), dataset=loaded, dataset_name="(the connected one)")
    result = training_comfy.run(graph, timeout=300)
    assert read_lora(lora_file(training_comfy, name)).trigger == "{image} as a negative"
    assert (training_comfy.base_dir / "output" / "distil" / name / "report" / "index.html").is_file()
    assert "on 1 held-out pair" in result.texts[-1][1]
    assert result.previews and result.images["1"][0].width > 128  # sheets while it runs, and the last one on the node
    maxima = {event.data["max"] for event in result.events if event.type == "progress"}
    assert CONTROLS["steps"] in maxima

    page = open_page(training_comfy)
    page.load_workflow(json.loads(workflow_file(training_comfy, name).read_text()))
    assert page.missing_node_types() == [] and page.red_nodes() == []
    prompt = page.export_prompt()
    assert_as_meant(prompt, name, dataset == "masked")
    done = page.queue(timeout=300)
    assert page.alerts() == [] and page.errors == []
    page.screenshot(f"replacement-{dataset}")
    (saved,) = [done.images[node][0] for node, entry in prompt.items() if entry["class_type"] == "SaveImage"]
    assert saved.size == (64, 64)
    source = Image.open(training_comfy.base_dir / "input" / f"{name} image.png").convert("RGB")
    unmasked = (32, 0, 64, 64)
    same = ImageChops.difference(saved.convert("RGB").crop(unmasked), source.crop(unmasked)).getbbox() is None
    assert same == (dataset == "masked")


def assert_as_meant(prompt: dict[str, Any], name: str, masked: bool) -> None:
    """The front end must read widgets and links as the writer meant them."""
    by_kind = {entry["class_type"]: entry["inputs"] for entry in prompt.values()}
    kinds = {node: entry["class_type"] for node, entry in prompt.items()}
    assert (
        by_kind["ACESampler"]["steps"] == find_bundle(PACK_ROOT / "bundles" / BUNDLE).defaults.steps
        and by_kind["ACESampler"]["resolution"] == "as the model"
    )
    assert kinds[by_kind["ACESampler"]["model"][0]] == "LoraLoaderModelOnly"
    assert by_kind["ACEConditionUnit"]["instruction"] == "{image} as a negative"
    assert by_kind["LoraLoaderModelOnly"]["lora_name"] == f"{name}.safetensors"
    assert by_kind["ACEImage"]["indicator"] == "{image}"
    assert ("ACEPasteBack" in by_kind) == masked
    if masked:
        assert by_kind["ACEPasteBack"]["seam.feather"] == 8
        assert kinds[by_kind["ACEPasteBack"]["mask"][0]] == "LoadImage" and by_kind["ACEPasteBack"]["mask"][1] == 1


def test_advanced_fields_take_the_place_of_a_configuration(training_comfy):
    """One pair is held out, by which no length can be chosen: it takes the usual steps and says so."""
    fields = {"length": "automatic", "augment": "hflip", "adapter": "lokr", "method": "pairs"}
    result = training_comfy.run(training("ACETrain", "fields", **fields), timeout=300)
    assert "cannot be chosen" in result.texts[-1][1]
    stored = read_lora(lora_file(training_comfy, "fields")).metadata
    assert (stored["adapter"], stored["steps"]) == ("lokr", str(CONTROLS["steps"]))
    folder = training_comfy.base_dir / "output" / "train" / "fields" / "checkpoints" / "step-00000003"
    config = json.loads((folder / "state.json").read_text())["config"]
    assert config["data"]["augment"] == ["hflip"] and config["early_stopping"]["every"] == 0


def test_cancel_leaves_a_usable_lora_and_the_same_node_goes_on(training_comfy):
    graph = training("ACETrain", "cancelled", steps=400)
    prompt = training_comfy.queue(graph)
    training_comfy.wait_for_event(prompt, "progress", 200, lambda d: d["max"] == 400 and d["value"] >= 3)
    training_comfy.interrupt()
    stopped = training_comfy.wait(prompt, 120)
    assert stopped.error is None and "stopped at step" in stopped.texts[-1][1]
    path = lora_file(training_comfy, "cancelled")
    steps = int(read_lora(path).metadata["steps"])
    assert 3 <= steps < 400

    use = Graph()
    models = use.node("ACELoadBundle", bundle=BUNDLE, download=False, weight_dtype="default")
    model = use.node("LoraLoaderModelOnly", model=models[0], lora_name=path.name, strength_model=1.0)
    latent = use.node("EmptyLatentImage", width=64, height=64, batch_size=1)
    unit = use.node("ACEConditionUnit", instruction="noise", edit="first image")
    settings = {"negative": "", "resolution": "as the model", "batch_size": 1, "model": model}
    encoded = use.node("ACEEncode", clip=models[1], vae=models[2], context=unit, **settings)
    sampling = {"seed": 0, "steps": 2, "cfg": 1.0, "sampler_name": "ddim", "scheduler": "simple", "denoise": 1.0}
    sampled = use.node(
        "KSampler", model=model, positive=encoded[0], negative=encoded[1], latent_image=latent, **sampling
    )
    use.node("SaveImage", images=use.node("VAEDecode", samples=sampled, vae=models[2]), filename_prefix="cancelled")
    log = training_comfy.log_mark()
    assert training_comfy.run(use).images
    assert "lora key not loaded" not in training_comfy.log_text(log)

    again = training("ACETrain", "cancelled", steps=steps + 2)
    training_comfy.run(again, timeout=300)
    assert int(read_lora(path).metadata["steps"]) == steps + 2
    metrics = (training_comfy.base_dir / "output" / "train" / "cancelled" / "metrics.jsonl").read_text().splitlines()
    done = [record["step"] for record in map(json.loads, metrics) if record["event"] == "step"]
    assert done == list(range(1, steps + 3))


def test_a_workflow_of_the_user_is_not_replaced(training_comfy):
    mine = workflow_file(training_comfy, "kept")
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text('{"nodes": []}')
    training_comfy.run(training("ACEDistil", "kept", steps=1), timeout=300)
    assert mine.read_text() == '{"nodes": []}' and workflow_file(training_comfy, "kept 2").is_file()


@pytest.mark.parametrize(("folder", "config"), [("loras", "(standard)"), ("ace", "tiny-cpu.toml")])
def test_a_model_of_the_user_is_not_replaced(training_comfy, folder, config):
    mine = training_comfy.base_dir / "models" / folder / "mine.safetensors"
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_bytes(b"something else")
    error = training_comfy.run_expect_error(training("ACETrain", "mine", config=config))
    assert "is there already" in str(error) and mine.read_bytes() == b"something else"


def test_a_file_of_the_user_trains_a_whole_model(training_comfy):
    """Configurations in user/default/ace are offered, and what they train goes to models/ace.

    A field of 0 leaves what the file says.
    """
    own = training_comfy.base_dir / "user" / "default" / "ace" / "whole.toml"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text(
        'output = "x"\nmethod = "full"\nsteps = 2\nbatch_size = 3\n[model]\nbundle = "x"\n[data]\ndatasets = ["x"]\n'
        'cache = "own-cache"\n[optimizer]\nlearning_rate = 0.0123\n[samples]\nevery = 0\n'
    )
    training_comfy.object_info("ACETrain")  # reads the menu anew, as the browser does when it is refreshed
    as_filed = {"steps": 0, "learning_rate": 0.0, "batch_size": 0, "rank": 0}
    training_comfy.run(training("ACETrain", "whole", config=own.name, **as_filed), timeout=300)
    metrics = (training_comfy.base_dir / "output" / "train" / "whole" / "metrics.jsonl").read_text().splitlines()
    rates = [record["learning_rate"] for record in map(json.loads, metrics) if record["event"] == "step"]
    assert rates == [0.0123, 0.0123] and (training_comfy.base_dir / "own-cache").is_dir()
    with safe_open(training_comfy.base_dir / "models" / "ace" / "whole.safetensors", "pt") as file:
        assert file.metadata()["method"] == "full" and file.metadata()["steps"] == "2"
    use = Graph()
    loaded = use.node("ACELoadModel", model_name="whole.safetensors", weight_dtype="default")
    use.node("PreviewAny", source=loaded)
    training_comfy.object_info("ACELoadModel")
    training_comfy.run(use)


def test_a_judge_at_an_address_marks_both_results(training_comfy):
    with chat_server(marks_by_picture) as (address, asked):
        graph = training("ACEDistil", "marked", judge_server=address)
        told = training_comfy.run(graph, timeout=300).texts
    marked = [one for one in asked if one.body and "success" in json.dumps(one.body)]
    assert len(marked) >= 2, "the one held-out pair, by student and by teacher"
    report = training_comfy.base_dir / "output" / "distil" / "marked" / "report"
    page = report.joinpath("index.html").read_text()
    assert "student by eyes" in page and "teacher by eyes" in page and told


def test_a_model_without_its_server_is_refused(training_comfy):
    error = training_comfy.run_expect_error(training("ACEDistil", "nobody", judge_model="eyes"))
    assert "type the server's address" in error.message


def test_distil_refuses_what_trains_a_whole_model(training_comfy):
    """It is not in the menu; a workflow from elsewhere may still ask for it."""
    options = {
        kind: training_comfy.object_info(kind)["input"]["required"]["config"][1]["options"]
        for kind in ("ACETrain", "ACEDistil")
    }
    assert "full-512.toml" in options["ACETrain"] and "full-512.toml" not in options["ACEDistil"]
    assert {"(standard)", "distil-lora.toml"} <= set(options["ACEDistil"])
    error = training_comfy.run_expect_error(training("ACEDistil", "whole too", config="full-512.toml"))
    assert "not in list" in str(error)


def test_a_finished_run_says_that_it_would_not_learn_the_new_pairs(training_comfy):
    root = training_comfy.base_dir / "output" / "datasets"
    make_dataset(root, "growing")
    training_comfy.object_info("ACETrain")
    graph = training("ACETrain", "grown", "growing")
    training_comfy.run(graph, timeout=300)
    before = lora_file(training_comfy, "grown").read_bytes()
    photo = np.asarray(Image.open(_PHOTO).convert("RGB").resize((64, 64)))
    assert (
        Dataset(root / "growing")
        .append(Pair(source=photo, target=photo[::-1].copy(), instruction="{image} upside down"))
        .stored
    )
    error = training_comfy.run_expect_error(graph, 200)
    assert "steps" in error.message and lora_file(training_comfy, "grown").read_bytes() == before
    training_comfy.run(training("ACETrain", "grown", "growing", steps=CONTROLS["steps"] + 1), timeout=300)
    assert read_lora(lora_file(training_comfy, "grown")).metadata["steps"] == str(CONTROLS["steps"] + 1)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": "../escape"}, "path separator"),
        ({"name": "fine", "dataset": "(the connected one)"}, "connect a dataset"),
        ({"name": "fine", "config": "../../secret.toml"}, "not in list"),
        ({"name": "fine", "config": "editnet.toml", "adapter": "dora"}, "editnet.toml trains no LoRA"),
    ],
    ids=["name", "dataset", "config", "adapter"],
)
def test_bad_input_is_refused_before_anything_is_trained(training_comfy, changes, expected):
    error = training_comfy.run_expect_error(training("ACETrain", **changes))
    assert expected in str(error)
    assert not (training_comfy.base_dir / "output" / "train" / changes["name"]).exists()


def test_what_the_trainer_says_reaches_the_node(training_comfy):
    dataset = training_comfy.base_dir / "output" / "datasets" / "broken"
    make_dataset(dataset.parent, dataset.name)
    row = next(Dataset(dataset).rows("train"))
    (dataset / row.target_file_name).write_bytes(b"broken")
    training_comfy.object_info("ACETrain")  # refreshes the menu, as the browser does
    error = training_comfy.run_expect_error(training("ACETrain", "broken run", "broken"), 200)
    assert row.id in str(error) and "Traceback" not in error.message


def test_missing_packages_are_named_with_the_line_that_installs_them(start_comfy):
    with start_comfy(packs={"ace-edit": PACK_ROOT}) as server:
        make_dataset(server.base_dir / "output" / "datasets", "negatives")
        error = server.run_expect_error(training("ACETrain", "never"))
    assert "-m pip install" in str(error) and "accelerate" in str(error)
    assert error.exception_type == "RuntimeError"  # no path of a module before the sentence
