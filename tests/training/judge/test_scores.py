"""Marks, their arithmetic against cases by hand, the reading of answers, and statistics."""

from __future__ import annotations

import json
import math
import random

import pytest
from comfyui_ace.training.judge.parsing import read_marks
from comfyui_ace.training.judge.report import make_report, most_frequent_answer
from comfyui_ace.training.judge.scores import Judgement, Marks, judges_of, overall_of
from comfyui_ace.training.judge.statistics import correlate, fisher_mean, spearman
from comfyui_ace.training.vision_language.answer import Answer
from comfyui_ace.training.vision_language.ollama import read_answer as read_ollama
from comfyui_ace.training.vision_language.openai import read_answer

NAMES = ("success", "preservation")
GOOD = '{"reasoning": "The hat is red now.", "success": 8, "preservation": 6}'


def marks(text):
    return Marks.from_text(text)


def judgement(*texts, **changes):
    return Judgement("j", "p", tuple(map(marks, texts)), **changes)


def test_scores_are_what_a_hand_calculation_gives():
    """min of each question, and the root of their product: √(6 · 3) = 4.2426."""
    one = marks("8 6|9 3")
    assert (one.sc, one.pq) == (6, 3) and one.overall == pytest.approx(4.242640687)
    two = judgement("8 6|9 3", "4 10|4 4")
    assert two.overall == pytest.approx((math.sqrt(18) + 4) / 2) and two.sc == 5 and two.pq == 3.5
    assert marks("0 10|10 10").overall == 0


def test_means_over_a_small_set_by_hand():
    """Four edits: SC 2, 0, 9, 5; PQ 8, 9, 4, 5; O 4, 0, 6, 5."""
    found = [marks(text) for text in ("2 3|8 9", "0 10|9 9", "9 9|4 6", "5 6|5 5")]
    report = make_report("j", {str(n): Judgement("j", "p", (one,)) for n, one in enumerate(found)}, {})
    assert report.means == {"sc": 4.0, "pq": 6.5, "overall": 3.75}
    assert (report.at_least_8, report.at_least_9) == (0.0, 0.0)


def test_a_row_keeps_all_that_weights_can_be_formed_of_again():
    whole = judgement("8 6|9 3", "4 10|4 4.5", semantic_reasoning="a", quality_reasoning="b", swapped=(1.0, 2.0))
    group = json.loads(json.dumps(whole.to_scores()))
    assert Judgement.from_scores("j", group) == whole
    assert (group["sc_score_1"], group["sc_score_2"], group["pq_score_1"]) == (8, 6, 9)
    assert group["o_score"] == pytest.approx(whole.overall) and group["prompt"] == "p"
    unscored = judgement(quality_reasoning="I cannot tell")
    assert Judgement.from_scores("j", unscored.to_scores()) == unscored and unscored.overall is None


def test_tables_of_others_are_understood():
    scores = {
        "omniedit": {"sc_score_1": 9.0, "sc_score_2": 8.0, "pq_score": 8.0, "o_score": 8.0},
        "x": {"o_score": 3.0},
    }
    assert overall_of(scores, "omniedit") == 8.0 and overall_of(scores, "x") == 3.0
    assert judges_of(scores) == ["omniedit"] and overall_of(scores, "nobody") is None


@pytest.mark.parametrize("text", ["", "8 6", "8 6|", "8 11|1 1", "-1 2|1 1", "a b|1 1", "nan 1|1 1"])
def test_what_are_no_marks_is_none(text):
    assert Marks.from_text(text) is None


def openai(content, **message):
    finish = message.pop("finish_reason", "stop")
    return read_answer({"choices": [{"message": {"content": content, **message}, "finish_reason": finish}]})


# What servers have been seen to send for a good answer, however it is wrapped …
READABLE = {
    "plain": openai(GOOD),
    "fenced": openai(f"```json\n{GOOD}\n```"),
    "thinking in the text (llama.cpp)": openai(f"<think>maybe 3?</think>\n{GOOD}"),
    "thinking without its opening tag": openai(f"maybe {{3}}?</think>{GOOD}"),
    "answer in the reasoning (vLLM)": openai(None, reasoning_content=GOOD),
    "answer in the reasoning (LM Studio)": openai("", reasoning=GOOD),
    "answer in the thinking (Ollama, qwen3-vl)": read_ollama({"message": {"content": "", "thinking": GOOD}}),
    "parts in place of a text": openai([{"type": "text", "text": GOOD}]),
    "talk around it": openai(f"Here is my rating:\n{GOOD}\nI hope that helps."),
    "numbers as text": openai('{"reasoning": "The hat is red now.", "success": "8", "preservation": "6/10"}'),
    "the list of VIEScore": openai('{"score": [8, 6], "reasoning": "The hat is red now."}'),
    "the schema said back first": openai('{"type": "object", "properties": {}} ' + GOOD),
}
# … and answers that nobody can read, each of which some tool turns into a number.
UNREADABLE = {
    "empty": openai(""),
    "nothing": openai(None),
    "endless white space (vLLM with thinking)": openai("\n" * 400, finish_reason="length"),
    "cut off": openai('{"reasoning": "The hat', finish_reason="length"),
    "thinking that never ends": openai(f"<think>{GOOD} but then", finish_reason="length"),
    "a refusal": openai("I'm sorry, but I can't assist with that request."),
    "one number for two": openai('{"score": 8, "reasoning": ""}'),
    "three numbers for two": openai('{"score": [8, 6, 7]}'),
    "one missing": openai('{"reasoning": "", "success": 8}'),
    "out of range": openai('{"success": 85, "preservation": 6}'),
    "negative": openai('{"success": -1, "preservation": 6}'),
    "another scale": openai('{"success": "4/5", "preservation": "5/5"}'),
    "words": openai('{"success": "high", "preservation": "low"}'),
    "true and false": openai('{"success": true, "preservation": false}'),
    "not a number": openai('{"success": NaN, "preservation": 6}'),
    "null": openai('{"success": null, "preservation": 6}'),
    "other names": openai('{"quality": 8, "artifacts": 6}'),
    "numbers in running text": openai("I give success 8 and preservation 6."),
    "a list": openai("[8, 6]"),
    "the empty object of a model that gave up": openai("{}"),
    "nested": openai('{"scores": {"success": 8, "preservation": 6}}'),
    "an empty answer of Ollama": read_ollama({"message": {"content": ""}, "done_reason": "load"}),
}


