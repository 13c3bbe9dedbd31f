"""What holds for every context: a word means the same picture before and after the rounds are put together."""

from __future__ import annotations

import re

import torch
from comfyui_ace.ace.lcu.indicators import (
    MAX_IMAGES,
    indicator,
    mentioned_images,
    normalize_indicators,
)
from comfyui_ace.ace.lcu.units import (
    ConditionImage,
    ConditionUnit,
    LongContext,
    resolve,
)
from hypothesis import given
from hypothesis import strategies as st

_FILLER = st.sampled_from(["put", "on the", "hat of", "日本", "{caption}", "", "  ", "<b>", "100%"])
_SPELLINGS = ("{{image{0}}}", "<image{0}>", "{{ Image {0} }}", "<IMAGE {0}>")


@st.composite
def units(draw, most: int = 4) -> ConditionUnit:
    """Pictures with any indicators in any order of sockets, each told from all others by its size, and a text."""
    numbers = draw(st.lists(st.integers(0, MAX_IMAGES - 1), unique=True, max_size=most))
    sides = draw(st.lists(st.integers(1, 10_000), min_size=len(numbers), max_size=len(numbers), unique=True))
    images = [
        ConditionImage(torch.zeros(()).expand(1, 1, side, 3), None, indicator(number))
        for number, side in zip(numbers, sides, strict=True)
    ]
    words = []
    for number in draw(st.lists(st.sampled_from(numbers), max_size=6)) if numbers else []:
        words += [draw(_FILLER), draw(st.sampled_from(_SPELLINGS)).format(number or "")]
    return ConditionUnit(" ".join([*words, draw(_FILLER)]), images)


def pictures_named(instruction: str, pictures: dict[int, torch.Tensor]) -> list[int]:
    """Ids of the pictures an instruction speaks of, in the order of the words."""
    named = re.findall(r"\{image(\d?)\}", instruction)
    return [id(pictures[int(number or 0)]) for number in named]


@given(units(), st.lists(units(), max_size=3))
def test_every_word_means_the_picture_it_meant(unit, history):
    resolved = resolve(LongContext(unit, history))
    kept = (*history, unit)[len(history) + 1 - resolved.rounds :]
    by_number = {int(frame.indicator[6:-1] or 0): frame.image for frame in resolved.frames}
    assert list(by_number) == list(range(len(resolved.frames)))  # numbered through, no gap
    for index, one in enumerate(kept):
        frames = [frame for frame in resolved.frames if frame.round == index]
        assert [frame.image for frame in frames] == [image.image for image in one.images]
        if not one.images and index < len(kept) - 1:
            continue  # nothing of it can be shown to the model
        texts = {frame.instruction for frame in frames} or {resolved.instruction}
        assert len(texts) == 1
        own = {image.number: image.image for image in one.images}
        wanted = pictures_named(one.instruction, own)
        found = pictures_named(texts.pop(), by_number)
        if wanted or len(one.images) != 1:
            assert found == wanted
        else:
            assert found == [id(one.images[0].image)]  # a lone picture is named for the artist


@given(units(), st.lists(units(), max_size=6), st.integers(0, 6))
def test_the_oldest_rounds_go_first_and_the_present_one_never(unit, history, rounds):
    told = []
    context = LongContext(unit, history).keep_rounds(rounds, told.append)
    assert context.history == tuple(history)[max(0, len(history) - rounds) :]
    assert bool(told) == (len(history) > rounds)
    resolved = resolve(context, told.append)
    assert len(resolved.frames) <= MAX_IMAGES
    assert [frame.image for frame in resolved.frames][len(resolved.frames) - len(unit.images) :] == [
        image.image for image in unit.images
    ]
    assert (resolved.target is None) == (not unit.images)


@given(units(most=MAX_IMAGES), st.randoms())
def test_the_order_of_sockets_changes_nothing(unit, random):
    shuffled = list(unit.images)
    random.shuffle(shuffled)
    again = ConditionUnit(unit.instruction, shuffled)
    assert again.images == unit.images
    assert resolve(LongContext(again)).instruction == resolve(LongContext(unit)).instruction


@given(units(most=MAX_IMAGES), st.integers(0, MAX_IMAGES - 1), st.integers(1, 9))
def test_inserting_or_removing_a_picture_leaves_the_others_their_words(unit, number, side):
    """An instruction that still finds all its pictures speaks of the same ones; otherwise it is refused."""
    numbers = {image.number for image in unit.images}
    if number in numbers:
        rest = [image for image in unit.images if image.number != number]
        if number in mentioned_images(unit.instruction):
            try:
                ConditionUnit(unit.instruction, rest)
            except ValueError as error:
                assert indicator(number) in str(error)
                return
            raise AssertionError("an instruction that names a missing picture was accepted")
        changed = ConditionUnit(unit.instruction, rest)
    else:
        new = ConditionImage(torch.zeros(1, side, 1, 3), None, indicator(number))
        changed = ConditionUnit(unit.instruction, [new, *unit.images])
    before = {image.number: image.image for image in unit.images}
    after = {image.number: image.image for image in changed.images}
    assert pictures_named(changed.instruction, after) == pictures_named(unit.instruction, before)


@given(st.text(max_size=60))
def test_normalising_twice_is_normalising_once(text):
    try:
        once = normalize_indicators(text)
    except ValueError as error:
        assert "image9" in str(error)
        return
    assert normalize_indicators(once) == once
