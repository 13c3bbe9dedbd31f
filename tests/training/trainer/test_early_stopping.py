"""Early stopping: when it is enough, whose weights are handed back, what decides, and going on exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from comfyui_ace.ace.bundles.bundle import find_bundle
from comfyui_ace.ace.pipeline import ACEPipeline
from comfyui_ace.ace.weights.lora import merge_lora, read_lora
from comfyui_ace.training.dataset.store import Dataset, Pair
from comfyui_ace.training.evaluate.cases import CaseSettings
from comfyui_ace.training.evaluate.run import evaluate
from comfyui_ace.training.trainer.config import EarlyStoppingSection
from comfyui_ace.training.trainer.data.division import held_out_roles
from comfyui_ace.training.trainer.engine.early_stopping import EarlyStopping, is_stalled
from comfyui_ace.training.trainer.errors import ConfigError, FinishedRunError
from comfyui_ace.training.trainer.run import train
from pair_factory import half_mask, picture
from safetensors import safe_open
from safetensors.torch import load_file
from trainer_runs import assert_equal_tensors, checkpoint, metrics, run, workshop_fixture  # noqa: F401


def pairs(folder: Path, train: int, held_out: int) -> Path:
    """A dataset of negatives, one of the held-out ones with a mask."""
    dataset = Dataset.open_or_create(folder.parent, folder.name)
    ids = []
    for seed in range(train + held_out):
        source = picture(seed, 32, 32)
        masks = [half_mask(32, 32)] if seed == train else []
        ids.append(dataset.append(Pair(source=source, target=255 - source, masks=masks, instruction="a negative")).id)
    aside = set(ids[train:])
    dataset.rewrite(lambda row: replace(row, split="validation" if row.id in aside else "train"))
    return folder


@pytest.fixture
def lora(workshop, tmp_path):
    """Makes configurations of a small LoRA run that measures after every second step."""
    folder = pairs(tmp_path / "pairs", 4, 4)

    def config(name: str = "run", **changes):
        base = {
            "method": "lora",
            "model": {"bundle": str(workshop.bundle)},
            "lora__rank": 2,
            "data__datasets": [str(folder)],
            "steps": 8,
            "ema": 0.5,
            "early_stopping__every": 2,
        }
        return workshop.config(tmp_path / name, **{**base, **changes})

    return config


def scores(output: Path) -> list[tuple[int, float]]:
    return [(line["step"], line["score"]) for line in metrics(output) if line["event"] == "score"]


def header(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return file.metadata()


# -- when it is enough -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "enough"),
    [
        ([], False),
        ([0.1, 0.2, 0.3], False),
        ([0.3, 0.2, 0.1], True),
        ([0.3, 0.3, 0.304], True),  # less than min_delta is chance
        ([0.3, 0.304, 0.306], False),  # two steps of less than that are progress together
        ([0.1, 0.0, 0.2, 0.1, 0.2], True),
        ([-0.5, -0.6], False),
    ],
)
def test_it_is_enough_after_so_many_measurements_without_progress(scores, enough):
    assert is_stalled(scores, patience=2, min_delta=0.005) is enough


def test_weights_are_gathered_for_a_better_score_alone():
    stopping, gathered = EarlyStopping(EarlyStoppingSection()), []
    for step, score in enumerate((0.1, 0.3, 0.3, 0.2, 0.301)):
        stopping.add(step, score, lambda step=step: gathered.append(step) or {})
    assert gathered == [0, 1, 4] and (stopping.best.step, stopping.best.score) == (4, 0.301)


# -- which pairs decide ----------------------------------------------------------------------------------------------


def test_half_of_the_sources_decide_and_none_of_them_tests(tmp_path):
    roles = held_out_roles([pairs(tmp_path / "pairs", 1, 7)], "half")
    assert (len(roles.deciding), len(roles.testing)) == (3, 4) and not roles.shared and roles.can_decide
    assert roles == held_out_roles([tmp_path / "pairs"], "half")


def test_variants_of_a_source_are_on_one_side(tmp_path):
    dataset = Dataset(pairs(tmp_path / "pairs", 1, 6))
    rows = list(dataset.rows("validation"))
    for row in rows:
        source = dataset.load(row).images[0]
        twin = dataset.append(Pair(source=source, target=source // 2, instruction="dark"))
        dataset.rewrite(lambda one, twin=twin: replace(one, split="validation") if one.id == twin.id else one)
    roles = held_out_roles([dataset.folder], "half")
    by_id = {row.id: row.source_hash for row in dataset.rows()}
    sides = [{by_id[pair] for _, pair in side} for side in (roles.deciding, roles.testing)]
    assert sides[0].isdisjoint(sides[1]) and len(roles.deciding) == len(roles.testing) == 6


@pytest.mark.parametrize(("held_out", "decide"), [(5, True), (3, True), (2, False), (0, False)])
def test_too_few_for_both_do_both_or_nothing(tmp_path, held_out, decide):
    roles = held_out_roles([pairs(tmp_path / "pairs", 4, held_out)], "half")
    assert roles.deciding == roles.testing and len(roles.testing) == held_out
    assert roles.can_decide is decide and roles.shared is bool(held_out)


# -- runs ------------------------------------------------------------------------------------------------------------


def test_the_score_is_that_of_the_evaluation(lora, workshop, tmp_path):
    config = lora(steps=2, ema=0.0)
    run(config)
    pipeline = ACEPipeline.load(find_bundle(workshop.bundle))
    merge_lora(pipeline.model, read_lora(tmp_path / "run" / "run.safetensors"))
    ((_, measured),) = scores(tmp_path / "run")
    found = evaluate(pipeline, config.data.datasets, cases=CaseSettings(), detail=False)
    # Other noise is drawn there. On random weights it changes the pictures, and their distance by far less.
    assert len(found.results) == 4 and measured == pytest.approx(found.score, abs=0.05)


def test_a_run_hands_back_its_best_weights_and_says_so(lora, tmp_path):
    # Such steps lead away: the first measurement is the best one.
    events = run(lora(optimizer__learning_rate=0.5, early_stopping__patience=1, early_stopping__min_delta=0.9))
    found = scores(tmp_path / "run")
    best = max(found, key=lambda one: one[1])
    end = events[-1]
    assert end["finished"] and end["step"] == found[-1][0] == 4 and (end["best_step"], end["best_score"]) == best
    stored = header(tmp_path / "run" / "run.safetensors")
    assert (stored["steps"], stored["steps_done"], stored["best_score"]) == (str(best[0]), "4", f"{best[1]:.4f}")
    kept = checkpoint(tmp_path / "run", 4)
    measured = {name.removeprefix("best:") for name in kept if name.startswith("best:")}
    assert measured == {name.removeprefix("model:") for name in kept if name.startswith("model:")}


def test_the_weights_handed_back_are_those_of_that_step(lora, tmp_path):
    config = lora(checkpoints__every=2, checkpoints__export=True, checkpoints__keep=9, early_stopping__patience=9)
    run(config)
    best = max(scores(tmp_path / "run"), key=lambda one: one[1])[0]
    beside = tmp_path / "run" / "exports" / f"run-{best:08d}.safetensors"
    assert_equal_tensors(load_file(tmp_path / "run" / "run.safetensors"), load_file(beside))
    assert "best_score" not in header(beside)


def test_a_stopped_run_goes_on_bit_for_bit(lora, tmp_path):
    changes = {"early_stopping__patience": 2, "early_stopping__min_delta": 0.0, "checkpoints__every": 3}
    whole = run(lora("whole", **changes))
    first = run(lora("halves", **changes), stop_at=3)
    assert not first[-1]["finished"]
    second = run(lora("halves", **changes))
    assert second[-1]["step"] == whole[-1]["step"] and second[-1]["best_step"] == whole[-1]["best_step"]
    assert scores(tmp_path / "halves") == scores(tmp_path / "whole")
    last = whole[-1]["step"]
    assert_equal_tensors(checkpoint(tmp_path / "halves", last), checkpoint(tmp_path / "whole", last))
    assert_equal_tensors(*(load_file(tmp_path / name / f"{name}.safetensors") for name in ("halves", "whole")))


def test_a_run_that_has_stopped_by_itself_is_over(lora, tmp_path):
    changes = {"early_stopping__patience": 1, "early_stopping__min_delta": 0.9}
    run(lora(**changes))
    before = (tmp_path / "run" / "run.safetensors").read_bytes()
    events = run(lora(**changes))
    assert "step" not in {event["event"] for event in events} and events[-1]["finished"]
    assert (tmp_path / "run" / "run.safetensors").read_bytes() == before
    with pytest.raises(FinishedRunError, match=r"stopped by itself at step 4.*seed changed.*patience to go on"):
        run(lora(**changes, seed=7))
    assert run(lora(early_stopping__patience=9))[-1]["step"] == 8


def test_a_run_that_has_stopped_by_itself_goes_on_without_early_stopping(lora, tmp_path):
    assert run(lora(early_stopping__patience=1, early_stopping__min_delta=0.9))[-1]["step"] == 4
    # What ended it is switched off, so the changed rate is learnt with.
    events = run(lora(early_stopping__every=0, optimizer__learning_rate=1e-3, steps=6))
    assert [event["step"] for event in events if event["event"] == "step"] == [5, 6]
    assert "best_step" not in events[-1] and header(tmp_path / "run" / "run.safetensors")["steps"] == "6"


def test_scores_on_other_pairs_do_not_compare(lora, tmp_path):
    """The old best would stay the best forever, if those pairs were easier."""
    changes = {"early_stopping__patience": 9, "optimizer__learning_rate": 0.5}
    assert run(lora(**changes, steps=4))[-1]["best_step"] <= 4
    dataset = Dataset(tmp_path / "pairs")
    source = picture(50, 32, 32)
    dataset.append(Pair(source=source, target=255 - source, instruction="a negative"))
    end = run(lora(**changes))[-1]
    assert end["step"] == 8 and end["best_step"] in (6, 8)
    state = json.loads((tmp_path / "run" / "checkpoints" / "step-00000008" / "state.json").read_text())
    assert [step for step, _ in state["early_stopping"]["scores"]] == [6, 8]


def test_the_last_step_is_measured_too(lora, tmp_path):
    run(lora(steps=3, early_stopping__patience=9))
    assert [step for step, _ in scores(tmp_path / "run")] == [2, 3]


def test_too_few_held_out_pairs_are_said_and_all_steps_taken(lora, workshop, tmp_path):
    events = run(lora(data__datasets=[str(workshop.dataset)], steps=3))
    (notice,) = [event["text"] for event in events if event["event"] == "notice"]
    assert "cannot be chosen" in notice and "of 2 held-out pairs" in notice and "3 steps" in notice
    assert events[-1]["step"] == 3 and "best_step" not in events[-1] and not scores(tmp_path / "run")


def test_a_falling_rate_is_refused_with_what_to_do(lora):
    with pytest.raises(ConfigError, match=r'early_stopping.every is 2.*Set optimizer.schedule = "constant"'):
        lora(optimizer__schedule="cosine")


def test_results_are_handed_on(lora):
    result = train(lora(early_stopping__patience=9))
    assert [one.step for one in result.scores] == [2, 4, 6, 8]
    assert result.best == max(result.scores, key=lambda one: one.score)
    state = json.loads((result.path.parent / "checkpoints" / "step-00000008" / "state.json").read_text())
    assert state["early_stopping"]["scores"] == [[one.step, one.score] for one in result.scores]
