"""Sets share, chains become rounds that the trainer takes, accepted words become lessons for a captioner."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
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
from comfyui_ace.training.label.sets import MOST_SHOWN, find_sets, shared_by_set
from comfyui_ace.training.label.settings import LabelSettings
from comfyui_ace.training.trainer.data.examples import ExampleSettings, make_examples
from comfyui_ace.training.trainer.data.file_index import FileIndex
from label_models import Looking, scene_pair

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


def test_a_circle_is_no_chain_and_sets_are_not_mixed(dataset):
    assert dataset.append(scene_pair(1, "yellow", "red", name="back")).stored
    assert find_chains(dataset) == []
    (dataset.folder / "metadata.jsonl").write_text(
        "".join(
            json.dumps({**json.loads(row.to_json()), "group": f"set{number // 2}"}) + "\n"
            for number, row in enumerate(dataset.rows())
        )
    )
    grouped = Dataset(dataset.folder)
    chains = [chain.ids for chain in find_chains(grouped)]
    assert [tuple(ids(grouped, "red-blue", "blue-green"))] == [chain for chain in chains if len(chain) == 2][:1]
    assert all(len(chain) == 2 for chain in chains)


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
    assert len(model.asked) == 2 and set(shared.values()) == {("grey grain",)}
    assert find_sets(dataset.rows()) == {}


@pytest.mark.parametrize("style", ["llama-factory", "ms-swift"])
def test_accepted_words_become_lessons(dataset, tmp_path, style):
    with pytest.raises(DatasetError, match="no pair of 'rounds' has accepted words"):
        export_labels(dataset, tmp_path / "out", style)
    label_dataset(dataset, Labeller(Looking(), PLAIN), PLAIN)
    journal = LabelJournal(dataset.folder)
    apply_labels(dataset, journal, plan(dataset, journal)[:3])
    done = export_labels(dataset, tmp_path / "out", style, every_phrasing=True)
    assert (done.lessons, done.pairs, done.left_out) == (6, 3, 1)
    if style == "llama-factory":
        records = json.loads((tmp_path / "out" / "ace_captioner.json").read_text())
        info = json.loads((tmp_path / "out" / "dataset_info.json").read_text())
        assert info["ace_captioner"]["file_name"] == "ace_captioner.json"
        configuration = (tmp_path / "out" / "ace_captioner.yaml").read_text()
        assert "dataset: ace_captioner" in configuration and "stage: sft" in configuration
    else:
        records = [json.loads(line) for line in (tmp_path / "out" / "ace_captioner.jsonl").read_text().splitlines()]
    row = next(row for row in dataset.rows() if journal[row.id].decision == "accepted")
    lesson = records[0]
    assert [message["role"] for message in lesson["messages"]] == ["system", "user", "assistant"]
    assert lesson["messages"][1]["content"].count("<image>") == len(lesson["images"]) == 2
    answer = json.loads(lesson["messages"][2]["content"])
    assert answer == {
        "instruction": row.instruction,
        "source_caption": row.source_caption,
        "target_caption": row.target_caption,
    }
    assert all((tmp_path / "out" / name).is_file() for record in records for name in record["images"])
    with pytest.raises(DatasetError, match="accepted words"):
        export_labels(dataset, tmp_path / "people", style, by_person=True)
