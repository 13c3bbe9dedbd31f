"""From scores to weights, and back."""

from __future__ import annotations

import pytest
from comfyui_ace.training.errors import DatasetError
from comfyui_ace.training.judge import weights
from comfyui_ace.training.judge.scoring import write_scores
from judging import scored_rows, weights_of


def test_the_papers_threshold(dataset):
    rows = scored_rows(dataset, [9, 8.9, 9.5, 0, None, 3, 9, 10, 1, 2, 3, 4])
    found = weights.weigh(rows, weights.WeightSettings("eyes"))
    assert list(found.weights.values()) == [1, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0]
    assert len(found.unscored) == 1 and len(found.kept) == 4


def test_the_best_share_is_taken_in_each_task(dataset):
    """Even rows are one task, odd rows another whose scores are all higher."""
    rows = scored_rows(dataset, [1, 9, 2, 9.5, 3, 8, 4, 7, 5, 6.5, 6, 6.2])
    found = weights.weigh(rows, weights.WeightSettings("eyes", "top", share=1 / 3))
    assert [list(found.weights.values())[place] for place in (8, 10, 1, 3)] == [1, 1, 1, 1] and len(found.kept) == 4


def test_pairs_that_are_level_are_kept_together(dataset):
    rows = scored_rows(dataset, [8.0] * 12)
    assert len(weights.weigh(rows, weights.WeightSettings("eyes", "top", share=0.1)).kept) == 12


def test_ranks_have_a_mean_of_one_in_each_task(dataset):
    """Ranks 1 … 6 to the power 2 have a mean of 91 / 6."""
    rows = scored_rows(dataset, [1, 9, 2, 9.5, 3, 8, 4, 7, 5, 6.5, 6, 6.2])
    found = list(weights.weigh(rows, weights.WeightSettings("eyes", "rank", power=2)).weights.values())
    assert found[::2] == pytest.approx([n * n / (91 / 6) for n in range(1, 7)])
    assert sum(found) / 12 == pytest.approx(1.0) and found[3] == pytest.approx(max(found))


def test_the_gate_leaves_out_what_is_broken(dataset):
    rows = scored_rows(dataset, [9.0] * 12)
    write_scores(dataset, "pixels", {rows[4].id: {"prompt": "1", "o_score": 1.0}, rows[5].id: {"o_score": 9.0}})
    found = weights.weigh(list(dataset.rows()), weights.WeightSettings("eyes", gate=5))
    assert found.gated == (rows[4].id,) and found.weights[rows[4].id] == 0 and len(found.kept) == 11


def test_no_scores_and_nothing_left_are_explained(dataset):
    with pytest.raises(DatasetError, match="has scored none"):
        weights.weigh(list(dataset.rows()), weights.WeightSettings("eyes"))
    with pytest.raises(DatasetError, match=r"best score.*8\.00.*--mode top"):
        weights.weigh(scored_rows(dataset, [8.0] * 12), weights.WeightSettings("eyes"))


def test_weights_can_be_undone_step_by_step(dataset):
    dataset.rewrite(lambda row: row.__class__(**{**vars(row), "weight": 0.7}) if row.seed == 3 else row)
    start = weights_of(dataset)
    rows = scored_rows(dataset, [float(n % 11) for n in range(12)])
    for settings in (weights.WeightSettings("eyes", "top"), weights.WeightSettings("eyes", "rank")):
        assert weights.apply(dataset, weights.weigh(rows, settings)) > 0
    ranked = weights_of(dataset)
    assert weights.apply(dataset, weights.weigh(rows, weights.WeightSettings("eyes", "rank"))) == 0
    assert weights.undo(dataset)[1]["mode"] == "rank" and weights_of(dataset) != ranked
    assert weights.undo(dataset)[1]["mode"] == "top" and weights_of(dataset) == start
    with pytest.raises(DatasetError, match="never changed"):
        weights.undo(dataset)
