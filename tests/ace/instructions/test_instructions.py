"""The instruction templates: every one renders, says the same in both languages, and is chosen the same everywhere."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations

import pytest
from comfyui_ace.ace.instructions import (
    LANGUAGE_NOTE,
    connect_help,
    describe,
    families,
    get_template,
    registry,
    render,
    render_bilingual,
    slot_help,
    subtasks,
)
from comfyui_ace.ace.instructions.template import MAX_TRAINED_IMAGES, Localized, Slot, Text, slots_in, task
from comfyui_ace.ace.lcu.indicators import INDICATORS
from hypothesis import given
from hypothesis import strategies as st

ALL = list(subtasks())
TOKEN = re.compile(r"\{image[1-9]?\}")
CHINESE = re.compile(r"[\u4e00-\u9fff]")

LOW_LEVEL = (
    "segmentation",
    "depth",
    "pose",
    "mosaic",
    "degradation",
    "grayscale",
    "edge",
    "doodle",
    "contour",
    "scribble",
)
# Saved workflows contain these ids: the list may grow, but nothing may leave it.
PUBLISHED_IDS = {
    "generation": ("text-to-image",),
    "analysis": (*LOW_LEVEL, "region"),
    "control": (*LOW_LEVEL, "color-map", "region"),
    "semantic": (
        *("face-identity", "face-smile", "face-beard", "face-makeup", "face-hair-color", "face-edit"),
        *("style", "background", "posture", "view", "instruction", "caption"),
    ),
    "element": tuple(
        f"{what}-{verb}{where}"
        for what in ("text", "object")
        for verb in ("add", "remove", "replace")
        for where in ("", "-masked")
    ),
    "repainting": ("inpaint", "inpaint-text", "outpaint"),
    "layer": ("subject", "background", "fuse"),
    "reference": ("conditions", "series", "subject", "style", "face", "object"),
}
# Tasks whose rendering is the phrasing itself when each slot is filled with its own mark.
VERBATIM = [
    subtask
    for subtask in ALL
    if get_template(subtask).images == get_template(subtask).max_images
    and not any(slot.spelled_out for slot in get_template(subtask).slots)
]


def examples(subtask: str, names=None, language: str = "en") -> dict[str, str]:
    """Words for the named slots of a subtask, or for all."""
    return {slot.name: slot.example for slot in slot_help(subtask, language) if names is None or slot.name in names}


def rough_token_count(text: str) -> int:
    """More than T5's tokenizer would give for English: an indicator is two, a word one for every two letters."""
    words = re.findall(r"[A-Za-z]+|[^A-Za-z\s]", TOKEN.sub(" !! ", text))
    return 1 + sum(-(-len(word) // 2) for word in words)


def test_all_families_and_subtasks_of_the_paper_are_there():
    assert list(families()) == list(PUBLISHED_IDS)
    for family, expected in PUBLISHED_IDS.items():
        assert {f"{family}-{subtask}" for subtask in expected} <= set(subtasks(family))
    assert sum(len(subtasks(family)) for family in families()) == len(ALL) == len(set(ALL))


def test_ids_are_slugs_made_of_family_and_subtask():
    for subtask in ALL:
        template = get_template(subtask)
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", subtask)
        assert subtask == f"{template.family}-{template.subtask}" == template.id


@pytest.mark.parametrize("subtask", ALL)
def test_phrasings_agree_in_both_languages(subtask):
    template = get_template(subtask)
    english, chinese = template.phrasings["en"], template.phrasings["zh"]
    assert len(english) == len(chinese) >= 6
    for one, other in zip(english, chinese, strict=True):
        assert slots_in(one) == slots_in(other) <= {slot.name for slot in template.slots}
        assert list(dict.fromkeys(TOKEN.findall(one))) == list(dict.fromkeys(TOKEN.findall(other)))
        assert not CHINESE.search(one)
    assert len(set(english)) == len(english)
    assert len(set(chinese)) == len(chinese)
    assert sum(bool(CHINESE.search(sentence)) for sentence in chinese) >= 4  # others are marks only: "{image} [change]"


@pytest.mark.parametrize("subtask", ALL)
def test_every_choice_of_optional_slots_has_several_phrasings(subtask):
    template = get_template(subtask)
    for count in range(len(template.optional) + 1):
        for chosen in combinations(template.optional, count):
            given_slots = examples(subtask, {*template.required, *chosen})
            texts = {render(subtask, given_slots, seed=seed) for seed in range(40)}
            assert len(texts) >= 2
            for text in texts:
                plain = text.replace("C A F E", "CAFE")
                assert all(words in plain for words in given_slots.values())


@pytest.mark.parametrize("subtask", ALL)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_indicators_are_those_of_the_images_in_order(subtask, language):
    template = get_template(subtask)
    for images in (template.images, template.max_images):
        for seed in range(30):
            text = render(subtask, examples(subtask), seed=seed, language=language, images=images)
            assert tuple(dict.fromkeys(TOKEN.findall(text))) == INDICATORS[:images]
            assert not re.search(r"\[[a-z_]+\]", text)


@pytest.mark.parametrize("subtask", ALL)
def test_defaults_and_examples_fit_into_120_tokens(subtask):
    template = get_template(subtask)
    for seed in range(30):
        text = render(subtask, examples(subtask), seed=seed, images=template.max_images)
        assert rough_token_count(text) <= 120, text
    for slot in template.slots:
        assert rough_token_count(slot.default["en"]) <= 40


def test_masks_and_image_counts():
    assert get_template("generation-text-to-image").images == 0
    assert {get_template(f"repainting-{name}").mask for name in ("inpaint", "inpaint-text", "outpaint")} == {"blank"}
    assert get_template("reference-face").mask == "blank"
    assert get_template("reference-style").images == 2
    for subtask in ALL:
        assert (get_template(subtask).mask == "keep") == (
            subtask.endswith(("-masked", "-region")) or subtask == "reference-object"
        )
        mentions_mask = [" mask" in sentence.lower() for sentence in get_template(subtask).phrasings["en"]]
        assert not any(mentions_mask) or get_template(subtask).mask


def test_a_seed_chooses_the_same_phrasing_on_every_machine():
    """Recorded once; only a phrasing that is appended later may take over some of the seeds."""
    drawn = [render("analysis-depth", {}, seed=seed) for seed in (0, 1, 2, 3, 2**64 - 1, -1)]
    sentences = get_template("analysis-depth").phrasings["en"]
    assert [sentences.index(sentence) for sentence in drawn] == [6, 1, 6, 3, 0, 4]


def test_an_appended_phrasing_takes_only_the_seeds_it_wins(monkeypatch):
    words = {"style": "[style]"}
    before = [render("semantic-style", words, seed=seed) for seed in range(200)]
    template = get_template("semantic-style")
    longer = {language: (*template.phrasings[language], "{image}, [style]") for language in ("en", "zh")}
    monkeypatch.setitem(registry._TEMPLATES, template.id, replace(template, phrasings=Localized(**longer)))
    after = [render("semantic-style", words, seed=seed) for seed in range(200)]
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert set(changed) == {"{image}, [style]"}


def test_seeds_reach_every_phrasing():
    sentences = get_template("semantic-style").phrasings["en"]
    drawn = {render("semantic-style", {"style": "[style]"}, seed=seed) for seed in range(200)}
    assert drawn == set(sentences)


@given(seed=st.integers(), subtask=st.sampled_from(VERBATIM))
def test_bilingual_renders_one_phrasing_in_two_languages(seed, subtask):
    words = {name: f"[{name}]" for name in examples(subtask)}
    english, chinese = render_bilingual(subtask, words, seed)
    assert english == render(subtask, words, seed=seed)
    assert chinese == render(subtask, words, seed=seed, language="zh")
    sentences = get_template(subtask).phrasings
    assert sentences["en"].index(english) == sentences["zh"].index(chinese)


WORDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=60).filter(
    lambda words: not re.search(r"image\s*\d", words, re.IGNORECASE)  # {image77} is an error, tested below
) | st.sampled_from(["the cat of {image1}", "[caption]", "{image} and <image2>", "\\1 \\g<0>", "100 % {} {caption}"])


@given(words=WORDS, seed=st.integers(0, 2**64 - 1), language=st.sampled_from(["en", "zh"]))
def test_whatever_an_artist_writes_is_kept(words, seed, language):
    cleaned = " ".join(words.split())
    if not cleaned:
        with pytest.raises(ValueError, match=r"\[instruction\]"):
            render("semantic-instruction", {"instruction": words}, seed=seed, language=language)
        return
    text = render("semantic-instruction", {"instruction": words}, seed=seed, language=language)
    assert cleaned in text
    assert text.count("{image}") == 1 + cleaned.count("{image}")
    assert "\n" not in text


@given(words=st.fixed_dictionaries({"text": st.just("CAFE")}, optional={"place": WORDS, "look": WORDS}))
def test_filled_slots_never_vanish(words):
    text = render("element-text-add", words, seed=0, language="zh")
    assert all(" ".join(value.split()) in text for value in words.values())


def test_blank_slots_count_as_missing_and_fall_back():
    assert render("control-edge", {"caption": " \n"}, seed=4) == render("control-edge", {}, seed=4)
    assert "[caption]" not in render("control-edge", {}, seed=4)


def test_letters_to_draw_are_spaced_for_the_model_only():
    text = {"text": "Caf\u00e9 {image}"}
    assert '"C a f \u00e9 {image}"' in render("element-text-add", text, seed=0)
    assert "Caf\u00e9 {image}" in render("element-text-add", text, seed=0, language="zh")
    assert render("element-text-add", {"text": "C A T"}, seed=0) == render("element-text-add", {"text": "CAT"}, seed=0)
    assert "e\u0301" in render("element-text-add", {"text": "e\u0301t\u00e9"}, seed=0)  # an accent stays on its letter
    assert '"SALE"' in render("element-text-remove", {"text": "SALE"}, seed=0)


def test_english_words_do_not_touch_chinese_ones():
    for seed in range(20):
        words = {"subject": "the dog", "posture": "lying on its back"}
        text = render("semantic-posture", words, seed=seed, language="zh")
        assert not re.search(r"[\u4e00-\u9fff][a-z]|[a-z][\u4e00-\u9fff]|dogl", text), text


def test_image_lists_grow_with_the_images():
    text = render("reference-series", {"caption": "a fox"}, seed=0, images=4)
    assert "{image}, {image1}, {image2}, {image3}" in text
    assert "{image3}" not in render("reference-series", {"caption": "a fox"}, seed=0)
    with pytest.raises(ValueError, match="3 to 8 condition images, got 2"):
        render("reference-series", {"caption": "a fox"}, seed=0, images=2)
    with pytest.raises(ValueError, match="takes 1 condition image, got 3"):
        render("analysis-depth", {}, seed=0, images=3)


def test_errors_list_what_there_is():
    with pytest.raises(ValueError, match=r"did you mean 'analysis-depth'.*repainting-outpaint"):
        render("analysis-dept", {}, seed=0)
    with pytest.raises(ValueError, match=r"no slot 'colour'; its slots: \[color\]"):
        render("semantic-face-hair-color", {"color": "red", "colour": "red"}, seed=0)
    with pytest.raises(ValueError, match="slots: none"):
        render("analysis-depth", {"caption": "a cat"}, seed=0)
    with pytest.raises(ValueError, match="'fr'; choose one of en, zh"):
        render("analysis-depth", {}, seed=0, language="fr")
    with pytest.raises(ValueError, match=r"no task family 'x'.*generation, analysis"):
        subtasks("x")
    with pytest.raises(ValueError, match=r"needs words for \[object\]; for example: object = 'the small dog"):
        render("element-object-remove", {"object": ""}, seed=0)
    with pytest.raises(ValueError, match="got int; give text"):
        render("semantic-style", {"style": 3}, seed=0)
    with pytest.raises(ValueError, match="seed"):
        render("analysis-depth", {}, seed="1")
    with pytest.raises(ValueError, match="image12"):
        render("semantic-style", {"style": "the style of {image12}"}, seed=0)


def test_the_artist_is_told_what_the_model_cannot_read():
    told: list[str] = []
    render("semantic-style", {"style": "水彩"}, seed=0, notify=told.append)
    assert len(told) == 1 and "[style]" in told[0] and "水彩" in told[0]
    told.clear()
    assert CHINESE.search(render("semantic-style", {"style": "watercolor"}, seed=0, language="zh", notify=told.append))
    assert told == [LANGUAGE_NOTE["zh"]]
    told.clear()
    render("semantic-instruction", {"instruction": "add the hat of {image1}"}, seed=0, notify=told.append)
    assert len(told) == 1 and "{image1}" in told[0]
    told.clear()
    render_bilingual("semantic-style", {"style": "caf\u00e9 wall, 1920s"}, 0, notify=told.append)
    assert told == []


@pytest.mark.parametrize("subtask", ALL)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_help_names_images_slots_and_language(subtask, language):
    template = get_template(subtask)
    line = connect_help(subtask, language)
    assert line and "\n" not in line and bool(CHINESE.search(line)) == (language == "zh")
    assert ("{image}" in line) or template.images != 1
    text = describe(subtask, language)
    assert line in text and LANGUAGE_NOTE[language] in text and subtasks(language=language)[subtask] in text
    for slot in slot_help(subtask, language):
        assert f"[{slot.name}]" in text and slot.description in text and slot.example in text
        assert bool(CHINESE.search(slot.description)) == (language == "zh")


def test_titles_are_distinct_within_a_family():
    for language in ("en", "zh"):
        for family in families(language):
            titles = list(subtasks(family, language).values())
            assert len(set(titles)) == len(titles)


LINE = ("Do [a] to {image}.", "对 {image} 做[a]。")
SLOT_A = Slot("a", Text("x", "x"), Text("x", "x"))


@pytest.mark.parametrize(
    ("lines", "options", "problem"),
    [
        ([LINE] * 5, {}, "at least 6"),
        ([LINE] * 6, {"slots": ()}, "declares slots"),
        ([*[LINE] * 6, ("Do [a] to {image}.", "对 {image} 做。")], {}, "differ in their slots"),
        ([*[LINE] * 6, ("Do [a] to {image1}.", "对 {image1} 做[a]。")], {}, "expected"),
        ([*[LINE] * 6, ("Do [a] to {image] it.", "对 {image} 做[a]。")], {}, "bracket"),
        ([("From {image1} [a] to {image}.", "从 {image1} [a] 到 {image}。")] * 6, {"images": 2}, "in this order"),
        ([LINE] * 6, {"images": (1, 3)}, "varying number"),
        ([LINE] * 6, {"images": MAX_TRAINED_IMAGES + 1}, "counts lie within"),
        ([LINE] * 6, {"mask": "erase"}, "one of blank, keep"),
        (
            [*[LINE] * 6, ("{image} [a] [b]", "{image} [a] [b]"), ("{image}", "{image}"), ("{image}.", "{image}。")],
            {"slots": (SLOT_A, Slot("b", Text("x", "x"), Text("x", "x")))},
            r"exactly the slots \['b'\]",
        ),
    ],
)
def test_a_faulty_template_is_refused(lines, options, problem):
    with pytest.raises(ValueError, match=problem):
        task("family", "subtask", ("T", "T"), ("C", "C"), lines, **{"slots": (SLOT_A,), **options})


def test_a_family_that_is_no_slug_is_refused():
    with pytest.raises(ValueError, match="lower-case ASCII"):
        task("Family", "subtask", ("T", "T"), ("C", "C"), [LINE] * 6, slots=(SLOT_A,))
