"""Edits by hand: whole or not at all, never over somebody else's change."""

import os

import numpy as np
import pytest
from comfyui_ace.training.dataset.curation.catalogue import Catalogue
from comfyui_ace.training.dataset.curation.edits import PairEdit, edit_pairs
from comfyui_ace.training.dataset.curation.removal import delete_pairs
from comfyui_ace.training.dataset.disk.changes import HISTORY
from comfyui_ace.training.dataset.upkeep.verify import verify
from comfyui_ace.training.errors import (
    PairError,
    StalePairError,
    UnknownPairError,
)
from curated_pairs import ids, seen
from pair_factory import pair, picture

pytestmark = pytest.mark.usefixtures("no_sync")


def test_new_words_reach_row_caption_and_hashes(dataset, catalogue):
    first, *others = ids(catalogue)
    before = dataset.row(first)
    digests = seen(catalogue, first)
    assert edit_pairs(catalogue, digests, PairEdit(instruction=" make {image}\n darker ")) == digests
    row = dataset.row(first)
    assert (row.instruction, row.prompt) == ("make {image} darker", "make the image darker")
    assert (dataset.folder / "target" / f"{first}.txt").read_text() == row.prompt
    assert row.content_hash != before.content_hash and row.fingerprint != before.fingerprint
    assert verify(dataset.folder).faults == []
    assert ids(catalogue) == [first, *others], "an edited pair keeps its place"
    (past,) = catalogue.history.edits[first]
    assert past.before == {"instruction": before.instruction, "prompt": before.prompt}
    edit_pairs(catalogue, seen(catalogue, first), PairEdit(instruction=past.before["instruction"]))
    assert dataset.row(first) == before


def test_weight_split_and_tags_of_many(dataset, catalogue):
    some = ids(catalogue)[1:3]
    before = seen(catalogue, *some)
    assert edit_pairs(catalogue, before, PairEdit(weight=0.5, split="validation", tags=("a", " a ", "b"))) == before
    rows = [dataset.row(pair_id) for pair_id in some]
    assert [(row.weight, row.split, row.tags) for row in rows] == [(0.5, "validation", ("a", "b"))] * 2
    assert edit_pairs(catalogue, seen(catalogue, *some), PairEdit(weight=0.5)) == {}
    assert len((dataset.folder / HISTORY).read_text().splitlines()) == 2, "what changes nothing is no history"


def test_variants_of_a_source_stay_on_one_side(dataset, catalogue):
    source = picture(0)
    variant = dataset.append(pair(0, target=np.roll(source, 9, axis=1), instruction="{image} moved")).id
    catalogue.refresh()
    first = ids(catalogue)[0]
    other = "validation" if dataset.row(first).split == "train" else "train"
    before = seen(catalogue, first, variant)
    assert edit_pairs(catalogue, seen(catalogue, first), PairEdit(split=other, weight=2)) == before
    assert [dataset.row(i).split for i in (first, variant)] == [other] * 2
    assert [dataset.row(i).weight for i in (first, variant)] == [2, 1]
    assert verify(dataset.folder).faults == []


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (PairEdit(instruction=" "), "needs an instruction"),
        (PairEdit(instruction="{image3} there"), "names {image3}"),
        (PairEdit(weight=-1), "between 0"),
        (PairEdit(weight=float("nan")), "a number"),
        (PairEdit(split="test"), "train or validation"),
    ],
)
def test_what_makes_no_sense_changes_nothing(dataset, catalogue, edit, message):
    before = (dataset.folder / "metadata.jsonl").read_bytes()
    with pytest.raises(PairError, match=message):
        edit_pairs(catalogue, seen(catalogue, *ids(catalogue)[:2]), edit)
    assert (dataset.folder / "metadata.jsonl").read_bytes() == before
    assert not (dataset.folder / HISTORY).exists()


def test_two_pairs_never_become_the_same(dataset, catalogue):
    twin = dataset.append(pair(0, instruction="another word")).id
    catalogue.refresh()
    with pytest.raises(PairError, match=f"same as {ids(catalogue)[0]}"):
        edit_pairs(catalogue, seen(catalogue, twin), PairEdit(instruction="{image} as a negative"))


def test_an_edit_does_not_hide_that_a_picture_was_changed(dataset, catalogue):
    first, second, *_ = ids(catalogue)
    os.replace(dataset.folder / "target" / f"{second}.png", dataset.folder / "target" / f"{first}.png")
    with pytest.raises(PairError, match="not those that were stored"):
        edit_pairs(catalogue, seen(catalogue, first), PairEdit(instruction="other words"))


def test_a_stale_page_is_told_and_overwrites_nothing(dataset, catalogue):
    first, second, *_ = ids(catalogue)
    old = seen(catalogue, first, second)
    elsewhere = Catalogue(dataset.folder)
    elsewhere.refresh()
    edit_pairs(elsewhere, seen(elsewhere, second), PairEdit(weight=3))
    for change in (lambda: edit_pairs(catalogue, old, PairEdit(weight=7)), lambda: delete_pairs(catalogue, old)):
        with pytest.raises(StalePairError) as told:
            change()
        assert told.value.pair_id == second
    assert [dataset.row(i).weight for i in (first, second)] == [1, 3]
    delete_pairs(elsewhere, seen(elsewhere, second))
    with pytest.raises(UnknownPairError, match="can be restored"):
        edit_pairs(catalogue, {second: old[second]}, PairEdit(weight=7))
