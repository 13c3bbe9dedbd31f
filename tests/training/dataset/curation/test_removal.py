"""Deleting and restoring pairs."""

import numpy as np
import pytest
from comfyui_ace.training.dataset.curation.catalogue import Catalogue
from comfyui_ace.training.dataset.curation.edits import PairEdit, edit_pairs
from comfyui_ace.training.dataset.curation.history import REMOVED
from comfyui_ace.training.dataset.curation.removal import delete_pairs, restore_pairs
from comfyui_ace.training.dataset.upkeep.verify import verify
from comfyui_ace.training.errors import (
    DatasetError,
    PairError,
    UnknownPairError,
)
from curated_pairs import files, ids, seen
from pair_factory import half_mask, pair, picture

pytestmark = pytest.mark.usefixtures("no_sync")


def test_a_deleted_pair_comes_back_as_it_was(dataset, catalogue):
    dataset.append(pair(9, masks=[half_mask()], references=[picture(8)], instruction="{image} with {image1}"))
    catalogue.refresh()
    *_, last = ids(catalogue)
    before, row = files(dataset.folder), dataset.row(last)
    (removed,) = delete_pairs(catalogue, seen(catalogue, last))
    assert last not in dataset and removed.row == row
    owned = set(row.all_files)
    assert files(dataset.folder) == before - owned | {removed.file(name) for name in owned}
    assert verify(dataset.folder).faults == []
    fresh = Catalogue(dataset.folder)
    fresh.refresh()
    assert list(fresh.history.removed) == [removed.key]

    assert restore_pairs(catalogue, [removed.key]) == [last]
    assert files(dataset.folder) == before and dataset.row(last) == row
    assert not (dataset.folder / REMOVED / removed.key).exists()
    assert verify(dataset.folder).faults == [] and not catalogue.history.removed
    with pytest.raises(UnknownPairError, match="restored already"):
        restore_pairs(catalogue, [removed.key])


def test_pairs_that_were_deleted_together_stand_as_they_stood(dataset, catalogue):
    """Whatever the order in which they were chosen, as on a page that shows the newest first."""
    first = dataset.append(pair(20)).id
    dataset.append(pair(21, history=[first], instruction="now {image1}"))
    dataset.append(pair(22))
    catalogue.refresh()
    before = ids(catalogue)
    chosen = [before[-1], before[-3], before[-2]]
    removed = delete_pairs(catalogue, seen(catalogue, *chosen))
    assert [one.row.id for one in removed] == chosen
    assert restore_pairs(catalogue, [one.key for one in removed]) == before[-3:]
    assert ids(catalogue) == before
    # One after the other, the later round first: together they come back in an order that is possible.
    keys = [delete_pairs(catalogue, seen(catalogue, one))[0].key for one in (before[-2], before[-1], before[-3])]
    assert restore_pairs(catalogue, keys) == [before[-1], before[-3], before[-2]]


def test_the_same_pair_may_be_deleted_twice_and_is_never_there_twice(dataset, catalogue):
    first = ids(catalogue)[0]
    (one,) = delete_pairs(catalogue, seen(catalogue, first))
    assert dataset.append(pair(0, name="photo 0")).id == first
    with pytest.raises(PairError, match="again, as"):
        restore_pairs(catalogue, [one.key])
    (two,) = delete_pairs(catalogue, seen(catalogue, first))
    assert one.key != two.key
    with pytest.raises(PairError, match=r"the id|again"):
        restore_pairs(catalogue, [one.key, two.key])
    assert restore_pairs(catalogue, [two.key]) == [first]
    assert verify(dataset.folder).faults == []


def test_rounds_go_and_come_together(dataset, catalogue):
    first = ids(catalogue)[0]
    later = dataset.append(pair(20, history=[first], instruction="now {image1}")).id
    catalogue.refresh()
    with pytest.raises(PairError, match="later round"):
        delete_pairs(catalogue, seen(catalogue, first))
    one, two = delete_pairs(catalogue, seen(catalogue, first, later))
    with pytest.raises(PairError, match="earlier rounds"):
        restore_pairs(catalogue, [two.key])
    assert restore_pairs(catalogue, [two.key, one.key]) == [first, later]
    assert verify(dataset.folder).faults == []


def test_a_restored_pair_follows_its_source(dataset, catalogue):
    variant = dataset.append(pair(0, target=np.roll(picture(0), 9, axis=1))).id
    catalogue.refresh()
    first = ids(catalogue)[0]
    (removed,) = delete_pairs(catalogue, seen(catalogue, variant))
    other = "validation" if dataset.row(first).split == "train" else "train"
    edit_pairs(catalogue, seen(catalogue, first), PairEdit(split=other))
    restore_pairs(catalogue, [removed.key])
    assert dataset.row(variant).split == other
    assert verify(dataset.folder).faults == []


def test_a_pair_without_all_its_pictures_is_not_restored(dataset, catalogue):
    first, second, *_ = ids(catalogue)
    gone, whole = delete_pairs(catalogue, seen(catalogue, first, second))
    (dataset.folder / gone.file(gone.row.target_file_name)).unlink()
    with pytest.raises(DatasetError, match="is gone"):
        restore_pairs(catalogue, [whole.key, gone.key])
    assert second not in dataset
    assert restore_pairs(catalogue, [whole.key]) == [second]
