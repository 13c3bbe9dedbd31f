"""The seven small specialists: what each changes, where, and how it is asked for; and a student of all seven."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from comfyui_ace.ace.weights.lora import read_lora
from comfyui_ace.benchmarks.training.generalist import Task, make_dataset, table
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.distil import distil
from comfyui_ace.training.tiny.specialists import SPECIALISTS
from comfyui_ace.training.tiny.world.colours import COLOURS

MASKED = ("object swap", "object removal", "object addition", "attribute", "background")


def pair_of(name: str, seed: int = 3, **settings):
    return SPECIALISTS[name].pair(np.random.default_rng(seed), **settings)


@pytest.mark.parametrize("name", SPECIALISTS)
def test_a_specialist_changes_what_its_mask_allows_and_nothing_else(name):
    for seed in range(12):
        pair = pair_of(name, seed, split=("train", "validation")[seed % 2])
        changed = (pair.source != pair.target).any(axis=2)
        assert pair.source.shape == pair.target.shape == (128, 128, 3) and changed.any()
        (mask,) = pair.masks
        assert (mask is not None) == (name in MASKED)
        if mask is not None:
            assert not changed[mask == 0].any() and 0 < (mask > 0).mean() < 1
        assert "{image}" in pair.instruction and "[" not in pair.instruction


def test_addition_is_removal_the_other_way_round():
    removal, addition = pair_of("object removal"), pair_of("object addition")
    assert np.array_equal(removal.source, addition.target) and np.array_equal(removal.target, addition.source)
    assert np.array_equal(removal.masks[0], addition.masks[0])
    assert removal.instruction.startswith("remove the ") and addition.instruction.startswith("add a")


def test_a_failure_of_the_inverse_specialist_is_in_the_source():
    painted = []

    def fail(before, after):
        painted.append(after)
        return before

    removal, addition = (pair_of(f"object {name}", spoil=fail) for name in ("removal", "addition"))
    assert all(np.array_equal(pair.source, pair.target) for pair in (removal, addition))
    assert np.array_equal(painted[0], painted[1]) and not np.array_equal(painted[1], addition.source)


def test_what_remains_of_a_removal_is_background():
    for seed in range(10):
        pair = pair_of("object removal", seed)
        inside = pair.target[pair.masks[0] > 0]
        assert (inside == pair.target[0, 0]).all()


def test_a_colour_is_the_one_that_is_asked_for():
    for seed in range(10):
        pair = pair_of("background", seed)
        colour = pair.instruction.rpartition(" to ")[2]
        assert np.abs(pair.target[0, 0].astype(int) - COLOURS[colour]).max() < 40


def test_winter_is_white_and_its_sky_unchanged():
    for seed in range(10):
        pair = pair_of("environment", seed)
        assert np.array_equal(pair.source[:40], pair.target[:40])
        corner = pair.target[-1, 0].astype(int)
        assert corner.max() - corner.min() < 70 and not np.array_equal(pair.source[-1], pair.target[-1])


@pytest.fixture(scope="module")
def weighed(tmp_path_factory):
    """A small dataset of each task by its name, a third of its pairs for learning spoilt."""
    folder = tmp_path_factory.mktemp("seven")
    return {name: make_dataset(folder, name, pairs=6, held_out=2, seed=0, share=0.5) for name in SPECIALISTS}


def test_the_judge_of_the_pixels_leaves_the_better_pairs_of_each_task(weighed):
    for name, one in weighed.items():
        rows = list(Dataset(one.folder).rows())
        assert {row.tags for row in rows} == {(name,)} and len(rows) == 8 and one.spoilt == 2
        assert all(row.weight == 1 for row in rows if row.split == "validation")
        assert sum(row.weight == 0 for row in rows) == one.left_out
    # What is unchanged, or has lost its detail, is not learnt, but for removals: blank paper has no detail to lose.
    assert sum(one.both for one in weighed.values()) >= 9


def test_one_student_of_seven_specialists_is_judged_on_each(weighed, tmp_path):
    """The whole chain: seven datasets with weights, one LoRA with the words of all, a report with seven rows."""
    folders = {name: one.folder for name, one in weighed.items()}
    task = Task(tmp_path, folders, held_out=1, batch=4, device="cpu", seed=0)
    settings = task.settings("generalist, λ", list(folders), steps=2)
    events = []
    result = distil(
        replace(settings, overrides={**settings.overrides, "validation": {"every": 1}}), on_event=events.append
    )
    names = {folder.name for folder in folders.values()}
    start = next(event for event in events if event["event"] == "start")
    assert start["pairs"] == sum(6 - one.left_out for one in weighed.values()) and start["held_out"] == 14
    assert set(read_lora(result.trained).triggers) == names
    parts = result.evaluation.by_dataset()
    assert set(parts) == names and all(len(part.results) == 1 for part in parts.values())
    page = Path(result.report).read_text(encoding="utf-8")
    assert all(f"<th>{name}</th><td>1</td>" in page for name in names)
    end = next(event for event in events if event["event"] == "end")
    assert set(end["by_dataset"]) == names


def test_without_weights_every_pair_is_learnt(weighed, tmp_path):
    folders = {name: one.folder for name, one in weighed.items()}
    task = Task(tmp_path, folders, held_out=1, batch=4, device="cpu", seed=0)
    weights = [
        task.settings(arm, list(folders), 1).overrides["data"]["weights"] for arm in ("generalist", "generalist, λ")
    ]
    assert weights == ["ignore", "soft"]


def test_the_table_of_the_ablation_has_a_row_for_each_task():
    arms = ("generalist", "generalist, λ", "seven singles", "seven singles, λ")
    runs = [{arm: dict.fromkeys(SPECIALISTS, value) for arm in arms} for value in (0.25, 0.75)]
    runs[0]["generalist"]["style"] = 0.95
    made = table(runs)
    assert made.columns == ("task", *arms)
    assert [name for name, *_ in made.rows] == [*SPECIALISTS, "mean", "mean of run 1", "mean of run 2"]
    rows = {name: pytest.approx(values) for name, *values in made.rows}
    assert rows["style"] == [0.85, 0.5, 0.5, 0.5] and rows["mean"] == [0.55, 0.5, 0.5, 0.5]
    assert rows["mean of run 1"] == [0.35, 0.25, 0.25, 0.25]
