"""The overview of what the model will see, and its picture: true to what is encoded, and drawn for whatever comes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from comfyui_ace.ace.lcu.frames import fit_frames
from comfyui_ace.ace.lcu.indicators import INDICATORS
from comfyui_ace.ace.lcu.intake import condition_image
from comfyui_ace.ace.lcu.units import (
    ConditionImage,
    ConditionUnit,
    LongContext,
    resolve,
)
from comfyui_ace.ace.pictures.preprocess import fit_mask
from comfyui_ace.ace.pictures.resolution import Resolution
from comfyui_ace.ace.preview import typesetting
from comfyui_ace.ace.preview.contact_sheet import (
    MAX_COLUMNS,
    MAY_CHANGE,
    draw_contact_sheet,
    to_tensor,
)
from comfyui_ace.ace.preview.overview import overview
from comfyui_ace.ace.preview.typesetting import (
    Font,
    Word,
    split_words,
    wrap,
)
from hypothesis import given, settings
from hypothesis import strategies as st

PUBLISHED = Resolution.published(1024)
SNOW = "{image} make it snow"


def picture(height=64, width=96, batch=1):
    return torch.rand(batch, height, width, 3, generator=torch.Generator().manual_seed(height * width))


def half_mask(height=64, width=96):
    mask = torch.zeros(1, height, width)
    mask[:, : height // 2] = 1
    return mask


def one(instruction=SNOW, **kwargs):
    return LongContext(ConditionUnit(instruction, [ConditionImage(picture(), **kwargs)]))


@st.composite
def contexts(draw):
    """Up to three rounds of up to ten pictures of any shape, with masks of every kind and texts of every script."""

    def image(indicator):
        long = draw(st.integers(1, 600))
        short = draw(st.integers(1, max(1, min(long, 6000 // long))))
        height, width = (short, long) if draw(st.booleans()) else (long, short)
        share = draw(st.sampled_from([None, 0.0, 0.01, 0.5, 1.0]))
        generator = torch.Generator().manual_seed(draw(st.integers(0, 9)))
        mask = None if share is None else (torch.rand(1, height, width, generator=generator) < share).float()
        fill = draw(st.sampled_from(["keep", "blank"]))
        return condition_image(picture(height, width), mask, indicator, fill=fill)

    def unit():
        count = draw(st.sampled_from([0, 1, 2, 5, 10]))
        chosen = draw(st.permutations(INDICATORS))[:count]
        words = draw(st.text(st.characters(blacklist_characters="{}<>"), max_size=60))
        target = draw(st.sampled_from([None, *chosen]))
        return ConditionUnit(" ".join((words, *chosen[:2])), [image(indicator) for indicator in chosen], target)

    return LongContext(unit(), [unit() for _ in range(draw(st.integers(0, 2)))])


RULES = [PUBLISHED, Resolution.megapixels(0.02), Resolution.exact(48, 64), Resolution.source(1024)]


@settings(max_examples=25)
@given(contexts(), st.sampled_from(RULES), st.sampled_from([None, 4, 1024]))
def test_any_context_is_drawn_and_told_as_it_is_encoded(context, resolution, max_tokens):
    told = []
    seen = overview(context, resolution, max_tokens, told.append)
    assert tuple(told) == seen.warnings and len(set(told)) == len(told)

    resolved = resolve(context)
    fitted = fit_frames(resolved, resolution)
    *cards, result = seen.cards
    assert [card.indicator for card in cards] == [each.frame.indicator for each in fitted]
    for card, each in zip(cards, fitted, strict=True):
        assert (card.height, card.width, card.tokens) == (each.fit.height, each.fit.width, each.fit.tokens)
        if each.mask is not None:
            assert card.coverage == pytest.approx(each.mask[0].mean().item())
    assert result.indicator == "" and sum(card.edited for card in cards) == (resolved.target is not None)
    assert seen.tokens == sum(card.tokens for card in seen.cards)
    if max_tokens is not None:
        assert any("more tokens" in line for line in told) == any(card.tokens > max_tokens for card in seen.cards)

    sheet = draw_contact_sheet(seen)
    assert 700 < sheet.width <= 1600 and sheet.height < 12_000
    assert to_tensor(sheet).shape == (1, sheet.height, sheet.width, 3)
    assert seen.summary().count("\n- ") == len(seen.cards)


def test_history_is_numbered_as_the_model_counts():
    first = ConditionUnit(SNOW, [ConditionImage(picture())])
    second = ConditionUnit(
        "{image} gets the hat of <image1>",
        [ConditionImage(picture(32, 32), indicator="{image1}"), ConditionImage(picture(48, 48))],
    )
    seen = overview(LongContext(second, [first]), PUBLISHED)
    assert [one.title for one in seen.rounds] == ["Earlier round 1", "This round"]
    assert seen.rounds[1].instruction == "{image1} gets the hat of {image2}"
    cards = seen.rounds[1].cards
    assert [(card.indicator, card.own_indicator, card.width) for card in cards] == [
        ("{image1}", "{image}", 48),
        ("{image2}", "{image1}", 32),
        ("", "", 48),
    ]
    assert [card.edited for card in seen.cards] == [False, True, False, False]


def test_warnings_say_what_was_changed_and_what_cannot_be_read():
    wide = ConditionImage(picture(64, 640))
    context = LongContext(ConditionUnit("让天空下雪 " + "please " * 100, [wide]))
    told = "\n".join(overview(context, PUBLISHED, 32).warnings)
    for sentence in (
        "{image} was put before it",
        "{image}: 640x64, centre cropped to 256x64",
        "more tokens than the 32 a picture",
        "102 words long",
        "cannot read these letters: 让天空下雪",
    ):
        assert sentence in told
    for silent in (one(""), one(" {image} "), LongContext(ConditionUnit(""))):
        assert "no instruction" in overview(silent, PUBLISHED).warnings[-1]
    assert overview(one(), PUBLISHED, 1024).warnings == ()


def test_text_alone_makes_one_card_of_the_canvas():
    (card,) = overview(LongContext(ConditionUnit("a lighthouse")), Resolution.exact(64, 128)).cards
    assert (card.indicator, card.height, card.width, card.tokens, card.image) == ("", 64, 128, 32, None)


def test_mask_is_marked_where_it_is_and_nowhere_else():
    """On the sheet, the upper half of the masked picture differs from the unmasked one; the lower half does not."""
    plain = np.asarray(draw_contact_sheet(overview(one(), PUBLISHED))).astype(int)
    masked = np.asarray(draw_contact_sheet(overview(one(mask=half_mask()), PUBLISHED))).astype(int)
    changed = np.abs(plain - masked).sum(-1) > 0
    rows = np.flatnonzero(changed[:500, 60:300].mean(1) > 0.5)  # across the first card's picture
    assert 110 < rows.size < 120 and (np.diff(rows) == 1).all()  # half of 227 pixels, and the outline
    pink = (np.abs(masked - np.array(MAY_CHANGE)).sum(-1) < 240).mean()
    assert pink > 0.02


@pytest.mark.parametrize("color", [MAY_CHANGE, (255, 255, 255), (0, 0, 0), (127, 22, 50)])
def test_mask_can_be_seen_on_any_plain_picture(color):
    plain = torch.tensor(color, dtype=torch.float32).div(255).expand(1, 64, 96, 3)
    sheets = [
        np.asarray(
            draw_contact_sheet(overview(LongContext(ConditionUnit(SNOW, [ConditionImage(plain, mask)])), PUBLISHED))
        )
        for mask in (None, half_mask())
    ]
    difference = np.abs(sheets[0].astype(int) - sheets[1]).max(-1)[260:380, 60:380]
    assert (difference > 60).mean() > 0.05


def test_blanked_pixels_are_black_only_after_scaling():
    """Blanking before would smear the hole's edge: black pixels outside it, grey ones inside."""
    image = torch.full((1, 512, 1024, 3), 0.7)
    mask = torch.zeros(1, 512, 1024)
    mask[:, :, 301:] = 1
    for fill, inside in (("blank", 0.0), ("keep", 0.7)):
        context = LongContext(ConditionUnit(SNOW, [ConditionImage(image, mask, fill=fill)]))
        (frame,) = fit_frames(resolve(context), Resolution.published(256))
        hole = fit_mask(mask, frame.fit)[0] > 0
        seen = frame.image()[0]
        assert frame.fit.scales
        assert torch.allclose(seen[hole], torch.tensor(inside), atol=1e-5)
        assert torch.allclose(seen[~hole], torch.tensor(0.7), atol=1e-5)
    with pytest.raises(ValueError, match='fill is "grey"; expected one of blank, keep'):
        ConditionImage(image, mask, fill="grey")


