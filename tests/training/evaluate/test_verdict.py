"""Whether a student can take its teacher's place: what the one sentence goes by, and that marks come from a judge."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from types import SimpleNamespace

import pytest
import torch
from comfyui_ace.training.evaluate import run
from comfyui_ace.training.evaluate.evaluation import Evaluation, PairResult
from comfyui_ace.training.evaluate.metrics.image_metrics import ImageMetrics
from comfyui_ace.training.evaluate.page import write_page
from comfyui_ace.training.evaluate.verdict import FEWEST, detail_share, give_verdict, mark_difference
from comfyui_ace.training.judge.scores import Judgement, Marks


def metrics(l1, detail=1.0):
    return ImageMetrics(l1, 20.0, 0.5, 0.5, 0.1, detail)


def marks(overall):
    """O is ``overall``; None is an answer that could not be read."""
    return Judgement("eyes", "p", () if overall is None else (Marks((overall, 10.0), (overall, overall)),))


def result(number, l1=0.03, detail=0.95, student=None, teacher=None, source=True):
    found = PairResult(
        str(number),
        "d",
        "{image} x",
        False,
        metrics(l1, detail),
        metrics(0.2) if source else None,
        None,
        metrics(0.02, 1.0),
        1.0,
        None,
        None,
    )
    if teacher is None:
        return found
    return replace(found, student_marks=marks(student), teacher_marks=marks(teacher))


def evaluation(*results, split="validation"):
    return Evaluation(results, "ours", ("d",), split, {}, "cpu", None, judge="eyes")


def verdict(count=FEWEST, split="validation", **changes):
    return give_verdict(evaluation(*(result(k, **changes) for k in range(count)), split=split))


def test_a_good_student_may_go():
    """(1 - .03/.2) / (1 - .02/.2) = .85 / .9."""
    found = verdict()
    assert found.answer == "yes" and "94% of the way" in found.sentence


@pytest.mark.parametrize(
    ("changes", "answer", "words"),
    [
        ({"l1": 0.25}, "no", "no nearer to the teacher than the unedited source"),
        ({"l1": 0.15}, "no", "28% of the way"),
        ({"l1": 0.08}, "nearly", "67% of the way"),
        ({"detail": 0.5}, "no", "softer: 50% of the fine detail"),
        ({"detail": 0.8}, "nearly", "softer: 80% of the fine detail"),
        ({"detail": 2.0}, "nearly", "grainier: 200% of the fine detail"),
        ({"source": False, "detail": 1.0}, "unknown", "have a judge look"),
    ],
)
def test_what_speaks_against_it(changes, answer, words):
    found = verdict(**changes)
    assert found.answer == answer and words in found.sentence, found


def test_a_blurred_student_with_a_fine_score_is_refused():
    """L1 alone would let it pass."""
    assert verdict(l1=0.021).answer == "yes" and verdict(l1=0.021, detail=0.4).answer == "no"


@pytest.mark.parametrize(
    ("ceiling", "words"),
    [(0.95, "fine detail is kept"), (0.3, "all the fine detail that its VAE can paint (30% of the teacher's)")],
)
def test_detail_that_the_vae_loses_is_not_called_kept(ceiling, words):
    pairs = [replace(result(k, detail=ceiling), ceiling=metrics(0.02, ceiling)) for k in range(FEWEST)]
    found = give_verdict(evaluation(*pairs))
    assert found.answer == "yes" and words in found.sentence


def test_few_pairs_and_pairs_it_was_trained_on_say_nothing():
    assert verdict(count=FEWEST - 1).answer == "unknown" and "cannot be said from 7" in verdict(count=7).sentence
    assert verdict(split="train").answer == "unknown"


def test_marks_weigh_more_than_distance():
    """A result may be as good as the teacher's and another one: far in L1, level by the judge."""
    assert verdict(l1=0.15, student=8, teacher=8).answer == "nearly"
    assert verdict(student=8.2, teacher=8).answer == "yes"
    assert verdict(student=7, teacher=8).answer == "nearly"
    refused = verdict(student=5, teacher=8)
    assert refused.answer == "no" and "3.0 marks less than the teacher" in refused.sentence


def test_pairs_that_could_not_be_read_do_not_count():
    read = [result(k, student=6, teacher=8) for k in range(FEWEST)]
    both = evaluation(*read, result(98, student=None, teacher=9), result(99))
    assert mark_difference(both.results) == (-2.0, -2.0, -2.0)
    assert both.marks("student") == {"SC": 6.0, "PQ": 6.0, "O": 6.0} and both.marks("teacher")["O"] == 8.0
    assert mark_difference(both.results[1:]) is None, "seven are too few"
    assert evaluation(result(1)).marks("student") is None


def test_detail_is_measured_against_what_the_vae_leaves():
    found = evaluation(replace(result(1, detail=0.4), ceiling=metrics(0.02, 0.5)))
    assert detail_share(found) == pytest.approx(0.8)


def test_page_and_numbers_show_both_sides(tmp_path):
    found = evaluation(*(result(k, student=6, teacher=8) for k in range(FEWEST)))
    page = write_page(found, tmp_path / "page.html").read_text()
    assert "student O 6.0" in page and "teacher by eyes" in page and escape(give_verdict(found).sentence) in page
    numbers = found.as_dict()
    assert numbers["marks"]["teacher"]["O"] == 8.0 and numbers["by_pair"][0]["student_marks"]["o_score"] == 6.0


@pytest.mark.parametrize(("asked", "heard"), [("make it snow", "make it snow"), ("", "the image sks")])
def test_a_judge_hears_the_words_that_it_judged_the_pair_by(asked, heard):
    """A trigger tells it nothing; pixels go out at the size the model works at."""
    heard_of = []

    class Listening:
        name = "eyes"

        def judge(self, pair, *, swap=False):
            heard_of.append(pair)
            return marks(7)

    scores = {"eyes": replace(marks(7), instruction=asked).to_scores()}
    row = SimpleNamespace(scores=scores, prompt="the image sks", instruction="{image} sks", reference_file_names=())
    case = SimpleNamespace(source=torch.zeros(1, 8, 12, 3), row=row, folder=None)
    assert run._mark(Listening(), case, torch.ones(1, 8, 12, 3)).overall == marks(7).overall
    (pair,) = heard_of
    assert pair.instruction == heard and pair.source.size == pair.result.size == (12, 8)
