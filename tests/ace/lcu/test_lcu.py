"""Indicators, units, long contexts, and how they become frames."""

from __future__ import annotations

import pytest
import torch
from comfyui_ace.ace.lcu.indicators import (
    indicator_number,
    mentioned_images,
    normalize_indicators,
    renumber_indicators,
    split_special_tokens,
)
from comfyui_ace.ace.lcu.units import (
    ConditionImage,
    ConditionUnit,
    LongContext,
    resolve,
)


def picture(indicator: str = "{image}", size: tuple[int, int] = (16, 24), batch: int = 1, mask=None) -> ConditionImage:
    return ConditionImage(torch.rand(batch, *size, 3), mask, indicator)


@pytest.mark.parametrize("written", ["<image2>", "{Image 2}", "{ image2 }", "<IMAGE2>", "{image2}"])
def test_every_accepted_spelling_is_normalised(written):
    assert normalize_indicators(f"put {written} there") == "put {image2} there"
    assert indicator_number(written) == 2


@pytest.mark.parametrize("written", ["{image0}", "{image10}", "<image99>"])
def test_images_that_cannot_exist_are_refused(written):
    with pytest.raises(ValueError, match="image9"):
        normalize_indicators(written)


def test_renaming_happens_at_once():
    assert renumber_indicators("{image} and {image1}", {0: 1, 1: 0}) == "{image1} and {image}"


def test_mentioned_keeps_order_and_drops_repeats():
    assert mentioned_images("<image3> over {image}, {image3}") == [3, 0]


def test_special_tokens_are_cut_out():
    assert split_special_tokens("turn {image} into{image1}") == ["turn ", "{image}", " into", "{image1}"]


def test_images_are_ordered_by_indicator_not_by_socket():
    unit = ConditionUnit("{image1} on {image}", [picture("{image1}", (8, 8)), picture("{image}", (16, 16))])
    assert [image.indicator for image in unit.images] == ["{image}", "{image1}"]


def test_a_clash_names_both_pictures():
    with pytest.raises(ValueError, match=r"\{image1\} \(24×16\).*\{image1\} \(32×8\)"):
        ConditionUnit("", [picture("{image1}", (16, 24)), picture("{image1}", (8, 32))])


def test_an_indicator_without_its_image_is_an_error():
    with pytest.raises(ValueError, match=r"names \{image1\}.*has \{image\}"):
        ConditionUnit("put {image1} on {image}", [picture()])


def test_batches_must_agree():
    with pytest.raises(ValueError, match=r"\{image\}: 2, \{image1\}: 3"):
        ConditionUnit("{image} {image1}", [picture(batch=2), picture("{image1}", batch=3)])
    assert len(ConditionUnit("{image} {image1}", [picture(batch=3), picture("{image1}", batch=1)]).images) == 2


def test_mask_of_another_size_is_an_error():
    with pytest.raises(ValueError, match="fit the mask"):
        picture(mask=torch.zeros(1, 8, 8))


def test_the_edited_image_must_exist():
    with pytest.raises(ValueError, match="is to be edited"):
        ConditionUnit("{image}", [picture()], target="{image1}")


def test_text_alone_has_no_frames():
    resolved = resolve(LongContext(ConditionUnit("a lighthouse")))
    assert resolved.frames == () and resolved.instruction == "a lighthouse" and resolved.target is None


def test_a_lone_picture_is_named_for_the_artist():
    told = []
    resolved = resolve(LongContext(ConditionUnit("make it snow", [picture()])), told.append)
    assert resolved.instruction == "{image} make it snow"
    assert len(told) == 1 and "{image}" in told[0]


def test_an_unnamed_picture_among_named_ones_is_reported():
    told = []
    resolve(LongContext(ConditionUnit("change {image}", [picture(), picture("{image3}")])), told.append)
    assert len(told) == 1 and "{image3}" in told[0]


def test_gaps_between_indicators_are_closed_in_picture_and_text():
    unit = ConditionUnit("{image} in the style of {image4}", [picture(), picture("{image4}")])
    resolved = resolve(LongContext(unit))
    assert [frame.indicator for frame in resolved.frames] == ["{image}", "{image1}"]
    assert resolved.instruction == "{image} in the style of {image1}"


def test_history_comes_first_and_is_numbered_through():
    first = ConditionUnit("{image} with {image1}", [picture(), picture("{image1}")])
    second = ConditionUnit("{image} at night", [picture()])
    third = ConditionUnit("{image} in the rain", [picture()])
    resolved = resolve(LongContext(third, [first, second]))
    assert [frame.indicator for frame in resolved.frames] == ["{image}", "{image1}", "{image2}", "{image3}"]
    assert [frame.instruction for frame in resolved.frames] == [
        "{image} with {image1}",
        "{image} with {image1}",
        "{image2} at night",
        "{image3} in the rain",
    ]
    assert resolved.instruction == "{image3} in the rain"
    assert resolved.target == 3
    assert [frame.round for frame in resolved.frames] == [0, 0, 1, 2]


def test_oldest_rounds_go_when_pictures_are_too_many():
    told = []
    names = ["{image}", *(f"{{image{k}}}" for k in range(1, 5))]
    unit = ConditionUnit(" ".join(names), [picture(name) for name in names])
    resolved = resolve(LongContext(unit, [unit, unit]), told.append)
    assert len(resolved.frames) == 10 and len(told) == 1
    assert resolved.instruction.startswith("{image5} {image6}")


def test_keep_rounds_drops_the_oldest():
    rounds = [ConditionUnit(f"{{image}} {k}", [picture()]) for k in range(3)]
    told = []
    kept = LongContext(ConditionUnit("{image} now", [picture()]), rounds).keep_rounds(2, told.append)
    assert [unit.instruction for unit in kept.history] == ["{image} 1", "{image} 2"] and len(told) == 1
    with pytest.raises(ValueError, match="negative"):
        kept.keep_rounds(-1)


def test_a_round_without_pictures_is_left_out_of_history():
    told = []
    resolved = resolve(LongContext(ConditionUnit("{image} blue", [picture()]), [ConditionUnit("a cat")]), told.append)
    assert len(resolved.frames) == 1 and resolved.frames[0].instruction == "{image} blue" and len(told) == 1


def test_another_image_can_be_the_edited_one():
    unit = ConditionUnit("{image} into {image1}", [picture(), picture("{image1}")], target="<image1>")
    assert resolve(LongContext(unit)).target == 1
