"""What a comparison and its words must pass before they count.

A zero-shot model mistakes left for right, before for after, and names what is not there; each of these has a question
whose right answer is known beforehand.
"""

from __future__ import annotations

from collections.abc import Mapping

from .answers import Comparison, Composition, Presence
from .changes import PLACES, WHOLE, Changes
from .words import alike, names_sides, sidedness

PASSED, NOT_NEEDED = "passed", "not needed"
_CONFIDENT = 3  # of 10; a model that doubts more has guessed
_HELD = 0.02  # share of the changes that each place must hold
_COVERED = 0.5  # and all places together


def check_content(comparison: Comparison) -> str:
    """Whether there is anything to tell; the reason why not, or "passed"."""
    if not comparison.differences:
        return "it sees no difference, but pixels differ"
    if comparison.confidence < _CONFIDENT:
        return f"it is not sure of what it sees (confidence {comparison.confidence} of 10)"
    return PASSED


def needs_mirror(comparison: Comparison) -> bool:
    """Whether left and right matter in what was said."""
    sides = (column(place) for one in comparison.differences for place in one.where)
    return names_sides((*comparison.texts, *comparison.orientation_words)) or any(sides)


def check_mirror(comparison: Comparison, mirrored: Comparison) -> str:
    """Mirrored pictures must have left and right exchanged, in places and in words."""
    balance = _balance(comparison), _balance(mirrored)
    if balance[0] * balance[1] > 0:
        return "the places are on the same side when the pictures are mirrored"
    words = sidedness(comparison.texts), sidedness(mirrored.texts)
    if words[0] * words[1] > 0:
        side = "left" if words[0] > 0 else "right"
        return f"it says {side} of the mirrored pictures, too"
    if (balance[0] == 0) != (balance[1] == 0) and abs(sum(balance)) > 0.5:
        return "it names a side only one way round"
    return PASSED


def check_exchange(comparison: Comparison, exchanged: Comparison) -> str:
    """With the pictures exchanged, what was before must be after."""
    (before, after), (before_too, after_too) = _sides(comparison), _sides(exchanged)
    if not exchanged.differences:
        return "it sees no difference when the pictures are exchanged"
    turned = alike(before, [after_too]) + alike(after, [before_too])
    same = alike(before, [before_too]) + alike(after, [after_too])
    if turned <= same:
        return "before and after stay as they are when the pictures are exchanged"
    return PASSED


def check_identical(comparison: Comparison) -> str:
    """One picture shown twice differs in nothing."""
    if comparison.differences:
        return f"it sees {comparison.differences[0].what!r} differ where one picture is shown twice"
    return PASSED


def check_places(comparison: Comparison, changes: Changes) -> str:
    """What is named must lie where pixels changed."""
    for one in comparison.differences:
        if changes.covered(one.where) < _HELD:
            return f"{one.what!r} is said to be at {', '.join(one.where)}, where hardly a pixel changed"
    every = tuple(place for one in comparison.differences for place in one.where)
    covered = changes.covered(every)
    if covered < _COVERED:
        return f"the places named hold {covered:.0%} of what changed"
    return PASSED


def check_presence(composition: Composition, presence: Presence) -> str:
    """What the sentences name must be seen, in the picture that they say."""
    for one in composition.things:
        before, after = presence.seen[one.thing.casefold()]
        if (one.picture != "after" and not before) or (one.picture != "before" and not after):
            where = {"before": "the source", "after": "the result", "both": "both pictures"}[one.picture]
            return f"{one.thing!r} is not seen in {where}"
    return f"{presence.absent!r} is seen in neither picture" if presence.absent else PASSED


def failed(checks: Mapping[str, str]) -> str:
    """The first check that failed, with its reason; empty if none did."""
    bad = next(((name, said) for name, said in checks.items() if said not in (PASSED, NOT_NEEDED)), None)
    return "" if bad is None else f"{bad[0]}: {bad[1]}"


def column(place: str) -> int:
    """-1 for the left, 1 for the right, 0 for the middle and the whole."""
    return 0 if place == WHOLE else PLACES.index(place) % 3 - 1


def _balance(comparison: Comparison) -> float:
    """-1 if all is on the left, 1 if all is on the right."""
    sides = [column(place) for one in comparison.differences for place in one.where]
    return sum(sides) / len(sides) if sides else 0.0


def _sides(comparison: Comparison) -> tuple[str, str]:
    return " ; ".join(one.before for one in comparison.differences), " ; ".join(
        one.after for one in comparison.differences
    )
