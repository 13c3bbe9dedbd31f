"""The arithmetic against VIEScore's published answers and ratings.

The data is not ours to ship. Point ``VIESCORE_ANSWERS`` at a file of JSON lines made from the repository of VIEScore
(``paper_implementation/_answers`` and ``_human_annotations``, the text-guided edits of ImagenHub): ``model``, ``uid``,
``gpt4o_sc``, ``gpt4o_pq``, ``qwenvl_sc``, ``qwenvl_pq`` (marks of 10 as stored there, odd ones included) and ``human``,
a list of [SC, PQ] of each rater, of 1.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from comfyui_ace.training.judge.report import make_report
from comfyui_ace.training.judge.scores import Judgement, Marks
from comfyui_ace.training.judge.statistics import fisher_mean, spearman

FILE = os.environ.get("VIESCORE_ANSWERS")
pytestmark = pytest.mark.skipif(not FILE, reason="VIESCORE_ANSWERS does not name a file of VIEScore's answers")


@pytest.fixture(scope="module")
def rows():
    return [json.loads(line) for line in Path(FILE).read_text(encoding="utf-8").splitlines()]


def judged(row, judge):
    """An answer of one number where two were asked for is taken as it is, as VIEScore does; none at all is unscored."""
    parts = [row[f"{judge}_{part}"] for part in ("sc", "pq")]
    parts = [part if isinstance(part, list) else [part] for part in parts]
    if any(mark is None for part in parts for mark in part):
        return Judgement(judge, "viescore", ())
    return Judgement(judge, "viescore", (Marks(*(tuple(map(float, part)) for part in parts)),))


def report(rows, judge):
    return make_report(judge, {f"{row['model']} {row['uid']}": judged(row, judge) for row in rows}, {})


def of_model(rows, model):
    return [row for row in rows if row["model"] == model]


@pytest.mark.parametrize(
    ("model", "sc", "pq", "overall"),
    [("MagicBrush", 0.5883, 0.4676, 0.4624), ("InstructPix2Pix", 0.3810, 0.5089, 0.3187)],
)
def test_the_published_means(rows, model, sc, pq, overall):
    means = report(of_model(rows, model), "gpt4o").means
    assert [round(means[name] / 10, 4) for name in ("sc", "pq", "overall")] == [sc, pq, overall]


def correlations(rows):
    """Of O with the mean O of the raters, one for each model."""
    found = []
    for model in sorted({row["model"] for row in rows}):
        group = of_model(rows, model)
        raters = [sum(math.sqrt(sc * pq) for sc, pq in row["human"]) / len(row["human"]) for row in group]
        found.append(spearman([judged(row, "gpt4o").overall for row in group], raters))
    return found


def test_the_correlation_with_the_raters(rows):
    """Fisher's mean; the published number is tanh of the plain mean, which is smaller than any of them."""
    found = correlations(rows)
    assert fisher_mean(found) == pytest.approx(0.4186, abs=1e-4)
    assert math.tanh(sum(found) / len(found)) == pytest.approx(0.3821, abs=1e-4)


def test_a_judge_that_flatters_is_refused(rows):
    """A fixed limit means something else with every judge: 8 is reached by 3.8 % with one and by a third with another."""
    strict, flattering = report(rows, "gpt4o"), report(rows, "qwenvl")
    assert strict.at_least_8 == pytest.approx(0.038, abs=5e-4) and strict.unscored == 0
    assert flattering.at_least_8 == pytest.approx(0.329, abs=5e-4) and flattering.unscored == 64
    assert strict.usable, strict.objections
    assert not flattering.usable and "one and the same answer" in flattering.objections[0]
