"""One pair: models that see get texts; models that mistake left, order, place or things get none, with the reason."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.label.labeller import Labeller
from comfyui_ace.training.label.settings import LabelSettings, Shown, shown_pair
from comfyui_ace.training.vision_language.answer import Answer
from label_models import Looking, scene, scene_pair
from PIL import Image

QUICK = LabelSettings(tasks=True, identical=0)


def shown(before="red", after="blue", place="left", **changes) -> Shown:
    return Shown(Image.fromarray(scene(before, place)), Image.fromarray(scene(after, place)), **changes)


def label(model, pair=None, settings=QUICK, **changes):
    return Labeller(model, settings).label("one", pair or shown(), **changes).label


@pytest.mark.parametrize("place", ["left", "top right", "bottom", "center"])
def test_what_is_seen_becomes_texts_in_every_form(place):
    model = Looking()
    found = label(model, shown(place=place))
    assert found.proposed and not found.reason, found.reason
    assert [text.form for text in found.texts] == ["imperative", "short", "long", "casual"]
    assert all("{image}" in text.text and "blue" in text.text and text.origin == "model" for text in found.texts)
    assert found.source_caption.endswith(f"a red square on the {place}") and "blue" in found.target_caption
    mirrored = "passed" if "left" in place or "right" in place else "not needed"
    assert found.checks == {
        "content": "passed",
        "place": "passed",
        "exchange": "passed",
        "mirror": mirrored,
        "presence en": "passed",
    }
    questions = [answer.question for answer in found.answers]
    assert questions[0] == "compare" and ("mirrored" in questions) == (mirrored == "passed")
    assert all(answer.text and answer.model == "eyes" and len(answer.request) == 64 for answer in found.answers)
    words = [request for request in model.asked if "instructions" in request.schema["properties"]]
    assert [request.images for request in words] == [()], "the words are made from text alone"


def test_a_model_that_says_left_of_everything_is_found_out():
    """On the right by its place, on the left by its mirror image."""
    assert "place: " in label(Looking(sides="fixed"), shown(place="right")).reason
    found = label(Looking(sides="fixed"), shown(place="left"))
    assert not found.proposed and not found.texts and found.reason.startswith("mirror: "), found.reason


def test_a_model_that_cannot_tell_before_from_after_is_found_out():
    found = label(Looking(order=False))
    assert found.reason.startswith("exchange: before and after stay") and not found.texts


def test_a_difference_in_one_picture_shown_twice_is_invented():
    found = label(Looking(invents=True), identical=True)
    assert found.reason.startswith("identical: it sees 'the square' differ") and found.checks["identical"] != "passed"
    assert label(Looking(), identical=True).checks["identical"] == "passed"


def test_an_identical_pair_is_never_asked_about():
    model = Looking(invents=True)
    found = label(model, shown("red", "red"))
    assert found.reason == "nothing changed that can be seen" and not model.asked


def test_a_thing_that_is_not_there_rejects_the_texts():
    found = label(Looking(adds="a grey cat"))
    assert found.reason == "presence en: 'a grey cat' is not seen in the result" and not found.texts
    assert [answer.question for answer in found.answers][-1] == "presence en", "what was said is kept"


def test_another_judge_may_be_asked_whether_it_is_true():
    writer, judge = Looking(), Looking(model="judge")
    found = Labeller(writer, QUICK, judge=judge).label("one", shown()).label
    assert found.proposed and [answer.model for answer in found.answers][-1] == "judge" and len(judge.asked) == 1


def test_a_model_in_doubt_is_not_believed():
    assert "not sure" in label(Looking(confident=1)).reason


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "I see two pictures.",
        '{"differences": "many"}',
        '{"differences": [{"what": "x"}], "commonalities": [], "same_subject": true, "confidence": 9}',
        '{"differences": [], "commonalities": [], "same_subject": "yes", "orientation_words": [], "confidence": 9}',
        '{"differences": [{"what": "x", "where": ["somewhere"], "before": "a", "after": "b", "size": "small"}], '
        '"commonalities": [], "same_subject": true, "orientation_words": [], "confidence": 9}',
        '{"differences": [{"what": "x", "where": ["left"], "before": "a", "aft',
    ],
)
def test_an_answer_that_cannot_be_read_gives_no_text(broken):
    class Broken(Looking):
        def ask(self, request):
            self.asked.append(request)
            return Answer(broken, finish_reason="length")

    model = Broken()
    found = label(model)
    assert found.reason == "compare: the answer could not be read, even asked twice" and not found.texts
    assert len(model.asked) == 2 and "could not be read" in model.asked[1].parts[-1]
    assert [answer.text for answer in found.answers] == [broken] * 2


def test_a_text_that_says_more_than_was_seen_is_dropped():
    class Painter(Looking):
        def compose(self, request):
            value = super().compose(request)
            value["instructions"]["short"] = "{image} in purple"
            value["instructions"]["casual"] = "move {image} to the right"
            return value

    found = label(Painter())
    assert [text.form for text in found.texts] == ["imperative", "long"]
    assert [reason for _, reason in found.dropped] == [
        "it says purple, which was not seen",
        "it says right, which was not seen",
    ]


def test_indicators_stand_where_pictures_are():
    class Forgetful(Looking):
        def compose(self, request):
            value = super().compose(request)
            value["instructions"]["short"] = "a blue square on the left"
            value["instructions"]["casual"] = "a blue square as in <image 1>"
            value["instructions"]["long"] = "put {image3} into {image}"
            return value

    found = label(Forgetful())
    assert [text.text for text in found.texts][1] == "{image} a blue square on the left"
    assert {reason for _, reason in found.dropped} == {
        "it names {image1}, which the pair does not have",
        "it names {image3}, which the pair does not have",
    }
    two = shown(references=(Image.fromarray(scene("blue")),), masked=True)
    model = Looking()
    assert "does not name {image1}" in label(model, two).reason
    composed = next(request for request in model.asked if "instructions" in request.schema["properties"])
    assert '"{image1}"' in composed.parts[0] and "the marked part" in composed.parts[0]


def test_both_languages_are_asked_for_and_checked():
    model = Looking()
    found = label(model, settings=LabelSettings(languages=("en", "zh"), forms=("imperative", "casual"), identical=0))
    assert len(found.words("en")) == 2 and found.words("zh")[0].startswith("把 {image}")
    assert set(found.checks) >= {"presence en", "presence zh"}


def test_rewrites_are_new_and_keep_what_matters():
    good = "Where red is seen at the left edge of {image}, paint the square over: now the left one shows blue"
    rewrites = (
        good,
        "In {image}, turn a red square on the left into a blue square on the left",
        "Where red is seen at the left edge of {image}, paint it over: now the left one shows blue",
        "Cover the red square at the left of {image} so that the left is green",
        "Cover two red squares at the left of {image} so that the left is blue",
        "Cover the red square at the right of {image} so that the right is blue",
        "Let the blue square take the place at the left that red had in {image1}",
    )
    model = Looking(rewrites=rewrites)
    settings = LabelSettings(forms=("imperative",), rewrites=len(rewrites), identical=0)
    found = label(model, settings=settings)
    assert [text.text for text in found.texts if text.form == "rewrite"] == [good]
    reasons = dict(found.dropped)
    assert reasons[rewrites[1]].endswith("% like one that is there")
    assert reasons[rewrites[2]] == "it does not name a red square, a blue square"
    assert reasons[rewrites[3]] == "its colours are green, red, not blue, red"
    assert reasons[rewrites[4]] == "its numbers are two, not none"
    assert reasons[rewrites[5]] == "its directions are right, not left"
    assert reasons[rewrites[6]] == "it names {image1}, which the pair does not have"
    asked = [request for request in model.asked if set(request.schema["properties"]) == {"instruction"}]
    assert len(asked) == len(rewrites) and all(found.texts[0].text in request.parts[0] for request in asked)
    assert good not in asked[0].parts[0] and all(good in request.parts[0] for request in asked[1:])


def test_rewrites_that_add_something_are_shown_to_the_judge():
    good = "Where red is seen at the left edge of {image}, paint the square over: now the left one shows blue"
    dog = "Put a dog beside it and cover the red square at the left of {image}, so blue squares remain to the left"
    settings = LabelSettings(forms=("imperative",), rewrites=2, identical=0)
    judge = Looking(model="judge")
    found = Labeller(Looking(rewrites=(good, dog)), settings, judge=judge).label("one", shown()).label
    assert [text.text for text in found.texts if text.form == "rewrite"] == [good]
    assert (dog, "'a dog' is not to be seen") in found.dropped
    asked = [answer.model for answer in found.answers if answer.question == "presence rewrites"]
    assert asked == ["judge"] * 3, "both together, then each alone"
    true = Labeller(Looking(rewrites=(good,)), settings, judge=Looking(model="judge")).label("one", shown()).label
    assert sum(answer.question == "presence rewrites" for answer in true.answers) == 1
    alone = label(Looking(rewrites=(dog,)), settings=replace(settings, rewrites=1))
    assert [text.form for text in alone.texts] == ["imperative"], "without another judge the writer is asked"


def test_two_forms_in_the_same_words_are_one_text():
    class Terse(Looking):
        def compose(self, request):
            value = super().compose(request)
            value["instructions"]["short"] = value["instructions"]["imperative"] + "."
            return value

    found = label(Terse())
    assert [text.form for text in found.texts] == ["imperative", "long", "casual"]
    assert [reason for _, reason in found.dropped] == ["it is there already"]


@pytest.mark.parametrize(("place", "said", "other"), [("left", "左", "右"), ("right", "右", "左")])
def test_chinese_that_exchanges_left_and_right_is_dropped(place, said, other):
    class Turned(Looking):
        def compose(self, request):
            value = super().compose(request)
            texts = {"imperative": f"把 {{image}} {said}边的方块涂成蓝色", "short": f"{{image}} {other}边的方块变蓝"}
            return {**value, "instructions": texts}

    settings = LabelSettings(languages=("zh",), forms=("imperative", "short"), identical=0)
    found = label(Turned(), shown(place=place), settings)
    assert found.words("zh") == (f"把 {{image}} {said}边的方块涂成蓝色",)
    turned = {"left": "right", "right": "left"}[place]
    assert found.dropped == ((f"{{image}} {other}边的方块变蓝", f"it says {turned}, which was not seen"),)


def test_what_a_person_rejected_is_not_written_again():
    model = Looking()
    rejected = label(model).words("en")[:2]
    found = label(model, rejected=rejected)
    assert not {*rejected} & {*found.words("en")} and len(found.words("en")) == 2
    assert [reason for _, reason in found.dropped] == ["a person rejected it"] * 2
    asked = [request for request in model.asked if "instructions" in request.schema["properties"]]
    assert all(text in asked[1].parts[0] and "A person has rejected" not in asked[0].parts[0] for text in rejected)
    assert label(model, rejected=label(model).words("en")).reason == "words: a person rejected it"


def test_a_picture_from_words_alone_is_described():
    model = Looking()
    found = label(model, Shown(None, Image.fromarray(scene("green", "top"))))
    assert found.proposed and found.texts[0].text == "imperative: A green square at the top."
    assert found.target_caption == "A green square at the top." and found.source_caption == ""
    assert set(found.checks) == {"presence en"}


def test_without_a_model_nothing_is_said_of_a_natural_pair():
    assert "no model was named" in label(None).reason


def test_pairs_of_a_dataset_are_shown_with_their_mask(tmp_path, no_sync):
    dataset = Dataset.create(tmp_path, "pairs")
    mask = np.full((96, 96), 255, np.uint8)
    kept = dataset.append(scene_pair(1, masks=[mask], references=[scene("green")], instruction="{image} {image1}"))
    found = shown_pair(dataset, dataset.row(kept.id))
    assert found.masked and found.images == 2
    assert np.array_equal(np.asarray(found.mirrored().references[0]), scene("green")[:, ::-1])


def test_settings_say_what_there_is():
    with pytest.raises(ValueError, match="forms are some of imperative"):
        LabelSettings(forms=("sonnet",))
    with pytest.raises(ValueError, match="languages"):
        LabelSettings(languages=())


def test_other_settings_ask_anew():
    asked = {
        Labeller(Looking(), LabelSettings(forms=forms)).asked for forms in (("short",), ("long",), ("short", "long"))
    }
    assert len(asked) == 3 and all(json.dumps(one) for one in asked)
