"""One student of several teachers: each dataset counts the same, is measured alone, and keeps its words."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from comfyui_ace.ace.weights.lora import read_lora
from comfyui_ace.commands.train import TextDisplay
from comfyui_ace.training.dataset.store import Dataset, Pair
from comfyui_ace.training.trainer.config_file import make_config
from comfyui_ace.training.trainer.data.batch_sampler import BatchSampler
from comfyui_ace.training.trainer.data.examples import dataset_names
from comfyui_ace.training.trainer.errors import FinishedRunError
from comfyui_ace.training.trainer.monitoring.by_dataset import dataset_progress, describe_datasets
from comfyui_ace.training.trainer.monitoring.score import PictureScore, ScoreMeter
from comfyui_ace.training.trainer.monitoring.validation import subsample_equally
from comfyui_ace.training.trainer.run import train
from pair_factory import picture
from trainer_runs import checkpoint, metrics, workshop_fixture  # noqa: F401


def counts_of(sampler: BatchSampler, batches: int) -> Counter:
    return Counter(index for number in range(batches) for index in sampler.batch(number))


@pytest.mark.parametrize("batch_size", [1, 4, 7])
def test_each_dataset_is_seen_as_often_as_any_other(batch_size):
    layouts = ["a"] * 90 + ["b"] * 10
    groups = ["x"] * 80 + ["y"] * 15 + ["z"] * 5  # y in both layouts
    sampler = BatchSampler(layouts, batch_size, seed=3, groups=groups)
    batches = [sampler.batch(number) for number in range(4200 // batch_size)]
    assert all(len({layouts[index] for index in batch}) == 1 for batch in batches)
    seen = Counter(index for batch in batches for index in batch)
    by_group = Counter()
    for index, count in seen.items():
        by_group[groups[index]] += count
    assert all(abs(count - 1400) <= 2 * batch_size + 2 for count in by_group.values()), by_group
    for name in "xyz":
        members = [seen[index] for index in range(100) if groups[index] == name]
        assert max(members) - min(members) <= 2 + batch_size
    again = BatchSampler(layouts, batch_size, seed=3, groups=groups)
    assert [again.batch(number) for number in (400, 3, 77)] == [batches[400], batches[3], batches[77]]


def test_a_batch_mixes_datasets():
    sampler = BatchSampler(["a"] * 40, 4, seed=0, groups=["x"] * 30 + ["y"] * 10)
    mixed = [len({index >= 30 for index in sampler.batch(number)}) for number in range(50)]
    assert mixed.count(2) > 30


def test_one_group_is_no_group():
    layouts = ["a"] * 7 + ["b"] * 3 + ["c"]
    plain, grouped = BatchSampler(layouts, 3, 1), BatchSampler(layouts, 3, 1, ["all"] * 11)
    assert counts_of(plain, 200) == counts_of(grouped, 200)
    assert [plain.batch(number) for number in range(200)] == [grouped.batch(number) for number in range(200)]


def test_shares_are_equal_while_there_is_enough():
    groups = [list("abcdefgh"), ["i"], list("jklm")]
    assert Counter("abi".__contains__(one) for one in subsample_equally(groups, 100))[True] == 3
    chosen = subsample_equally(groups, 7)
    assert [sum(one in group for one in chosen) for group in groups] == [3, 1, 3]
    assert subsample_equally([[], []], 5) == []


def test_names_tell_datasets_apart(tmp_path):
    folders = [tmp_path / "one" / "pairs", tmp_path / "two" / "pairs", tmp_path / "ink"]
    names = dataset_names(folders)
    assert len(set(names)) == 3 and names[2] == "ink" and names[0].endswith("one/pairs")


@pytest.fixture
def ink(tmp_path):
    """A second teacher with fewer pairs."""
    dataset = Dataset.create(tmp_path, "ink")
    for number in range(3):
        source = picture(40 + number, 32, 32)
        dataset.append(Pair(source=source, target=255 - source, instruction="{image} as ink"))
    held_out = list(dataset.rows())[-1].id
    dataset.rewrite(lambda row: replace(row, split="validation" if row.id == held_out else "train"))
    return dataset.folder


def metrics_but_times(folder):
    return [(record["event"], record["step"], record["loss"]) for record in metrics(folder)]


def table_of(workshop, ink, output, **changes):
    table = workshop.table(output, validation__every=2, **changes)
    table["data"] |= {"datasets": [str(workshop.dataset), str(ink)], "balance": "datasets"}
    return table


def test_a_run_tells_how_each_dataset_does(workshop, ink, tmp_path):
    train(make_config(table_of(workshop, ink, tmp_path / "run")))
    measured = [record for record in metrics(tmp_path / "run") if record["event"] == "validation"]
    assert measured and all(set(record["by_dataset"]) == {workshop.dataset.name, "ink"} for record in measured)
    for record in measured:
        low, high = sorted(record["by_dataset"].values())
        assert low <= record["loss"] <= high


def test_a_balanced_run_goes_on_exactly(workshop, ink, tmp_path):
    train(make_config(table_of(workshop, ink, tmp_path / "whole")))
    train(make_config(table_of(workshop, ink, tmp_path / "halves") | {"steps": 2}))
    train(make_config(table_of(workshop, ink, tmp_path / "halves")))
    assert metrics_but_times(tmp_path / "halves") == metrics_but_times(tmp_path / "whole")
    whole, halves = checkpoint(tmp_path / "whole", 4), checkpoint(tmp_path / "halves", 4)
    assert all((whole[name] == halves[name]).all() for name in whole)


def test_a_lora_keeps_the_words_of_each_edit(workshop, ink, tmp_path):
    table = table_of(workshop, ink, tmp_path / "lora", method="lora", lora__rank=2)
    table["model"] = {"bundle": str(workshop.bundle)}
    made = read_lora(train(make_config(table)).path)
    assert made.triggers["ink"] == "{image} as ink" and set(made.triggers) == {workshop.dataset.name, "ink"}
    table["data"]["datasets"], table["output"] = [str(ink)], str(tmp_path / "alone")
    assert read_lora(train(make_config(table)).path).triggers == {}


def test_what_older_checkpoints_do_not_name_has_not_changed(workshop, tmp_path):
    config = make_config(workshop.table(tmp_path / "run"))
    train(config)
    (state,) = (tmp_path / "run" / "checkpoints").glob("*/state.json")
    stored = json.loads(state.read_text())
    metadata = stored.get("metadata", stored)
    del metadata["config"]["data"]["balance"], metadata["config"]["optimizer"]["muon"], metadata["triggers"]
    state.write_text(json.dumps(stored))
    assert train(config).finished
    with pytest.raises(FinishedRunError, match="balance changed from 'pairs' to 'datasets'"):
        table = workshop.table(tmp_path / "run")
        table["data"]["balance"] = "datasets"
        train(make_config(table))


def ends_of(table) -> dict:
    """What the end of a run says of each dataset."""
    events = []
    train(make_config(table), on_event=events.append)
    return next(event for event in events if event["event"] == "end").get("by_dataset", {})


def test_a_whole_model_says_at_the_end_how_each_dataset_was_learnt(workshop, ink, tmp_path):
    table = table_of(workshop, ink, tmp_path / "run", steps=3)  # measured at step 2, and once more at the last
    assert table["method"] == "full"
    told = ends_of(table)
    assert told.keys() == {workshop.dataset.name, "ink"}
    first, last = [record for record in metrics(tmp_path / "run") if record["event"] == "validation"]
    assert (first["step"], last["step"]) == (2, 3)
    for name, values in told.items():
        assert values == {
            "first_step": 2,
            "first": first["by_dataset"][name],
            "step": 3,
            "loss": last["by_dataset"][name],
        }
    assert ends_of(table) == told, "nothing is measured twice"
    table["data"]["datasets"], table["output"] = [str(ink)], str(tmp_path / "alone")
    assert ends_of(table) == {}


def test_the_table_is_of_the_weights_that_are_handed_back(workshop, ink, tmp_path, monkeypatch):
    dataset = Dataset(ink)
    for number in range(3):
        source = picture(60 + number, 32, 32)
        dataset.append(Pair(source=source, target=255 - source, instruction="{image} as ink"))
    held_out = {row.id for row in list(dataset.rows())[-3:]}
    dataset.rewrite(lambda row: replace(row, split="validation" if row.id in held_out else "train"))
    scores = iter((0.1, 0.3, 0.2))  # after steps 2, 4 and 6
    monkeypatch.setattr(ScoreMeter, "measure", lambda *_: PictureScore(next(scores), 0.1, 0.2))
    table = table_of(workshop, ink, tmp_path / "run", steps=6)
    table["early_stopping"], table["validation"] = {"every": 2, "patience": 9}, {"every": 3}
    told = ends_of(table)
    measured = {r["step"]: r["by_dataset"] for r in metrics(tmp_path / "run") if r["event"] == "validation"}
    assert list(measured) == [2, 3, 4, 6] and measured[4] != measured[6]
    assert {name: (values["step"], values["loss"]) for name, values in told.items()} == {
        name: (4, loss) for name, loss in measured[4].items()
    }


def test_the_table_at_the_end_begins_with_what_was_learnt_least(capsys):
    progress = {
        "ink": {"first_step": 100, "first": 0.4, "step": 300, "loss": 0.1},
        "night scene": {"first_step": 100, "first": 0.2, "step": 300, "loss": 0.21},
    }
    display = TextDisplay()
    display({"event": "end", "step": 300, "finished": True, "path": "model.safetensors", "by_dataset": progress})
    out, told = capsys.readouterr()
    assert out == "model.safetensors\n"
    assert told.splitlines() == [
        "Held-out loss of each dataset, the least learnt first:",
        "  night scene  0.2100, 5 % more than at step 100",
        "  ink          0.1000, 75 % less than at step 100",
    ]


def test_a_single_measurement_has_nothing_to_compare_with():
    record = {"event": "validation", "step": 4, "by_dataset": {"ink": 0.5, "night": None}}
    (ink,) = dataset_progress([{"event": "step", "step": 4}, record])
    assert ink.fall is None and describe_datasets([ink])[1] == "  ink  0.5000, measured once"
    assert describe_datasets(dataset_progress([{"event": "validation", "step": 4}])) == []
