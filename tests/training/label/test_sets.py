"""Sets share, chains become rounds that the trainer takes, accepted words become examples for a captioner."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
import yaml
from comfyui_ace.ace.pictures.resolution import Resolution
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.dataset.upkeep.verify import verify
from comfyui_ace.training.errors import DatasetError
from comfyui_ace.training.label.applying import apply_labels, plan
from comfyui_ace.training.label.chains import Chain, chain_of, find_chains, write_chains
from comfyui_ace.training.label.exports import export_labels
from comfyui_ace.training.label.journal import LabelJournal
from comfyui_ace.training.label.labeller import Labeller
from comfyui_ace.training.label.labelling import label_dataset
from comfyui_ace.training.label.sets import MOST_SHOWN, find_sets, questions_about, sets_of, shared_by_set
from comfyui_ace.training.label.settings import LabelSettings
from comfyui_ace.training.trainer.data.examples import ExampleSettings, make_examples
from comfyui_ace.training.trainer.data.file_index import FileIndex
from label_models import Looking, scene_pair
from labelled_scenes import group
from pair_factory import pair

PLAIN = LabelSettings(forms=("imperative", "short"), identical=0)
ROUNDS = ("red", "blue", "green", "yellow")


@pytest.fixture
def dataset(tmp_path, no_sync):
    """Three pairs that follow one another, and one beside them."""
    made = Dataset.create(tmp_path, "rounds")
    for before, after in pairwise(ROUNDS):
        assert made.append(scene_pair(1, before, after, name=f"{before}-{after}")).stored
    assert made.append(scene_pair(9, "red", "green", "top", name="beside")).stored
    return made


def ids(dataset, *names):
    by_name = {row.id.rsplit("-", 1)[0]: row.id for row in dataset.rows()}
    return [by_name[name] for name in names]


def test_pairs_that_follow_one_another_are_found(dataset):
    wanted = ids(dataset, "red-blue", "blue-green", "green-yellow")
    assert find_chains(dataset) == [Chain(tuple(wanted))]
    assert find_chains(dataset, ids(dataset, "blue-green", "green-yellow")) == [Chain(tuple(wanted[1:]))]
    assert chain_of(dataset, wanted) == Chain(tuple(wanted))
    with pytest.raises(DatasetError, match="does not go on from"):
        chain_of(dataset, [wanted[0], wanted[2]])


def test_a_chain_does_not_come_back_to_where_it_was(dataset):
    assert dataset.append(scene_pair(1, "yellow", "red", name="back")).stored
    assert find_chains(dataset) == [Chain(tuple(ids(dataset, "red-blue", "blue-green", "green-yellow")))]


@pytest.mark.parametrize("order", [("there", "back", "on"), ("back", "on", "there"), ("on", "back", "there")])
def test_an_edit_that_was_undone_does_not_hide_what_goes_on_from_it(tmp_path, no_sync, order):
    edits = {"there": ("red", "blue"), "back": ("blue", "red"), "on": ("blue", "green")}
    made = Dataset.create(tmp_path, "undone")
    for name in order:
        assert made.append(scene_pair(1, *edits[name], name=f"{name}-")).stored
    (chain,) = find_chains(made)
    assert [pair.split("-")[0] for pair in chain.ids] == ["there", "on"]


def test_sets_are_not_mixed_in_a_chain(dataset):
    group(dataset, {row.id: f"set{number // 2}" for number, row in enumerate(dataset.rows())})
    grouped = Dataset(dataset.folder)
    assert find_chains(grouped) == [Chain(tuple(ids(grouped, "red-blue", "blue-green")))]


def test_labelled_chains_become_long_contexts_of_the_trainer(dataset):
    label_dataset(dataset, Labeller(Looking(), PLAIN), PLAIN)
    journal = LabelJournal(dataset.folder)
    apply_labels(dataset, journal, plan(dataset, journal))
    chain = find_chains(dataset)
    assert write_chains(dataset, chain, captions=True) == 3
    assert verify(dataset.folder).faults == []
    last = Dataset(dataset.folder).row(chain[0].ids[-1])
    assert last.history == chain[0].ids[:-1] and len({dataset.row(pair).split for pair in chain[0].ids}) == 1
    examples = make_examples([dataset.folder], Resolution.published(64), FileIndex(None), ExampleSettings())
    example = next(each for each in (*examples.train, *examples.validation) if each.id == last.id)
    assert len(example.references) == 3 and "{image2}" in example.texts[0] and "{image1}" not in example.texts[0]
    assert example.texts[1].startswith("Turn a red square") and "{image1}" in example.texts[2]
    caption = next(texts for texts in example.phrasings if "Grey grain" in texts[0])
    assert caption[0] == f"{{image2}} {last.target_caption}" and caption[1].startswith("{image} Grey grain")
    assert write_chains(dataset, chain, captions=True) == 0, "a second time changes nothing"


def test_what_a_set_shares_goes_into_the_questions_about_its_pairs(dataset):
    model = Looking()
    rows = list(dataset.rows())
    sets = {"all": [row.id for row in rows]}
    shared = shared_by_set(dataset, model, sets)
    assert shared == dict.fromkeys(sets["all"], ("grey grain", "4 pictures of one kind"))
    label_dataset(dataset, Labeller(model, PLAIN), PLAIN, shared=shared)
    composed = [request for request in model.asked if "instructions" in request.schema["properties"]]
    assert composed and all("4 pictures of one kind" in request.parts[0] for request in composed)
    assert all(state.label.shared == shared[pair] for pair, state in LabelJournal(dataset.folder).items())


def test_large_sets_share_only_what_is_said_of_each_handful(dataset):
    for seed in range(20, 20 + MOST_SHOWN):
        dataset.append(scene_pair(seed, "red", "blue", "bottom"))
    every = [row.id for row in dataset.rows()]
    model = Looking()
    shared = shared_by_set(dataset, model, {"large": every})
    assert len(model.asked) == 2 == questions_about({"large": every}) and set(shared.values()) == {("grey grain",)}


def test_sets_are_groups_of_two_pairs_or_more_and_only_those_of_wanted_pairs_count(dataset):
    first, second, third, fourth = (row.id for row in dataset.rows())
    assert find_sets(dataset.rows()) == {}
    group(dataset, {first: "one", second: "two", third: "one", fourth: "two"})
    rows = list(Dataset(dataset.folder).rows())
    assert find_sets(rows) == {"one": (first, third), "two": (second, fourth)}
    assert sets_of(rows, [third]) == {"one": (first, third)} and sets_of(rows, []) == {}
    assert find_sets(rows[:3]) == {"one": (first, third)}, "one pair alone is no set"


def test_nothing_is_learnt_from_captions_that_are_not_there(tmp_path, no_sync):
    made = Dataset.create(tmp_path, "templates")
    assert made.append(pair(50)).stored  # an inverted one
    label_dataset(made, Labeller(None, PLAIN), PLAIN)
    journal = LabelJournal(made.folder)
    apply_labels(made, journal, plan(made, journal))
    export_labels(made, tmp_path / "out", "ms-swift")
    (line,) = (tmp_path / "out" / "ace_captioner.jsonl").read_text().splitlines()
    _, question, answer = (message["content"] for message in json.loads(line)["messages"])
    assert "caption" not in question and "Also say" not in question
    assert list(json.loads(answer)) == ["instruction"]


@pytest.mark.parametrize("style", ["llama-factory", "ms-swift"])
def test_accepted_words_become_examples(dataset, tmp_path, style):
    with pytest.raises(DatasetError, match="no pair of 'rounds' has accepted words"):
        export_labels(dataset, tmp_path / "out", style)
    label_dataset(dataset, Labeller(Looking(), PLAIN), PLAIN)
    journal = LabelJournal(dataset.folder)
    apply_labels(dataset, journal, plan(dataset, journal)[:3])
    done = export_labels(dataset, tmp_path / "out", style, every_phrasing=True)
    assert (done.examples, done.pairs, done.left_out) == (6, 3, 1)
    configuration = yaml.safe_load((tmp_path / "out" / "ace_captioner.yaml").read_text())
    if style == "llama-factory":
        records = json.loads((tmp_path / "out" / "ace_captioner.json").read_text())
        info = json.loads((tmp_path / "out" / "dataset_info.json").read_text())
        assert info["ace_captioner"]["file_name"] == "ace_captioner.json"
        assert configuration["dataset"] == "ace_captioner" and configuration["stage"] == "sft"
    else:
        assert configuration["dataset"] == ["ace_captioner.jsonl"] and configuration["learning_rate"] == 1e-4
        records = [json.loads(line) for line in (tmp_path / "out" / "ace_captioner.jsonl").read_text().splitlines()]
    row = next(row for row in dataset.rows() if journal[row.id].decision == "accepted")
    example = records[0]
    assert [message["role"] for message in example["messages"]] == ["system", "user", "assistant"]
    assert example["messages"][1]["content"].count("<image>") == len(example["images"]) == 2
    answer = json.loads(example["messages"][2]["content"])
    assert answer == {
        "instruction": row.instruction,
        "source_caption": row.source_caption,
        "target_caption": row.target_caption,
    }
    assert all((tmp_path / "out" / name).is_file() for record in records for name in record["images"])
    with pytest.raises(DatasetError, match="accepted words"):
        export_labels(dataset, tmp_path / "people", style, by_person=True)