def test_cards_never_stand_alone_in_a_row_of_many():
    for count in range(1, 11):
        images = [ConditionImage(picture(16, 16), indicator=word) for word in INDICATORS[:count]]
        seen = overview(LongContext(ConditionUnit(" ".join(INDICATORS[:count]), images)), PUBLISHED)
        width = draw_contact_sheet(seen).width
        columns = round((width - 36) / 388)
        assert 2 <= columns <= MAX_COLUMNS
        assert count + 1 <= columns or (count + 1) % columns != 1


# Text


def test_every_script_has_a_width_and_nothing_fails_without_fonts(monkeypatch):
    text = "snow 雪 Schnee \U0001f600 \ud800 \x07 é"
    with_fonts = Font(20).width(text)
    monkeypatch.setattr(typesetting, "_open", lambda names, size: None)
    assert Font(20).width(text) > 0 and with_fonts > 0
    assert draw_contact_sheet(overview(one("{image} 让天空下雪"), PUBLISHED)).width > 700


@settings(max_examples=60)
@given(st.text(max_size=200), st.integers(30, 400), st.integers(1, 6))
def test_lines_fit_and_lose_nothing_until_the_last(text, width, most):
    font = Font(18)
    lines = wrap(split_words(text), font, width, most)
    assert len(lines) <= most
    gap = font.width(" ")
    for line in lines:
        drawn = sum(font.width(word.text) + (gap if word.spaced and k else 0) for k, word in enumerate(line))
        assert drawn <= width + 1e-6 or (len(line) == 1 and len(line[0].text) == 1)
    letters = "".join(word.text for line in lines for word in line)
    whole = "".join(text.split())
    assert letters == whole or (letters.endswith("…") and whole.startswith(letters[:-1]))


def test_chips_keep_their_padding_when_they_wrap():
    chip = Word("{image}", (9, 9, 9))
    lines = wrap([chip] * 4, Font(20), 2.2 * (Font(20).width("{image}") + 12), 9)
    assert [len(line) for line in lines] == [2, 2]
