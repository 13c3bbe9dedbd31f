"""Layout of graphs: nothing on anything else, wires from left to right, the same graph always the same."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
from comfyui_ace.training.workflows.layout import ROW_GAP, Wire, lay_out

CHAIN = [Wire("a", "b"), Wire("b", "c"), Wire("c", "d")]


def boxes(sizes, corners):
    return {name: (*corners[name], corners[name][0] + w, corners[name][1] + h) for name, (w, h) in sizes.items()}


def overlap(one, other) -> bool:
    return min(one[2], other[2]) > max(one[0], other[0]) and min(one[3], other[3]) + ROW_GAP > max(one[1], other[1])


def test_a_chain_is_read_from_left_to_right():
    corners = lay_out(dict.fromkeys("abcd", (200, 100)), CHAIN)
    assert [corners[name][0] for name in "abcd"] == sorted({x for x, _ in corners.values()})


@pytest.mark.parametrize("seed", range(3))
def test_nothing_overlaps_and_no_wire_runs_backwards(seed):
    rng = random.Random(seed)
    sizes = {str(k): (rng.randrange(100, 500), rng.randrange(50, 600)) for k in range(9)}
    wires = [Wire(str(a), str(b)) for a, b in combinations(range(9), 2) if rng.random() < 0.3]
    corners = lay_out(sizes, wires, "0")
    assert corners["0"] == (0, 0)
    assert not any(overlap(one, other) for one, other in combinations(boxes(sizes, corners).values(), 2))
    for wire in wires:
        if wire.target != "0":
            assert corners[wire.source][0] + sizes[wire.source][0] < corners[wire.target][0]


def test_a_long_wire_goes_around_the_nodes_between():
    """From the first to the last node of a chain, past two others in one row."""
    sizes = dict.fromkeys("abcd", (200, 100))
    corners = lay_out(sizes, [*CHAIN, Wire("a", "d", 1, 1)])
    heights = {corners[name][1] for name in "abcd"}
    assert len(heights) > 1, "the wire from a to d would run behind b and c"


def test_the_same_graph_is_laid_out_the_same():
    sizes = dict.fromkeys("abcd", (200, 100))
    assert lay_out(sizes, CHAIN) == lay_out(sizes, CHAIN)


def test_a_circle_and_single_nodes_are_laid_out():
    sizes = dict.fromkeys("abc", (200, 100))
    corners = lay_out(sizes, [Wire("a", "b"), Wire("b", "a")])
    assert not any(overlap(one, other) for one, other in combinations(boxes(sizes, corners).values(), 2))
    assert lay_out({"a": (10, 10)}, []) == {"a": (0, 0)}
