"""What the teacher spent on a pair: kept with it, and no part of its content."""

import json
from dataclasses import replace

import numpy as np
import pytest
from comfyui_ace.training.dataset.store import Dataset, PairRow
from comfyui_ace.training.dataset.upkeep.verify import verify
from comfyui_ace.training.errors import PairError, RowError
from pair_factory import pair

pytestmark = pytest.mark.usefixtures("no_sync")


@pytest.fixture
def dataset(tmp_path):
    return Dataset.create(tmp_path, "pairs")


def test_the_teachers_time_is_kept_and_has_no_part_in_the_content(dataset):
    timed = dataset.append(pair(0, teacher_seconds=np.float32(2.5), teacher_memory=1 << 31))
    assert dataset.append(pair(0, teacher_seconds=7)).id == dataset.append(pair(0)).id == timed.id
    untimed = dataset.append(pair(1)).id
    assert [row.teacher_seconds for row in dataset.rows()] == [2.5, None]
    assert dataset.load(timed.id).teacher_seconds == 2.5 and dataset.load(untimed).teacher_seconds is None
    assert [row.teacher_memory for row in dataset.rows()] == [1 << 31, None]
    assert dataset.load(timed.id).teacher_memory == 1 << 31
    digest = dataset.digest()
    dataset.rewrite(lambda row: replace(row, teacher_seconds=1.0, teacher_memory=2))
    assert dataset.digest() == digest and {row.teacher_seconds for row in dataset.rows()} == {1.0}
    for bad in (-1, float("nan"), float("inf"), "2", True):
        with pytest.raises(PairError, match="teacher_seconds"):
            dataset.append(pair(2, teacher_seconds=bad))
    for bad in (-1, 2.5, "2", True):
        with pytest.raises(PairError, match="teacher_memory"):
            dataset.append(pair(2, teacher_memory=bad))


def test_a_dataset_from_before_the_teachers_time_is_as_good(dataset):
    dataset.append(pair(0, teacher_seconds=2.5))
    metadata = dataset.folder / "metadata.jsonl"
    old = json.loads(metadata.read_text())
    del old["teacher_seconds"], old["teacher_memory"]
    metadata.write_text(json.dumps(old) + "\n")
    assert verify(dataset.folder).ok
    opened = Dataset(dataset.folder)
    assert [row.teacher_seconds for row in opened.rows()] == [None] and opened.append(pair(0)).status == "duplicate"
    for bad in ("2", -1, True):
        with pytest.raises(RowError, match="teacher_seconds"):
            PairRow.from_json(json.dumps({**old, "teacher_seconds": bad}))
        with pytest.raises(RowError, match="teacher_memory"):
            PairRow.from_json(json.dumps({**old, "teacher_memory": bad}))
