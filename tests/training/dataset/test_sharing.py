"""A dataset that several threads, objects and processes use at once."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from comfyui_ace.training.dataset import store as pairs
from comfyui_ace.training.dataset.disk.index import PairIndex
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.errors import DatasetError
from pair_factory import pair

pytestmark = pytest.mark.usefixtures("no_sync")


@pytest.fixture
def dataset(tmp_path):
    return Dataset.create(tmp_path, "pairs")


def test_a_pair_that_another_stores_while_it_is_checked_is_a_duplicate(dataset, monkeypatch):
    """It looks like itself, but that is no reason to reject it."""
    checks = pairs.run_checks

    def meanwhile(*arguments):
        monkeypatch.setattr(pairs, "run_checks", checks)
        assert Dataset(dataset.folder).append(pair(0)).stored and len(dataset) == 1
        return checks(*arguments)

    monkeypatch.setattr(pairs, "run_checks", meanwhile)
    assert dataset.append(pair(0)).status == "duplicate"
    assert not list(dataset.rejected())


def test_an_open_dataset_sees_what_others_wrote_and_rewrote(dataset):
    other = Dataset(dataset.folder)
    assert len(dataset) == 0
    kept = other.append(pair(0)).id
    assert len(dataset) == 1 and dataset.append(pair(0)).id == kept
    other.rewrite(lambda row: None)
    assert len(dataset) == 0
    with pytest.raises(DatasetError, match="no pair"):
        dataset.row(kept)


def test_a_row_is_right_though_the_file_is_rewritten_between_looking_it_up_and_reading_it(dataset, monkeypatch):
    first, second, third = (dataset.append(pair(n)).id for n in range(3))
    other = Dataset(dataset.folder)
    refresh, left = PairIndex.refresh, [first, second]

    def then_rewritten(index):
        refresh(index)
        if index is dataset._index and left:  # whatever is taken out shifts what comes after it
            gone = left.pop(0)
            other.rewrite(lambda row: None if row.id == gone else replace(row, tags=(*row.tags, f"ä{len(left)}")))

    monkeypatch.setattr(PairIndex, "refresh", then_rewritten)
    row = dataset.row(third)
    assert (row.id, row.tags) == (third, ("ä1", "ä0")) and not left
    left.append(third)
    with pytest.raises(DatasetError, match=f"has no pair '{third}'"):
        dataset.row(third)


def test_threads_write_without_losing_or_doubling(dataset):
    results = []

    def work(offset: int) -> None:
        results.extend(dataset.append(pair(seed)) for seed in range(offset, offset + 8))

    threads = [threading.Thread(target=work, args=(offset,)) for offset in (0, 4, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = [result.id for result in results if result.stored]
    assert len(results) == 24 and len(stored) == len(set(stored)) == 16
    assert sorted(row.id for row in dataset.rows()) == sorted(stored)
