"""An artist's choices between pairs, and what the judge learns from them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from comfyui_ace.training.errors import DatasetError
from comfyui_ace.training.judge.exports import export_judgements
from comfyui_ace.training.judge.judges import LanguageModelJudge
from comfyui_ace.training.judge.ranking import artist_scores, comparisons, next_comparison, progress, record_choice
from comfyui_ace.training.judge.report import report_on
from comfyui_ace.training.judge.scoring import ScoringSettings, judge_dataset
from judging import PAIRS, Scripted, scored_rows


def test_an_artist_who_knows_is_followed(dataset):
    """The later a pair, the better: after the comparisons asked for, the order is nearly that."""
    worth = {row.id: number for number, row in enumerate(dataset.rows())}
    made = 0
    while (two := next_comparison(dataset)) is not None:
        assert two[0] != two[1]
        record_choice(dataset, *two, max(two, key=worth.get))
        made += 1
    assert made == len(comparisons(dataset)) and made <= 2 * PAIRS + 6 and progress(dataset)[1] <= made
    from comfyui_ace.training.judge.statistics import spearman

    strength = artist_scores(dataset)
    assert len(strength) == PAIRS
    assert spearman([worth[pair] for pair in strength], list(strength.values())) > 0.8


def test_no_two_pairs_meet_twice_and_sides_are_drawn(dataset):
    met, firsts = set(), []
    order = [row.id for row in dataset.rows()]
    while (two := next_comparison(dataset, rounds=11)) is not None:
        assert frozenset(two) not in met
        met.add(frozenset(two))
        firsts.append(order.index(two[0]) < order.index(two[1]))
        record_choice(dataset, *two, None)
    assert len(met) == PAIRS * (PAIRS - 1) // 2 and 0.2 < sum(firsts) / len(firsts) < 0.8
    assert len(set(np.round(list(artist_scores(dataset).values()), 9))) == 1, "no difference anywhere"


def test_choices_of_pairs_that_are_gone_do_not_count(dataset):
    first, second = next_comparison(dataset)
    record_choice(dataset, first, second, first)
    dataset.rewrite(lambda row: None if row.id == second else row)
    assert comparisons(dataset) == []
    with pytest.raises(DatasetError, match="there is no"):
        record_choice(dataset, first, second, first)
    with pytest.raises(DatasetError, match="names one of them"):
        record_choice(dataset, first, next_comparison(dataset)[1], "another")


def test_the_report_compares_the_judge_with_the_artist(dataset):
    scored_rows(dataset, [float(n % 11) for n in range(12)])
    worth = {row.id: number % 11 for number, row in enumerate(dataset.rows())}
    while (two := next_comparison(dataset)) is not None:
        record_choice(dataset, *two, max(two, key=worth.get) if worth[two[0]] != worth[two[1]] else None)
    report = report_on(dataset, "eyes")
    assert report.usable and report.ranking.pairs == PAIRS and report.ranking.rho > 0.7


@pytest.mark.parametrize("style", ["llama-factory", "ms-swift"])
def test_a_smaller_judge_can_be_taught(dataset, tmp_path, style):
    judge_dataset(dataset, LanguageModelJudge(Scripted()), ScoringSettings(limit=10))
    done = export_judgements(dataset, "eyes", tmp_path / "out", style)
    assert (done.conversations, done.pairs, done.left_out) == (20, 10, 2)
    if style == "ms-swift":
        records = [json.loads(line) for line in (done.folder / "ace_judge.jsonl").read_text().splitlines()]
    else:
        info = json.loads((done.folder / "dataset_info.json").read_text())["ace_judge"]
        records = json.loads((done.folder / info["file_name"]).read_text())
        assert info["columns"] == {"messages": "messages", "images": "images"}
    for record in records:
        system, user, assistant = record["messages"]
        assert (system["role"], user["role"], assistant["role"]) == ("system", "user", "assistant")
        assert user["content"].count("<image>") == len(record["images"]) in (1, 2)
        assert all((done.folder / name).is_file() for name in record["images"])
        assert json.loads(assistant["content"])["reasoning"] == "seen"
    with pytest.raises(DatasetError, match="there already"):
        export_judgements(dataset, "eyes", tmp_path / "out", style)
