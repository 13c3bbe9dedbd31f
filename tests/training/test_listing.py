"""Long lists in messages: nothing is said of a rest that is not there."""

from __future__ import annotations

import pytest
from comfyui_ace.training.listing import first_lines, listed

NAMES = ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("most", "text"), [(2, "a, b and 2 more"), (3, "a, b, c and 1 more"), (4, "a, b, c, d"), (9, "a, b, c, d")]
)
def test_a_sentence_names_the_first(most, text):
    assert listed(NAMES, most) == text


def test_lines_end_with_how_many_more_there_are():
    assert first_lines(NAMES, 4) == NAMES
    assert first_lines(NAMES, 1) == ["a", "… and 3 more"]
    assert first_lines(NAMES, 3, "--json lists all") == ["a", "b", "c", "… and 1 more (--json lists all)"]
    assert first_lines([], 3) == []
