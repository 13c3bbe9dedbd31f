"""What a comparison and its words must pass before they count.

A zero-shot model mistakes left for right, before for after, and names what is not there; each of these has a question
whose right answer is known beforehand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .answers import Comparison, Composition, Difference, Presence
from .changes import PLACES, WHOLE, Changes
from .words import alike, names_sides, sidedness, sides, without_sides

PASSED, NOT_NEEDED = "passed", "not needed"
_CONFIDENT = 3  # of 10; a model that doubts more has guessed
_HELD = 0.02  # share of the changes that each place must hold
_COVERED = 0.5  # and all places together
_SAME_THING = 60.0  # of 100, how like descriptions of one thing are at least; strangers are not held together
_AS_LIKE = 5.0  # of 100, by which two descriptions may be less like a third and still be of the same thing


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
    """Mirrored pictures must have left and right exchanged, in places and in words.

    Each difference is held against what is said of the same thing in the mirrored pictures: in sums over all of them,
    what is on the left and what is on the right, or a thing that moved from one side to the other, would hide the same
    words for both.
    """
    balance = _balance(comparison.differences), _balance(mirrored.differences)
    if balance[0] * balance[1] > 0:
        return "the places are on the same side when the pictures are mirrored"
    for one in comparison.differences:
        others = _likest(one, mirrored.differences)
        if others and all(_balance([one]) * _balance([other]) > 0 for other in others):
            return f"{one.what!r} is on the same side when the pictures are mirrored"
        if others and all(_same_side(one, other) for other in others):
            return f"it says {_side_of(one)} of the mirrored pictures, too"
    for words, others in (
        (comparison.texts, mirrored.texts),
        (comparison.orientation_words, mirrored.orientation_words),
    ):
        if sidedness(words) * sidedness(others) > 0:
            return f"it says {'left' if sidedness(words) > 0 else 'right'} of the mirrored pictures, too"
    one_way = names_sides((*comparison.texts, *comparison.orientation_words)) and not needs_mirror(mirrored)
    if one_way or ((balance[0] == 0) != (balance[1] == 0) and abs(sum(balance)) > 0.5):
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
            if WHOLE in one.where:
                return f"{one.what!r} is said to be in the whole picture, of which {changes.share:.0%} changed"
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
    return check_absent(presence)


def check_absent(presence: Presence) -> str:
    """Nothing may be named beyond what is seen."""
    return f"{presence.absent!r} is not to be seen" if presence.absent else PASSED


def failed(checks: Mapping[str, str]) -> str:
    """The first check that failed, with its reason; empty if none did."""
    bad = next(((name, said) for name, said in checks.items() if said not in (PASSED, NOT_NEEDED)), None)
    return "" if bad is None else f"{bad[0]}: {bad[1]}"


def column(place: str) -> int:
    """-1 for the left, 1 for the right, 0 for the middle and the whole."""
    return 0 if place == WHOLE else PLACES.index(place) % 3 - 1


def _balance(differences: Sequence[Difference]) -> float:
    """-1 if all is on the left, 1 if all is on the right."""
    sides = [column(place) for one in differences for place in one.where]
    return sum(sides) / len(sides) if sides else 0.0


def _likest(one: Difference, others: Sequence[Difference]) -> list[Difference]:
    """What is said of the same thing elsewhere; several where they are alike but for the side."""
    likeness = [alike(without_sides(" ".join(_said(one))), [without_sides(" ".join(_said(other)))]) for other in others]
    least = max(_SAME_THING, max(likeness, default=0.0) - _AS_LIKE)
    return [other for other, like in zip(others, likeness, strict=True) if like >= least]


def _same_side(one: Difference, other: Difference) -> bool:
    """Whether the same side is said of both, of the thing itself, before or after."""
    return any(sidedness([text]) * sidedness([too]) > 0 for text, too in zip(_said(one), _said(other), strict=True))


def _side_of(one: Difference) -> str:
    return " and ".join(side for side in ("left", "right") if any(side in sides(text) for text in _said(one)))


def _said(one: Difference) -> tuple[str, str, str]:
    return one.what, one.before, one.after


def _sides(comparison: Comparison) -> tuple[str, str]:
    return " ; ".join(one.before for one in comparison.differences), " ; ".join(
        one.after for one in comparison.differences
    )