@pytest.mark.parametrize("kind", READABLE)
def test_an_answer_is_read_however_it_is_wrapped(kind):
    assert read_marks(READABLE[kind], NAMES) == ((8.0, 6.0), "The hat is red now.")


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read_is_never_guessed(kind, monkeypatch):
    def drawn(*_arguments):
        raise AssertionError("a number was drawn by lot")

    for name in ("random", "randint", "choice", "uniform"):
        monkeypatch.setattr(random, name, drawn)
    assert [read_marks(UNREADABLE[kind], NAMES) for _ in range(3)] == [None] * 3


def test_half_a_character_in_the_reasons_does_not_reach_a_row():
    found = read_marks(Answer('{"reasoning": "a\\ud83d", "success": 1, "preservation": 2}'), NAMES)
    assert found == ((1.0, 2.0), "a?")


def test_spearman_by_hand_and_with_ties():
    assert spearman([1, 2, 3, 4], [2, 1, 4, 3]) == pytest.approx(1 - 6 * 4 / (4 * 15))
    scipy = pytest.importorskip("scipy.stats")
    one, other = [1, 1, 2, 5, 5, 5, 9], [3, 1, 1, 4, 4, 8, 8]
    assert spearman(one, other) == pytest.approx(scipy.spearmanr(one, other).statistic)
    assert spearman([1, 1, 1], [1, 2, 3]) is None and spearman([1, 2], [1, 2]) is None


def test_the_mean_of_correlations_is_fishers():
    """artanh .2 = .2027, artanh .8 = 1.0986; tanh of their mean .6507 = .5721 (the plain mean is .5)."""
    assert fisher_mean([0.2, 0.8]) == pytest.approx(0.5721, abs=1e-4)
    assert fisher_mean([1.0, 1.0]) == pytest.approx(1.0)


def test_how_sure_a_correlation_is():
    numbers = list(range(30))
    sure = correlate(numbers, [value + (7 if value % 3 else 0) for value in numbers])
    assert sure.certain and sure.low < sure.rho < sure.high
    shuffled = random.Random(3).sample(numbers, 30)
    assert not correlate(numbers, shuffled).certain
    assert correlate(numbers, shuffled) == correlate(numbers, shuffled)


def report(texts, artist=None, **changes):
    judged = {f"p{number}": judgement(text, **changes) for number, text in enumerate(texts)}
    return make_report("j", judged, artist or {})


SPREAD = [f"{n % 11} {10 - n % 7}|{n % 9} {n % 5}" for n in range(40)]


def test_a_judge_that_says_the_same_of_everything_is_refused():
    lazy = [f"{n % 10} 8|8 9" for n in range(40)]
    assert most_frequent_answer([marks(text) for text in lazy]) == (1.0, "the quality 8/9")
    refused = report(lazy)
    assert not refused.usable and "the quality 8/9" in refused.objections[0]
    assert report(SPREAD).usable


def test_a_judge_that_is_seldom_read_is_refused():
    judged = {f"p{n}": judgement(*([text] if n % 2 else [])) for n, text in enumerate(SPREAD)}
    found = make_report("j", judged, {})
    assert (found.scored, found.unscored) == (20, 20) and "20 of 40 answers" in found.objections[0]


def test_a_judge_that_does_not_see_the_order_is_refused():
    done = [f"{8 + n % 3} 9|{n % 9} 7" for n in range(12)]
    blind = report(done, swapped=(9.0, 9.0))
    assert blind.swaps == 12 and blind.swaps_seen == 0 and "exchanged" in blind.objections[0]
    assert report(done, swapped=(1.0, 9.0)).usable


def test_a_judge_must_agree_with_the_artist():
    overall = [marks(text).overall for text in SPREAD]
    agreeing = {f"p{n}": value + n % 2 for n, value in enumerate(overall)}
    assert report(SPREAD, agreeing).usable and report(SPREAD, agreeing).ranking.rho > 0.8
    contrary = {f"p{n}": -value for n, value in enumerate(overall)}
    refused = report(SPREAD, contrary)
    assert not refused.usable and "own order of 40 pairs" in refused.objections[0]
