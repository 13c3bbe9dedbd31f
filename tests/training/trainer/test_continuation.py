"""The same command again, with something changed: what goes on, what is refused, and what the file says of itself."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from comfyui_ace.training.dataset.store import Dataset, Pair
from comfyui_ace.training.trainer.config_file import make_config
from comfyui_ace.training.trainer.errors import ConfigError, FinishedRunError, TrainError
from comfyui_ace.training.trainer.run import train
from pair_factory import picture
from safetensors import safe_open
from safetensors.torch import load_file
from trainer_runs import PROCESSES, checkpoint, fill_dataset, losses, metrics, run, workshop_fixture  # noqa: F401


@pytest.fixture
def lora(workshop, tmp_path):
    """Makes configurations of a small LoRA run on a dataset of its own."""
    dataset = fill_dataset(tmp_path / "pairs")

    def config(**changes):
        model = {"bundle": str(workshop.bundle)}
        base = {"method": "lora", "model": model, "lora__rank": 2, "data__datasets": [str(dataset.folder)], "steps": 2}
        return workshop.config(tmp_path / "run", **{**base, **changes})

    return config


def grow(folder: Path) -> None:
    dataset = Dataset(folder)
    sources = [picture(seed, 32, 32) for seed in (100, 101)]
    new = {dataset.append(Pair(source=s, target=255 - s, instruction="{image} anew")).id for s in sources}
    dataset.rewrite(lambda row: replace(row, split="train") if row.id in new else row)


def file_of(folder: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    path = folder / "run" / "run.safetensors"
    with safe_open(path, framework="pt") as file:
        return file.metadata(), load_file(path)


def test_a_finished_run_is_handed_back_as_it_is(lora, tmp_path):
    run(lora())
    before = (tmp_path / "run" / "run.safetensors").read_bytes()
    events = run(lora())
    assert [event["event"] for event in events if event["event"] != "progress"] == ["start", "end"]
    assert events[-1]["finished"] and events[-1]["step"] == 2
    assert (tmp_path / "run" / "run.safetensors").read_bytes() == before
    # What only describes, shows or places things is no part of what was learnt.
    run(lora(export__licence="mine", validation__every=1, data__keep_in_memory_mb=0, steps=1))
    metadata, _ = file_of(tmp_path)
    assert (metadata["license"], metadata["steps"]) == ("mine", "2")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"optimizer__learning_rate": 0.5}, "optimizer.learning_rate changed from 0.01 to 0.5"),
        ({"seed": 7}, "seed changed from 0 to 7"),
        ({"objective__weighting": "velocity"}, "objective.weighting changed from 'noise' to 'velocity'"),
        ({"batch_size": 1}, "batch_size changed from 2 to 1"),
        ({}, r"the training data changed \(8 pairs then, 10 now\)"),
    ],
)
def test_a_finished_run_does_not_pretend_to_learn(lora, tmp_path, changes, expected):
    run(lora())
    before = (tmp_path / "run" / "run.safetensors").read_bytes()
    if not changes:
        grow(tmp_path / "pairs")
    with pytest.raises(FinishedRunError, match=rf"{expected}.*Set steps to more than 2.*another output") as caught:
        run(lora(**changes))
    assert caught.value.step == 2 and len(caught.value.changes) == 1
    assert (tmp_path / "run" / "run.safetensors").read_bytes() == before
    run(lora(**changes, steps=3))
    assert file_of(tmp_path)[0]["steps"] == "3"


def test_a_run_that_goes_on_names_the_data_of_its_end(lora, tmp_path):
    run(lora())
    before, _ = file_of(tmp_path)
    grow(tmp_path / "pairs")
    # Nothing was learnt of the new pairs yet, and the file does not say so.
    (tmp_path / "run" / "stop_now").touch()
    events = run(lora(steps=4))
    notices = [event["text"] for event in events if event["event"] == "notice"]
    assert "since step 2 the training data changed (8 pairs then, 10 now)" in notices
    assert file_of(tmp_path)[0] == before
    run(lora(steps=4))
    after, _ = file_of(tmp_path)
    assert (before["pairs"], after["pairs"], after["steps"]) == ("8", "10", "4")
    assert before["dataset_sha256"] != after["dataset_sha256"]
    stored = json.loads((tmp_path / "run" / "checkpoints" / "step-00000004" / "state.json").read_text())
    assert stored["dataset_sha256"] == after["dataset_sha256"] and stored["pairs"] == 10


@pytest.mark.parametrize("steps", [2, 3])
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"lora__alpha": 32.0}, "lora.alpha changed from 2.0 to 32.0"),
        ({"lora__rank": 4}, "lora.rank changed from 2 to 4"),
        ({"lora__targets": ["attn"]}, r"lora.targets changed from \['blocks'\] to \['attn'\]"),
        ({"lora__adapter": "dora"}, "lora.adapter changed from 'lora' to 'dora'"),
        ({"method": "full"}, "method changed from 'lora' to 'full'"),
    ],
)
def test_what_is_trained_cannot_change(lora, tmp_path, changes, expected, steps):
    run(lora())
    before = (tmp_path / "run" / "run.safetensors").read_bytes()
    with pytest.raises(ConfigError, match=rf"{expected}.*Change it back, or choose another output folder"):
        run(lora(**changes, steps=steps))
    assert (tmp_path / "run" / "run.safetensors").read_bytes() == before


def test_the_alpha_that_is_left_out_is_the_rank(lora):
    run(lora())
    run(lora(lora__alpha=2.0))


def as_version_0_1(folder: Path, dora: bool) -> None:
    """Rewrites what the last checkpoint says of its configuration."""
    path = max((folder / "checkpoints").iterdir()) / "state.json"
    stored = json.loads(path.read_text())
    section = stored["config"]["lora"]
    stored["config"]["lora"] = {**{k: v for k, v in section.items() if k not in ("adapter", "factor")}, "dora": dora}
    path.write_text(json.dumps(stored))


def test_a_lora_of_version_0_1_goes_on(lora, tmp_path):
    run(lora())
    as_version_0_1(tmp_path / "run", dora=False)
    events = run(lora(lora__dora=False, steps=3))
    assert [event["text"] for event in events if event["event"] == "notice"] == [
        "since step 2 steps changed from 2 to 3"
    ]
    assert file_of(tmp_path)[0]["adapter"] == "lora"


def test_a_dora_of_version_0_1_says_why_it_does_not(lora, tmp_path):
    """Its magnitudes are of rows; those of square layers would fit columns just as well."""
    run(lora(lora__dora=True))
    as_version_0_1(tmp_path / "run", dora=True)
    before = (tmp_path / "run" / "run.safetensors").read_bytes()
    for steps in (2, 3):
        with pytest.raises(ConfigError, match=r"trains a DoRA as ACE Edit 0\.1 did.*choose another output folder"):
            run(lora(lora__dora=True, steps=steps))
    assert (tmp_path / "run" / "run.safetensors").read_bytes() == before


def test_the_factors_of_lokr_cannot_change(lora, tmp_path):
    run(lora(lora__adapter="lokr"))
    with pytest.raises(ConfigError, match=r"lora\.factor changed from 8 to 4.*Change it back"):
        run(lora(lora__adapter="lokr", lora__factor=4, steps=3))
    metadata, tensors = file_of(tmp_path)
    assert (metadata["adapter"], metadata["rank"], metadata["factor"]) == ("lokr", "2", "8")
    assert {name.rpartition(".")[2] for name in tensors} == {"alpha", "lokr_w1", "lokr_w2_a", "lokr_w2_b"}


def test_a_checkpoint_without_a_step_binds_nothing(lora, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "stop_now").touch()
    run(lora())
    assert checkpoint(tmp_path / "run", 0)
    run(lora(lora__rank=3))
    assert file_of(tmp_path)[0]["rank"] == "3"


def intruder(table: dict, told: Path) -> None:
    """A run in another process; writes down why it was refused."""
    torch.set_num_threads(1)
    try:
        train(make_config(table))
    except TrainError as error:
        told.write_text(str(error))


def test_one_run_at_a_time_in_a_folder(workshop, tmp_path):
    config, told = workshop.config(tmp_path / "run", steps=3), tmp_path / "told"

    def intrude(event) -> None:
        if event["event"] == "step" and event["step"] == 2:
            process = PROCESSES.Process(target=intruder, args=(workshop.table(tmp_path / "run", steps=1), told))
            process.start()
            process.join(120)

    train(config, on_event=intrude)
    assert re.match(rf"process {os.getpid()} on .* is training in .*run\. Wait for it or stop it", told.read_text())
    assert [line["step"] for line in metrics(tmp_path / "run")] == [1, 2, 3]
    whole = run(workshop.config(tmp_path / "whole", steps=3))
    assert [line["loss"] for line in metrics(tmp_path / "run")] == losses(whole)
    train(config)  # the lock is gone with its holder


def test_an_output_that_is_a_file_is_refused(workshop, tmp_path):
    (tmp_path / "file").write_text("mine")
    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(TrainError, match="cannot be made: a file is in its place"):
            run(workshop.config(output))
    assert (tmp_path / "file").read_text() == "mine"


def test_strange_lines_in_the_metrics_are_dropped(workshop, tmp_path):
    run(workshop.config(tmp_path / "run", steps=1))
    with open(tmp_path / "run" / "metrics.jsonl", "a") as file:
        file.write('{}\n[1]\n{"event": "step", "step": "x"}\n{"torn')
    run(workshop.config(tmp_path / "run", steps=2))
    assert [line["step"] for line in metrics(tmp_path / "run")] == [1, 2]
