"""Pairs that have no words yet, pairs that stay on one side of the split, and where pictures come from."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest
from comfyui_ace.ace.pictures.resolution import Resolution
from comfyui_ace.training.dataset.curation.catalogue import Catalogue, Query
from comfyui_ace.training.dataset.curation.edits import PairEdit, edit_pairs
from comfyui_ace.training.dataset.curation.removal import delete_pairs, restore_pairs
from comfyui_ace.training.dataset.exporters import export_dataset
from comfyui_ace.training.dataset.formats import EXPORTS
from comfyui_ace.training.dataset.store import Dataset, PairRow
from comfyui_ace.training.dataset.upkeep.repair import repair
from comfyui_ace.training.dataset.upkeep.verify import verify
from comfyui_ace.training.errors import DatasetError, PairError, RowError
from comfyui_ace.training.judge.scores import Judgement
from comfyui_ace.training.judge.scoring import ScoringSettings, judge_dataset
from comfyui_ace.training.trainer.data.examples import ExampleSettings, make_examples
from comfyui_ace.training.trainer.data.file_index import FileIndex
from comfyui_ace.training.trainer.errors import DataError
from comfyui_ace.training.vision_language.answer import Usage
from pair_factory import pair, picture

pytestmark = pytest.mark.usefixtures("no_sync")
ORIGIN = {"by": "match", "files": {"source": "a.jpg", "number": 3}}


@pytest.fixture
def dataset(tmp_path):
    return Dataset.create(tmp_path, "pairs")


def bare(seed: int, **changes):
    return pair(seed, instruction="", unlabelled=True, **changes)


def examples(dataset):
    return make_examples([dataset.folder], Resolution.published(64), FileIndex(None), ExampleSettings())


def test_a_pair_may_have_no_words_only_if_that_is_meant(dataset):
    with pytest.raises(PairError, match="no instruction"):
        dataset.append(pair(0, instruction=""))
    stored = dataset.append(bare(0, group="set 1", origin=ORIGIN))
    row = dataset.row(stored.id)
    assert (row.instruction, row.prompt, row.labelled, row.group) == ("", "", False, "set 1")
    assert row.origin == {"by": "match", "files": {"source": "a.jpg", "number": 3.0}}
    loaded = dataset.load(stored.id)
    assert loaded.unlabelled and (loaded.group, loaded.origin) == (row.group, row.origin)
    checked = verify(dataset.folder, strict=dataset.checks)
    assert checked.ok and any("1 pair(s) have no instruction yet" in note for note in checked.notes)
    assert dataset.append(bare(0, group="another", origin={})).status == "duplicate"


def test_what_has_no_words_is_not_trained_on_and_not_exported(dataset, tmp_path):
    bare_id = dataset.append(bare(0)).id
    with pytest.raises(DataError, match=r"no instruction yet.*metadata"):
        examples(dataset)
    with pytest.raises(DatasetError, match="has an instruction yet"):
        export_dataset(dataset, tmp_path / "none", next(iter(EXPORTS)))
    dataset.append(pair(1))
    dataset.append(pair(0, history=(bare_id,), target=picture(9)))  # a round of one without words has none either
    found = examples(dataset)
    assert len(found.train) + len(found.validation) == 1 and dict(found.left_out) == {"no instruction yet": 2}


def test_words_can_be_given_later(dataset):
    stored = dataset.append(bare(0))
    lines = (dataset.folder / "metadata.jsonl").read_text().splitlines()
    data = json.loads(lines[0])
    data["instruction"] = "{image} as a negative"
    (dataset.folder / "metadata.jsonl").write_text(json.dumps(data) + "\n")
    (dataset.folder / "target" / f"{stored.id}.txt").write_text("as a negative")
    assert not verify(dataset.folder).ok
    repair(dataset.folder, accept_changes=True)
    row = Dataset(dataset.folder).row(stored.id)
    assert row.labelled and row.prompt == "as a negative" and verify(dataset.folder).ok
    found = examples(Dataset(dataset.folder))
    assert len(found.train) + len(found.validation) == 1


def test_a_group_is_never_on_both_sides_of_the_split(dataset):
    for seed in range(24):
        dataset.append(pair(seed, group=f"set {seed // 4}"))
    dataset.append(pair(3, target=picture(99), group="set 5"))  # one source in two groups joins them
    dataset.split(0.5, seed=1)
    for seed in range(24, 30):  # later ones follow their group
        dataset.append(pair(seed, group=f"set {seed - 24}"))
    splits = defaultdict(set)
    for row in dataset.rows():
        splits[row.group].add(row.split)
    assert all(len(found) == 1 for found in splits.values()) and splits["set 0"] == splits["set 5"]
    assert set.union(*splits.values()) == {"train", "validation"}
    assert verify(dataset.folder).ok
    moved = next(iter(dataset.rows()))
    other = {"train": "validation", "validation": "train"}[moved.split]
    lines = [json.loads(line) for line in (dataset.folder / "metadata.jsonl").read_text().splitlines()]
    for line in lines:
        line["split"] = other if line["id"] == moved.id else line["split"]
    (dataset.folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert any("same source or group" in fault.message for fault in verify(dataset.folder).faults)


def test_origins_and_groups_that_no_row_can_hold_are_refused(dataset):
    with pytest.raises(PairError, match="origin"):
        dataset.append(pair(0, origin={"files": ["a.jpg"]}))
    dataset.append(pair(0))
    data = json.loads((dataset.folder / "metadata.jsonl").read_text())
    for key, value in (("origin", ["a"]), ("group", 3)):
        with pytest.raises(RowError, match=key):
            PairRow.from_json(json.dumps({**data, key: value}).encode())


def test_words_given_on_the_page_make_it_trainable(dataset):
    stored = dataset.append(bare(0))
    catalogue = Catalogue(dataset.folder)
    catalogue.refresh()
    [entry] = catalogue.select(Query(order="words"))
    edit_pairs(catalogue, {entry.id: entry.digest}, PairEdit(instruction="{image} as a negative"))
    row = Dataset(dataset.folder).row(stored.id)
    assert row.labelled and row.prompt == "as a negative" and verify(dataset.folder).ok
    assert (dataset.folder / "target" / f"{stored.id}.txt").read_text() == row.prompt


def test_a_group_moves_to_another_split_together_and_comes_back_to_it(dataset):
    """As pairs of one source do: on the page, and when a deleted one is restored."""
    one, other, alone = (dataset.append(pair(seed, group=group)).id for seed, group in enumerate(("a", "a", "b")))
    catalogue = Catalogue(dataset.folder)
    catalogue.refresh()
    rows = {row.id: row for row in dataset.rows()}
    wanted = "validation" if rows[one].split == "train" else "train"
    [removed] = delete_pairs(catalogue, {other: catalogue.entry(other).digest})
    edit_pairs(catalogue, {one: catalogue.entry(one).digest}, PairEdit(split=wanted))
    restore_pairs(catalogue, [removed.key])
    assert catalogue.entry(other).split == wanted
    edit_pairs(catalogue, {other: catalogue.entry(other).digest}, PairEdit(split=rows[one].split))
    assert {i: catalogue.entry(i).split for i in (one, other, alone)} == {i: rows[i].split for i in (one, other, alone)}
    assert verify(dataset.folder).ok


def test_a_judge_is_not_asked_about_pairs_without_words(dataset):
    class Counting:
        """A judge whose answers nobody can read, and the words that it was shown."""

        name, prompt, address, parallel, repeated, usage = "counting", "", None, 1, 0, Usage()

        def __init__(self):
            self.seen = []

        def judge(self, pictures, *, swap=False):
            self.seen.append(pictures.instruction)
            return Judgement("counting", "", ())

    dataset.append(bare(0))
    with pytest.raises(DatasetError, match=r"instruction yet.*page of datasets"):
        judge_dataset(dataset, Counting())
    words = dataset.row(dataset.append(pair(1)).id).prompt
    judge_dataset(dataset, judge := Counting())
    assert judge.seen == [words]
    judge_dataset(dataset, judge := Counting(), ScoringSettings(again=True, instruction="a negative"))
    assert judge.seen == ["a negative"] * 2
