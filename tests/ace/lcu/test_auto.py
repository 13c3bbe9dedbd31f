"""Pictures without a word of their own get the first free one, in the order in which they were plugged in."""

from __future__ import annotations

import pytest
import torch
from comfyui_ace.ace.lcu.indicators import AUTO
from comfyui_ace.ace.lcu.intake import condition_image
from comfyui_ace.ace.lcu.units import ConditionImage, ConditionUnit, LongContext, resolve


def picture(word: str, shade: float) -> ConditionImage:
    return condition_image(torch.full((1, 8, 8, 3), shade), None, word)


def words(unit: ConditionUnit) -> dict[float, str]:
    return {round(float(image.image.mean()), 1): image.indicator for image in unit.images}


def test_the_order_of_the_sockets_counts():
    unit = ConditionUnit("{image} like {image1}", [picture(AUTO, 0.1), picture(AUTO, 0.2), picture(AUTO, 0.3)])
    assert words(unit) == {0.1: "{image}", 0.2: "{image1}", 0.3: "{image2}"}
    assert resolve(LongContext(unit)).target == 0


def test_a_chosen_word_never_moves():
    unit = ConditionUnit("{image}", [picture(AUTO, 0.1), picture("{image}", 0.2), picture(AUTO, 0.3)])
    assert words(unit) == {0.1: "{image1}", 0.2: "{image}", 0.3: "{image2}"}
    unit = ConditionUnit("{image}", [picture("{image1}", 0.1), picture(AUTO, 0.2)])
    assert words(unit) == {0.1: "{image1}", 0.2: "{image}"}


def test_what_saved_workflows_say_is_as_before():
    with pytest.raises(ValueError, match=r"two pictures claim the indicator \{image\}"):
        ConditionUnit("{image}", [picture("{image}", 0.1), picture("{image}", 0.2)])


def test_more_pictures_than_words_are_refused():
    with pytest.raises(ValueError, match="11 pictures; ACE takes at most 10"):
        ConditionUnit("", [picture(AUTO, 0.1)] * 11)


def test_messages_about_a_picture_without_a_word():
    mask = torch.ones(1, 4, 8)
    with pytest.raises(ValueError, match=r"^the mask is 8x4 and its picture 8x8"):
        condition_image(torch.zeros(1, 8, 8, 3), mask, AUTO)
