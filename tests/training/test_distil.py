"""Distillation: settings, what is written, stopping and going on."""

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
from comfyui_ace.training.dataset.intake.checks import CheckSettings
from comfyui_ace.training.dataset.store import Dataset, DatasetSettings, Pair
from comfyui_ace.training.distil import distil
from comfyui_ace.training.distil_config import DistilSettings, make_train_config
from comfyui_ace.training.evaluate.cases import CaseSettings
from comfyui_ace.training.evaluate.evaluation import Evaluation
from comfyui_ace.training.evaluate.run import evaluate
from comfyui_ace.training.packages import require_packages
from comfyui_ace.training.trainer.errors import ConfigError, TrainError
from comfyui_ace.training.workflows.node_specs import NODE_SPECS
from pair_factory import pair, picture
from trainer_runs import Workshop, two_steps_of_distil, workshop_fixture, write_toml  # noqa: F401

PACK = Path(__file__).resolve().parents[2]
TINY = PACK / "bundles" / "ace-tiny"


@pytest.fixture
def settings(workshop, tmp_path) -> DistilSettings:
    return two_steps_of_distil(workshop, tmp_path)


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
    config = make_train_config(replace(settings, steps=40, overrides=None))
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
    assert len(result.evaluation.results) == 1 and result.evaluation.split == "validation"
    assert result.report.is_file() and (result.report.parent / "evaluation.json").is_file()
    nodes = json.loads(result.workflow.read_text())["nodes"]
    (opened,) = [node["widgets_values"][0] for node in nodes if node["type"] == "LoadImage"]
    assert (settings.output / "inputs" / opened).is_file()
    assert events[-1]["event"] == "distilled" and events[-1]["score"] == result.evaluation.score
    assert {"start", "step", "end", "progress"} <= {event["event"] for event in events}


def kept_detail(workflow: Path) -> float:
    """What the Sampler of a workflow has for keep_detail, its last widget."""
    (sampler,) = [node for node in json.loads(workflow.read_text())["nodes"] if node["type"] == "ACESampler"]
    assert NODE_SPECS["ACESampler"].widgets[-1] == "keep_detail"
    return sampler["widgets_values"][-1]


@pytest.fixture(scope="module")
def trained(workshop, tmp_path_factory) -> DistilSettings:
    """A run whose training is over; whoever distils again evaluates it anew."""
    settings = two_steps_of_distil(workshop, tmp_path_factory.mktemp("trained"))
    assert distil(replace(settings, pairs=0)).finished
    return settings


@pytest.mark.parametrize(
    ("wanted", "helps", "on"), [("auto", True, True), ("auto", False, False), ("on", False, True), ("off", True, False)]
)
def test_keep_detail_is_switched_on_where_it_helps_or_as_asked(trained, monkeypatch, wanted, helps, on):
    monkeypatch.setattr(Evaluation, "detail_helps", property(lambda _self: helps))
    events = []
    result = distil(replace(trained, keep_detail=wanted), on_event=events.append)
    assert result.finished and "step" not in {event["event"] for event in events}
    assert kept_detail(result.workflow) == float(on) and events[-1]["keep_detail"] is on
    assert (events[-1]["score_with_detail"] is None) == (wanted == "off")
    assert f"Keep Detail is switched {'on' if on else 'off'}" in result.report.read_text()
    assert ("**keep_detail**" in result.workflow.read_text()) is on


def test_without_an_evaluation_keep_detail_is_on_only_if_asked_for(trained):
    unmeasured = distil(replace(trained, pairs=0))
    assert kept_detail(unmeasured.workflow) == 0.0
    assert kept_detail(distil(replace(trained, pairs=0, keep_detail="on")).workflow) == 1.0
    with pytest.raises(ConfigError, match="keep_detail is 'maybe'; expected one of auto, on, off"):
        distil(replace(trained, keep_detail="maybe"))


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


def test_some_of_a_small_dataset_are_held_out_where_chance_held_out_none(settings, tmp_path):
    """Fourteen photographs of a newcomer: without this one in four learns that its student cannot be judged."""
    dataset = Dataset.create(tmp_path, "photographs")
    for seed in range(14):
        dataset.append(pair(seed))
    dataset.rewrite(lambda row: replace(row, split="train"))
    notices = []
    run = replace(settings, datasets=[dataset.folder])
    result = distil(run, on_event=lambda event: notices.append(event.get("text", "")))
    held_out = [row.id for row in dataset.rows("validation")]
    assert len(held_out) == 3 and result.evaluation.split == "validation"
    assert any("3 of the 14 pairs" in text and "kept for the test" in text for text in notices)
    dataset.rewrite(lambda row: replace(row, split="train"))  # by the artist, after the run
    distil(replace(run, steps=3))
    assert not list(dataset.rows("validation")), "a run that has begun keeps its pairs"


def test_each_of_several_datasets_holds_some_pairs_out(settings, tmp_path):
    """One that does not could not be judged, whatever another one holds out."""
    first, second = Dataset.create(tmp_path, "first"), Dataset.create(tmp_path, "second")
    for seed in range(14):
        first.append(pair(seed))
        second.append(pair(20 + seed))
    chosen = first.ids()[:2]
    first.rewrite(lambda row: replace(row, split="validation" if row.id in chosen else "train"))
    second.rewrite(lambda row: replace(row, split="train"))
    run = replace(settings, datasets=[first.folder, second.folder], pairs=4)
    result = distil(run)
    assert [row.id for row in first.rows("validation")] == chosen
    assert len(list(second.rows("validation"))) == 3
    assert result.evaluation.by_dataset().keys() == {"first", "second"}


def test_a_dataset_that_is_all_for_learning_stays_so_beside_one_for_the_test(settings, tmp_path):
    learnt = Dataset.create(tmp_path, "learnt", settings=DatasetSettings(0.0))
    test = Dataset.create(tmp_path, "test", settings=DatasetSettings(1.0))
    for seed in range(12):
        learnt.append(pair(seed))
    test.append(pair(30))
    distil(replace(settings, datasets=[learnt.folder, test.folder]))
    assert not list(learnt.rows("validation"))


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
        **settings.overrides,
        "objective": {"instruction_dropout": 0.0},
        "validation": {"every": 0},
        "checkpoints": {"every": 0, "export": False},
        "lora": {"targets": ["blocks", "final_layer", "x_embedder", "t_block"]},
    }
    taught = replace(settings, datasets=[dataset.folder], bundle=TINY, steps=120, rank=16, learning_rate=1e-2)
    after = distil(replace(taught, batch_size=5, overrides=changes)).evaluation
    # The base knows a little of it: what counts is how much of the rest is learnt.
    assert after.score > before + 0.4 * (1 - before) and after.share_of_ceiling <= 1.1, (before, after.score)


def test_command_tells_its_caller_everything_in_json(settings, capsys):
    given = {"model": settings.bundle, "output": settings.output, "name": "ink", "steps": 1, "rank": 2, "pairs": 0}
    given |= {"device": "cpu", "batch-size": 2}
    options = [f"--{key}={value}" for key, value in given.items()]
    changes = ["--set=samples.every=0", f"--set=data.cache={settings.overrides['data']['cache']}"]
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
