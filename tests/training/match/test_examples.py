"""From tested pairs to examples: policies, caps, directions, and what a dataset gets."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from comfyui_ace.training.match.emit.examples import EmitSettings, make_examples
from comfyui_ace.training.match.emit.pictures import cut_away, fit_to
from comfyui_ace.training.match.errors import MatchError

ALL = [(one, other, (0.5 + one / 100 + other / 1000,)) for one, other in combinations(range(1, 9), 2)]
CHAIN = [(number, number + 1, (0.9,)) for number in range(1, 8)]


def pairs_of(examples):
    return {frozenset((example.target, *example.sources)) for example in examples}


def test_all_tested_pairs_and_no_others():
    some = [pair for pair in ALL if pair[:2] != (2, 5)]
    examples = make_examples(1, some, EmitSettings(per_picture=99))
    assert pairs_of(examples) == {frozenset(pair[:2]) for pair in some}
    scores = {pair[:2]: pair[2] for pair in some}
    assert all(example.scores == scores[tuple(sorted((example.target, *example.sources)))] for example in examples)


def test_caps_hold_and_spread_over_the_pictures():
    examples = make_examples(1, ALL, EmitSettings(per_set=10, per_picture=3))
    used = Counter(key for example in examples for key in (example.target, *example.sources))
    assert len(examples) == 10 and max(used.values()) == 3 and len(used) == 8


def test_balanced_directions_make_each_picture_a_source_as_often_as_a_target():
    examples = make_examples(1, ALL, EmitSettings(per_picture=99))
    surplus = Counter(example.sources[0] for example in examples)
    surplus.subtract(example.target for example in examples)
    assert max(map(abs, surplus.values())) <= 2


def test_both_directions():
    examples = make_examples(1, CHAIN, EmitSettings(direction="both"))
    assert Counter(example.target for example in examples) == Counter(example.sources[0] for example in examples)
    assert len(examples) == 14


def test_a_star_has_its_middle_in_every_pair():
    examples = make_examples(3, ALL, EmitSettings(policy="star", per_picture=1))
    assert len(examples) == 7 and all(3 in (example.target, *example.sources) for example in examples)


def test_a_chain_uses_each_picture_once_and_goes_from_end_to_end():
    examples = make_examples(4, CHAIN, EmitSettings(policy="chain"))
    assert pairs_of(examples) == {frozenset(pair[:2]) for pair in CHAIN}
    walked = make_examples(1, ALL, EmitSettings(policy="chain"))
    used = Counter(key for example in walked for key in (example.target, *example.sources))
    assert len(walked) == 7 and max(used.values()) == 2


def test_a_series_has_three_to_eight_references_that_passed_with_the_target():
    links = {frozenset(pair[:2]) for pair in ALL}
    examples = make_examples(1, ALL, EmitSettings(policy="series", per_picture=99))
    assert len({example.target for example in examples}) == len(examples) == 8
    counts = {len(example.sources) for example in examples}
    assert min(counts) >= 3 and max(counts) <= 7 and len(counts) > 1
    assert all(frozenset((example.target, source)) in links for example in examples for source in example.sources)
    assert all(example.target not in example.sources for example in examples)
    assert make_examples(1, CHAIN, EmitSettings(policy="series")) == []


def test_rounds_follow_each_other():
    examples = make_examples(1, CHAIN, EmitSettings(policy="rounds", rounds=3))
    assert [example.follows for example in examples] == [None, 0, 1, None, 3, 4]
    for example in examples:
        if example.follows is not None:
            assert example.sources == (examples[example.follows].target,)


def test_the_order_of_pairs_changes_nothing():
    rng = np.random.default_rng(0)
    for policy in ("all", "star", "chain", "series", "rounds"):
        settings = EmitSettings(policy=policy, per_set=9, per_picture=4)
        first = make_examples(2, ALL, settings)
        assert first
        for _ in range(3):
            assert make_examples(2, [ALL[place] for place in rng.permutation(len(ALL))], settings) == first
    assert make_examples(2, ALL, EmitSettings(seed=1, per_set=9)) != make_examples(
        2, ALL, EmitSettings(seed=0, per_set=9)
    )


@pytest.mark.parametrize("changes", [{"policy": "any"}, {"direction": "up"}, {"references": (8, 3)}, {"per_set": 0}])
def test_settings_that_mean_nothing_are_refused(changes):
    with pytest.raises(MatchError):
        EmitSettings(**changes)


def test_a_source_gets_the_targets_shape_from_its_middle():
    wide = np.zeros((100, 300, 3), np.uint8)
    wide[:, 100:200] = 255
    assert cut_away((100, 300), (100, 100)) == pytest.approx(2 / 3)
    assert cut_away((100, 100), (100, 300)) == pytest.approx(2 / 3)
    assert cut_away((200, 600), (100, 300)) == 0
    middle = fit_to(wide, (50, 50))
    assert middle.shape == (50, 50, 3) and middle[:, 2:-2].min() >= 254
    assert fit_to(wide, (100, 300)) is wide
