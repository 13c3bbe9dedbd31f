"""What is said of more steps and more pairs, and when nothing is claimed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from comfyui_ace.training.outlook import late_rise, outlook_of_decision, outlook_of_pairs, outlook_of_steps
from comfyui_ace.training.trainer.engine.early_stopping import ScoredStep


def scored(*values: float) -> tuple[ScoredStep, ...]:
    return tuple(ScoredStep(10 * number, value) for number, value in enumerate(values, 1))


def evaluation(source: float, students: list[float], ceiling: float = 1.0) -> SimpleNamespace:
    """As far as it is looked at: L1 of the student on each pair, beside that of the source."""
    results = [
        SimpleNamespace(
            id=str(number), dataset="pairs", source=SimpleNamespace(l1=source), student=SimpleNamespace(l1=one)
        )
        for number, one in enumerate(students)
    ]
    score = 1 - sum(students) / len(students) / source
    return SimpleNamespace(results=results, score=score, ceiling_score=ceiling)


@pytest.mark.parametrize(
    ("values", "rise"),
    [
        ((0.1, 0.2, 0.3, 0.4), 0.1),
        ((0.1, 0.2, 0.3, 0.305), None),  # within chance
        ((0.1, 0.5, 0.3, 0.4), None),
        ((0.1, 0.2, 0.2, 0.2, 0.2, 0.2, 0.6, 0.4, 0.3), None),  # it was better before the end
        ((0.3,), None),
    ],
)
def test_a_rise_counts_if_it_goes_on_at_the_end(values, rise):
    assert late_rise(scored(*values), 0.005) == (None if rise is None else pytest.approx(rise))


def steps(values: tuple[float, ...], step: int, most: int) -> str:
    scores = scored(*values)
    best = max(scores, key=lambda one: one.score, default=None)
    config = SimpleNamespace(steps=most, early_stopping=SimpleNamespace(min_delta=0.005))
    (sentence,) = outlook_of_steps(SimpleNamespace(scores=scores, best=best, step=step), config)
    return sentence


def test_steps_are_told_as_they_were_measured():
    assert "step 40 of at most 90" in (told := steps((0.1, 0.5, 0.5, 0.4), 40, 90)) and "step 20" in told
    assert "nothing" in told
    assert "all 40 steps and was still rising at the end, by 0.100" in steps((0.1, 0.2, 0.3, 0.4), 40, 40)
    assert "nothing that shows" in steps((0.4, 0.4, 0.4, 0.4), 40, 40)
    assert outlook_of_steps(SimpleNamespace(scores=(), best=None, step=4), SimpleNamespace(steps=4)) == []


def test_a_gain_above_noise_is_told_with_a_bound_and_no_more():
    full = evaluation(0.2, [0.08, 0.081, 0.079, 0.08])
    halves = [evaluation(0.2, [0.1, 0.102, 0.1, 0.098]), evaluation(0.2, [0.101, 0.101, 0.099, 0.099])]
    told = outlook_of_pairs(full, halves, 24)
    # The distance to the ceiling went from 0.5 to 0.4: it would be 0.32 once more.
    assert "half of the 24 pairs the score is 0.500 (0.500 and 0.500), with all 0.600" in told
    assert "up to about 0.68" in told


@pytest.mark.parametrize(
    "halves",
    [
        ([0.1, 0.1, 0.1, 0.1], [0.06, 0.06, 0.06, 0.06]),  # two students of as many pairs differ more
        ([0.16, 0.04, 0.16, 0.04], [0.16, 0.04, 0.16, 0.04]),  # some pairs gain, others lose
        ([0.07, 0.07, 0.07, 0.07], [0.07, 0.07, 0.07, 0.07]),  # better without
    ],
)
def test_nothing_is_claimed_within_chance(halves):
    full = evaluation(0.2, [0.078, 0.082, 0.079, 0.081])
    told = outlook_of_pairs(full, [evaluation(0.2, one) for one in halves], 24)
    assert "no more than chance" in told and "up to about" not in told


def test_a_score_by_which_was_chosen_is_said_to_flatter():
    assert outlook_of_decision(False) == [] and "too good" in outlook_of_decision(True)[0]
