"""Which augmentations the pairs of a teacher allow."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from comfyui_ace.benchmarks.training.equivariance import KNOWN
from comfyui_ace.training.tiny.world.pictures import Pictures
from comfyui_ace.training.trainer.data.equivariance import PairPixels, fit_local_map, judge_transform

PAIRS = 12
SOURCES = [Pictures("train", (64, 64), 7)[index] for index in range(PAIRS)]


def says(words: str) -> list:
    """Examples of which only the words count."""
    return [SimpleNamespace(texts=(words,), phrasings=())]


def reason(transform: str, edit: Callable[[torch.Tensor], torch.Tensor], words: str = "an edit") -> str:
    """Why an augmentation is not safe for a teacher; nothing if it is."""
    pairs = [PairPixels(image.movedim(-1, 0), edit(image).movedim(-1, 0)) for image in SOURCES]
    return judge_transform(transform, says(words), fit_local_map(pairs)).reason


@pytest.mark.parametrize(
    ("name", "transform"),
    [
        *[(name, transform) for name in ("tone curve", "sepia", "negative") for transform in ("hflip", "crop")],
        ("blur", "hflip"),  # at the edge of a part it shows what lies outside
    ],
)
def test_what_is_done_alike_everywhere_is_safe(name, transform):
    assert reason(transform, KNOWN[name].edit) == ""


@pytest.mark.parametrize(
    ("name", "transform", "expected"),
    [
        ("off-centre vignette", "hflip", "fixed place"),
        ("off-centre vignette", "vflip", "fixed place"),
        ("left to right gradient", "hflip", "fixed place"),
        ("top to bottom gradient", "vflip", "fixed place"),
        ("logo in a corner", "hflip", "fixed place"),
        ("logo in a corner", "crop", "fixed place"),
        ("centred vignette", "crop", "fixed place"),
        ("automatic contrast", "crop", "whole picture"),
        ("shift to the right", "hflip", "direction"),
        ("quarter turn", "hflip", "place by place"),
        ("quarter turn", "vflip", "place by place"),
    ],
)
def test_what_is_not_is_found_with_the_reason(name, transform, expected):
    assert expected in reason(transform, KNOWN[name].edit)


def test_a_gradient_does_not_forbid_the_other_flip():
    assert reason("hflip", KNOWN["top to bottom gradient"].edit) == ""
    assert reason("hflip", KNOWN["centred vignette"].edit) == ""


@pytest.mark.parametrize(
    ("words", "transform", "word"),
    [
        ("put a hat on the person on the left", "hflip", "left"),
        ("mirror {image}", "hflip", "mirror"),
        ("{image} with the text HELLO", "vflip", "text"),
        ("a sunset in {image}", "vflip", "sunset"),
        ("add a dark frame to {image}", "crop", "frame"),
        ("把左边的杯子变红", "hflip", "左"),
        ("加上水印", "crop", "水印"),
    ],
)
def test_words_that_name_a_side_or_letters_forbid_it(words, transform, word):
    assert reason(transform, KNOWN["sepia"].edit, words) == f"an instruction says {word!r}"


def test_words_that_only_look_like_it_do_not():
    for words in ("a bright leftover meal", "{image} with a matte film look", "copyright free"):
        assert reason("hflip", KNOWN["sepia"].edit, words) == ""


def test_a_masked_edit_is_judged_by_what_it_does_under_the_mask():
    def pairs(shift: float) -> list[PairPixels]:
        found = []
        for number, image in enumerate(SOURCES):
            picture = image.movedim(-1, 0)
            mask = torch.zeros(1, 64, 64)
            mask[:, 8 * (number % 4) : 8 * (number % 4) + 32, 4 * (number % 7) : 4 * (number % 7) + 36] = 1.0
            ramp = shift * torch.linspace(-1, 1, 64)
            found.append(PairPixels(picture, torch.where(mask > 0, (1 - picture + ramp).clamp(0, 1), picture), mask))
        return found

    assert judge_transform("hflip", says("a negative"), fit_local_map(pairs(0.0))).safe
    assert not judge_transform("hflip", says("a negative"), fit_local_map(pairs(0.4))).safe


def test_too_few_pairs_or_none_that_change_decide_nothing():
    pictures = [image.movedim(-1, 0) for image in SOURCES]
    assert fit_local_map([PairPixels(one, 1 - one) for one in pictures[:7]]) is None
    assert fit_local_map([PairPixels(one, one) for one in pictures]) is None
    assert "too few" in judge_transform("hflip", says("a negative"), None).reason
