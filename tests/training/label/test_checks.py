"""The checks on their own: places, sides, order, words; and tasks that are told from the pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from comfyui_ace.ace.pictures.condition_images import make_condition_image
from comfyui_ace.training.label.analysis.answers import Comparison, Difference
from comfyui_ace.training.label.analysis.changes import PLACES, WHOLE, find_changes
from comfyui_ace.training.label.analysis.checks import PASSED, check_exchange, check_mirror, check_places, needs_mirror
from comfyui_ace.training.label.analysis.prompts import composition_request
from comfyui_ace.training.label.analysis.recognise import Recognised, recognise, template_texts
from comfyui_ace.training.label.analysis.words import (
    alike,
    colours,
    directions,
    keeps,
    names_sides,
    numbers,
    says,
    sidedness,
)
from comfyui_ace.training.label.labeller import Labeller
from comfyui_ace.training.label.settings import LabelSettings, Shown
from label_models import Looking, scene
from PIL import Image


def compared(*differences, orientation=()) -> Comparison:
    """Differences as (what, where, before, after)."""
    listed = tuple(Difference(what, where, before, after, "small") for what, where, before, after in differences)
    return Comparison(listed, (), False, tuple(orientation), 9)


def picture(array) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(array))


@pytest.mark.parametrize("place", PLACES)
def test_changes_lie_where_pixels_differ(place):
    changes = find_changes(picture(scene("red", place)), picture(scene("blue", place)))
    assert changes.visible and PLACES[int(changes.cells.argmax())] == place
    assert changes.covered((place,)) == 1.0 and changes.covered((WHOLE,)) == 0.0
    row, column = divmod(PLACES.index(place), 3)
    if column != 1:
        assert changes.covered((PLACES[3 * row + 2 - column],)) == 0.0


def test_noise_of_a_vae_is_no_change_and_another_size_is_fitted():
    base = scene("red")
    grain = np.random.default_rng(3).integers(-8, 9, base.shape)
    assert not find_changes(picture(base), picture((base + grain).clip(0, 255).astype(np.uint8))).visible
    large = picture(scene("blue")).resize((192, 192), Image.Resampling.NEAREST)
    assert find_changes(picture(base), large).covered(("left",)) > 0.9


def test_places_must_hold_what_changed():
    changes = find_changes(picture(scene("red", "right")), picture(scene("blue", "right")))
    ok = compared(("square", ("right",), "red", "blue"))
    assert check_places(ok, changes) == PASSED
    assert "hardly a pixel" in check_places(compared(("square", ("left",), "red", "blue")), changes)
    both = compared(("square", ("right",), "red", "blue"), ("hat", ("left",), "black", "white"))
    assert check_places(both, changes).startswith("'hat' is said to be at left")
    whole = find_changes(picture(scene("red")), picture(255 - scene("red")))
    assert (
        check_places(compared(("sky", ("top left",), "day", "night")), whole)
        == "the places named hold 25% of what changed"
    )
    assert check_places(compared(("light", (WHOLE,), "day", "night")), whole) == PASSED


@pytest.mark.parametrize("place", [place for place in PLACES if " " in place])
def test_who_always_says_the_centre_or_the_whole_is_found_out_by_a_corner(place):
    changes = find_changes(picture(scene("red", place)), picture(scene("blue", place)))
    assert "hold 25% of what changed" in check_places(compared(("square", ("center",), "red", "blue")), changes)
    whole = check_places(compared(("square", (WHOLE,), "red", "blue")), changes)
    assert whole == "'square' is said to be in the whole picture, of which 4% changed"


def test_mirrors_turn_places_and_words():
    left = compared(("hand", ("left",), "his left hand is down", "up"))
    right = compared(("hand", ("right",), "his right hand is down", "up"))
    assert needs_mirror(left) and not needs_mirror(compared(("sky", ("top",), "blue", "grey")))
    assert check_mirror(left, right) == PASSED
    assert "same side" in check_mirror(left, left)
    words_alone = compared(("hand", ("center",), "his left hand is down", "up"))
    assert needs_mirror(words_alone) and "says left of the mirrored" in check_mirror(words_alone, words_alone)
    assert "one way round" in check_mirror(left, compared(("hand", ("center",), "down", "up")))
    assert "one way round" in check_mirror(words_alone, compared(("hand", ("center",), "his hand is down", "up")))


def test_directions_that_an_edit_needs_are_mirrored_too():
    said = [compared(("sky", ("top",), "a", "b"), orientation=words) for words in (("to the left",), ("to the right",))]
    assert needs_mirror(said[0]) and check_mirror(said[0], said[1]) == PASSED
    assert check_mirror(said[0], said[0]) == "it says left of the mirrored pictures, too"
    assert "one way round" in check_mirror(said[0], compared(("sky", ("top",), "a", "b")))


def test_sides_that_add_up_to_nothing_are_mirrored_too():
    places = ("left", "right")
    there, back = (
        compared(("ball", places, f"a ball on the {one}", f"a ball on the {other}"))
        for one, other in (places, places[::-1])
    )
    assert check_mirror(there, back) == PASSED and "left and right" in check_mirror(there, there)
    two, turned = (
        compared(("car", (one,), "a red car", "a blue car"), ("tree", (other,), "a green tree", "a bare tree"))
        for one, other in (places, places[::-1])
    )
    assert check_mirror(two, turned) == PASSED
    assert check_mirror(two, two) == "'car' is on the same side when the pictures are mirrored"
    twins = compared(*((f"{side} lamp", (side,), "a dark lamp", "a bright lamp") for side in places))
    assert check_mirror(twins, twins) == PASSED, "one on each side are still one on each side"


def test_exchange_turns_before_and_after():
    one = compared(("car", ("center",), "a red car", "a blue car"), ("sky", ("top",), "clear", "cloudy"))
    other = compared(("sky", ("top",), "cloudy", "clear"), ("car", ("center",), "a blue car", "a red car"))
    assert check_exchange(one, other) == PASSED
    assert check_exchange(one, one).startswith("before and after stay")
    assert "sees no difference" in check_exchange(one, compared())


def test_words_are_found_in_both_languages():
    assert colours("a Gray dog in a RED coat") == {"grey", "red"} and colours("把天空变成红色") == {"红"}
    assert numbers("{image1} with two hats and 3 dogs") == {"two", "3"} and numbers("加三只猫，一起") == {"三"}
    assert directions("the left door, above it a lamp") == {"left", "above"} and directions("把左边的门涂上") == {"左"}
    assert sidedness(["left of the right door", "left"]) == 1 and sidedness(["右边的狗"]) == -1
    assert names_sides(["clockwise"]) and not names_sides(["brightly"])
    assert says("two small horses", "a horse") and says("把红色汽车换掉", "汽车") and not says("a tree", "a horse")
    assert alike("make the car red", ["turn the car red"]) < 85 < alike("the red car make", ["make the car red"])
    assert keeps("paint the car red", "make the car red", ["car"]) == ""


def photo() -> np.ndarray:
    """A drawn picture with colours, edges and no symmetry."""
    canvas = np.full((120, 150, 3), (60, 110, 170), np.uint8)
    canvas[70:] = (70, 140, 60)
    canvas[20:50, 15:60] = (220, 60, 40)
    canvas[60:100, 90:130] = (230, 200, 50)
    ramp = np.linspace(0, 25, 150, dtype=np.uint8)[None, :, None]
    return canvas + ramp


def condition(name: str) -> np.ndarray:
    import torch

    image = torch.from_numpy(photo())[None].float() / 255
    return (make_condition_image(name, image)[0].numpy() * 255).round().astype(np.uint8)


@pytest.mark.parametrize(
    ("made", "task"),
    [
        (lambda: photo()[:, ::-1], "mirror"),
        (lambda: photo()[::-1], "upside-down"),
        (lambda: 255 - photo(), "invert"),
        (lambda: condition("grayscale"), "analysis-grayscale"),
        (lambda: condition("mosaic"), "analysis-mosaic"),
        (lambda: condition("canny"), "analysis-edge"),
        (lambda: np.asarray(picture(photo()).resize((300, 240), Image.Resampling.BICUBIC)), "upscale"),
    ],
)
def test_tasks_are_told_from_the_pixels_in_both_directions(made, task):
    one, other = picture(photo()), picture(made())
    assert recognise(Shown(one, other)) == Recognised(task)
    if task.startswith("analysis"):
        assert recognise(Shown(other, one)) == Recognised(task.replace("analysis", "control"), captioned=True)
    assert recognise(Shown(one, other, masked=True)) is None


@pytest.mark.parametrize(
    "made",
    [
        lambda: photo(),
        lambda: np.roll(photo(), 9, axis=1),
        lambda: condition("contour"),
        lambda: (photo() * 0.7).astype(np.uint8),
        lambda: np.where(np.random.default_rng(1).random((120, 150, 1)) < 0.02, 255, 0).astype(np.uint8).repeat(3, 2),
    ],
)
def test_what_is_not_certain_is_no_task(made):
    assert recognise(Shown(picture(photo()), picture(made()))) is None


def test_templates_give_distinct_phrasings_with_captions():
    settings = LabelSettings(languages=("en", "zh"), forms=("short", "long"), rewrites=2)
    texts = template_texts(Recognised("control-edge", captioned=True), "a red box on grass.", settings)
    english = [text.text for text in texts if text.language == "en"]
    assert len(english) == len(set(english)) == 4 and all("a red box on grass" in text for text in english)
    chinese = [text.text for text in texts if text.language == "zh"]
    assert len(chinese) == 3 and not any("red" in text for text in chinese)
    assert {text.prompt for text in texts} == {"control-edge"} and {text.origin for text in texts} == {"template"}
    assert template_texts(Recognised("control-edge", captioned=True), "a red box on grass.", settings) == texts


def test_a_recognised_task_needs_no_model_and_a_caption_if_there_is_one():
    pair = Shown(picture(condition("canny")), picture(photo()))
    alone = Labeller(None, LabelSettings()).label("one", pair).label
    assert alone.proposed and alone.task == "control-edge" and alone.target_caption == "" and not alone.answers
    model = Looking()
    told = Labeller(model, LabelSettings()).label("one", pair).label
    assert [answer.question for answer in told.answers] == ["caption", "presence caption"]
    assert told.target_caption and told.target_caption.rstrip(".") in told.texts[0].text


def test_a_caption_that_names_what_is_not_there_does_not_go_into_a_template():
    class Dreaming(Looking):
        def ask(self, request):
            asked = super().ask(request)
            return replace(asked, text='{"caption": "A dog in the rain."}') if "caption" in asked.text else asked

    pair = Shown(picture(condition("canny")), picture(photo()))
    found = Labeller(Dreaming(), LabelSettings(forms=("short",))).label("one", pair).label
    assert found.proposed and found.target_caption == "" and "dog" not in found.texts[0].text
    assert found.dropped == (("A dog in the rain.", "'a dog' is not to be seen"),)


def test_templates_that_a_person_rejected_are_not_drawn_again():
    pair, settings = Shown(picture(photo()), picture(255 - photo())), LabelSettings(forms=("short",), rewrites=1)
    first = Labeller(None, settings).label("one", pair).label.words("en")
    second = Labeller(None, settings).label("one", pair, rejected=first).label.words("en")
    assert len(first) == len(second) == 2 and not {*first} & {*second}
    none = Labeller(None, settings).label("one", pair, rejected=(*first, *second)).label
    assert not none.proposed and "a person rejected" in none.reason


@pytest.mark.parametrize(
    ("said", "person"),
    [
        ("the surface of many lakes", False),
        ("the woman's face", True),
        ("two men on a bench", True),
        ("a mandarin", False),
    ],
)
def test_a_person_is_told_by_whole_words(said, person):
    comparison = replace(compared(("thing", ("top",), said, "gone")), same_subject=True)
    asked = composition_request(comparison, Shown(None, picture(photo())), "en", ("short",)).parts[0]
    assert ("same person, and keep to" in asked) == person
