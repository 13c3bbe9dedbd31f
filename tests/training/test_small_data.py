"""Distillations of few pairs: automatic length, which pairs decide and which test, and the learning curve."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from comfyui_ace.ace.weights.lora import read_lora
from comfyui_ace.cli import main
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.distil import _hold_some_out, distil
from comfyui_ace.training.distil_config import DistilSettings, make_train_config, unused_settings
from comfyui_ace.training.trainer.data.division import held_out_roles
from comfyui_ace.training.trainer.errors import ConfigError, FinishedRunError
from pair_factory import pair
from trainer_runs import Workshop, metrics, two_steps_of_distil, workshop_fixture, write_toml  # noqa: F401


def make_dataset(folder: Path, train: int, held_out: int) -> Dataset:
    dataset = Dataset.create(folder, "few")
    for seed in range(train + held_out):
        assert dataset.append(pair(seed)).stored
    dataset.rewrite(lambda row: replace(row, split="validation" if row.seed >= train else "train"))
    return dataset


@pytest.fixture
def settings(workshop: Workshop, tmp_path) -> DistilSettings:
    """Few steps on a random bundle."""
    usual = two_steps_of_distil(workshop, tmp_path)
    return replace(
        usual,
        datasets=[make_dataset(tmp_path, 8, 6).folder],
        steps=6,
        overrides={**usual.overrides, "validation": {"every": 0}, "checkpoints": {"export": False}},
        pairs=8,
        keep_detail="off",
        speed_loss=0.0,
        automatic_length=True,
    )


def test_automatic_length_is_a_constant_rate_with_an_average_as_long_as_a_measurement(settings):
    config = make_train_config(replace(settings, steps=None))
    usual = make_train_config(replace(settings, steps=None, automatic_length=False))
    assert config.steps == 3 * usual.steps and config.early_stopping.every == config.steps // 30
    assert config.optimizer.schedule == "constant" and config.ema == pytest.approx(1 - 30 / config.steps)
    assert config.early_stopping.pairs == "half" and usual.early_stopping.every == 0
    assert make_train_config(replace(settings, train_only=True)).early_stopping.pairs == "all"
    assert make_train_config(replace(settings, steps=60)).steps == 60


def test_a_configuration_of_ones_own_keeps_the_rest(settings, tmp_path):
    own = {"output": "x", "steps": 50, "model": {"bundle": "x"}, "data": {"datasets": ["x"]}}
    own["optimizer"] = {"schedule": "cosine", "learning_rate": 0.5}
    file = write_toml(own, tmp_path / "own.toml")
    config = make_train_config(replace(settings, config=file, steps=None))
    assert (config.steps, config.optimizer.schedule, config.optimizer.learning_rate) == (150, "constant", 0.5)


def test_what_automatic_length_takes_from_a_configuration_is_said(settings, tmp_path):
    own = {"output": "x", "steps": 50, "ema": 0.5, "model": {"bundle": "x"}, "data": {"datasets": ["x"]}}
    own["optimizer"] = {"schedule": "cosine"}
    given = replace(settings, config=write_toml(own, tmp_path / "own.toml"), steps=None)
    (sentence,) = unused_settings(given, make_train_config(given))
    assert "own.toml" in sentence and sentence.endswith("ema = 0.5, optimizer.schedule = cosine")
    fixed = replace(given, automatic_length=False)
    assert unused_settings(fixed, make_train_config(fixed)) == []
    assert unused_settings(settings, make_train_config(settings)) == []


def test_a_rank_where_no_lora_is_trained_is_said(settings, tmp_path):
    own = {"output": "x", "method": "full", "model": {"bundle": "x"}, "data": {"datasets": ["x"]}}
    file = write_toml(own, tmp_path / "own.toml")
    given = replace(settings, config=file, automatic_length=False, train_only=True, rank=16)
    (sentence,) = unused_settings(given, make_train_config(given))
    assert sentence.startswith("rank 16 changes nothing") and '"full"' in sentence
    assert unused_settings(replace(given, rank=None), make_train_config(given)) == []


def test_the_pairs_that_decide_are_not_those_of_the_report(settings):
    events = []
    result = distil(settings, on_event=events.append)
    roles = held_out_roles(settings.datasets, "half")
    assert len(roles.deciding) == 3 and not roles.shared
    assert {one.id for one in result.evaluation.results} == {name for _, name in roles.testing}
    scores = [line for line in metrics(settings.output) if line["event"] == "score"]
    best = max(scores, key=lambda line: line["score"])
    assert read_lora(result.trained).metadata["steps"] == str(best["step"])
    (sentence,) = result.outlook
    assert f"step {best['step']}" in sentence and sentence in result.report.read_text().replace("&#x27;", "'")
    assert sentence in events[-1]["verdict"] and events[-1]["best_step"] == best["step"]


def test_too_few_for_both_are_said_to_flatter(settings, tmp_path):
    few = make_dataset(tmp_path / "three", 6, 3)
    result = distil(replace(settings, datasets=[few.folder]))
    assert len(result.evaluation.results) == 3 and "too good" in result.outlook[-1]
    assert "too good" in result.report.read_text()


def test_too_few_to_decide_take_the_usual_steps(settings, tmp_path):
    few = make_dataset(tmp_path / "two", 4, 2)
    events = []
    result = distil(replace(settings, datasets=[few.folder], steps=6), on_event=events.append)
    (notice,) = [event["text"] for event in events if event["event"] == "notice"]
    assert "cannot be chosen" in notice and "It trains 2 steps" in notice
    assert result.step == 2 and result.outlook == () and read_lora(result.trained).metadata["steps"] == "2"
    state = json.loads((settings.output / "checkpoints" / "step-00000002" / "state.json").read_text())
    assert state["config"]["optimizer"]["schedule"] == "cosine"


def test_pairs_are_set_aside_where_too_few_are_to_decide(settings, tmp_path):
    dataset = make_dataset(tmp_path / "ten", 11, 1)
    distil(replace(settings, datasets=[dataset.folder], train_only=True))
    assert len(list(dataset.rows("validation"))) == 3
    large = make_dataset(tmp_path / "thirty", 30, 0)
    distil(replace(settings, datasets=[large.folder], output=tmp_path / "second", train_only=True))
    assert len(list(large.rows("validation"))) == 6


def test_pairs_that_somebody_has_held_out_stay_so_where_more_are_needed(settings, tmp_path):
    dataset = make_dataset(tmp_path / "ten", 12, 0)
    for chosen in dataset.ids():  # whichever it is, chance would have chosen others beside it
        dataset.rewrite(lambda row, chosen=chosen: replace(row, split="validation" if row.id == chosen else "train"))
        run = replace(settings, datasets=[dataset.folder], output=tmp_path / chosen)
        _hold_some_out(run, make_train_config(run), lambda _event: None)
        held_out = {row.id for row in dataset.rows("validation")}
        assert len(held_out) == 3 and chosen in held_out


def test_a_finished_run_is_not_asked_for_another_length_in_vain(settings):
    distil(replace(settings, pairs=0))
    with pytest.raises(FinishedRunError, match="schedule changed from 'constant' to 'cosine'"):
        distil(replace(settings, pairs=0, automatic_length=False, steps=4))


def test_a_learning_curve_trains_on_halves_and_says_what_it_found(settings):
    run = replace(settings, automatic_length=False, steps=2, learning_curve=True)
    events = []
    result = distil(run, on_event=events.append)
    learnt = []
    for half in ("first-half", "second-half"):
        state = json.loads((run.output / half / "checkpoints" / "step-00000002" / "state.json").read_text())
        learnt.append(state["pairs"])
    assert learnt == [4, 4] and "With half of the 8 pairs the score is" in result.outlook[-1]
    assert result.outlook[-1] in events[-1]["verdict"] and result.finished
    curve = [event for event in events if event.get("what") == "learning curve"]
    assert [event["done"] for event in curve] == [1, 2, 3, 4] and {event["total"] for event in curve} == {4}


@pytest.mark.parametrize(
    ("change", "said"), [({"train_only": True}, "train_only"), ({"pairs": 0}, "0 pairs to evaluate on")]
)
def test_a_learning_curve_of_what_is_not_measured_is_refused(settings, change, said):
    with pytest.raises(ConfigError, match=f"with {said} nothing is measured"):
        make_train_config(replace(settings, learning_curve=True, **change))


def test_the_command_says_how_long(settings, capsys):
    given = {"model": settings.bundle, "output": settings.output, "name": "ink", "rank": 2, "pairs": 0}
    given |= {"device": "cpu", "batch-size": 2, "steps": "auto", "max-steps": 3}
    options = [f"--{key}={value}" for key, value in given.items()]
    changes = ["--set=samples.every=0", f"--set=data.cache={settings.overrides['data']['cache']}"]
    assert main(["distil", str(settings.datasets[0]), "--json", *options, *changes]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1]["step"] <= 3 and events[-1]["best_step"] is not None
    assert {"score", "distilled"} <= {event["event"] for event in events}
    assert main(["distil", str(settings.datasets[0]), f"--model={settings.bundle}", "--max-steps=3"]) == 1
    assert "--max-steps is 3, which belongs to --steps auto" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["distil", str(settings.datasets[0]), "--steps", "some"])


def test_a_schedule_that_was_asked_for_and_does_not_fit_is_refused(settings):
    overrides = {**settings.overrides, "optimizer": {"schedule": "linear"}}
    with pytest.raises(ConfigError, match=r'Set optimizer\.schedule = "constant"'):
        make_train_config(replace(settings, overrides=overrides))
