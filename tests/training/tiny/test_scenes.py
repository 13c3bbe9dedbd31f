"""Drawn scenes, their sentences, and the program that reads them off pictures."""

import numpy as np
import pytest

pytest.importorskip("skimage")
pytest.importorskip("sklearn")

from comfyui_ace.training.tiny.measure.reading import agrees, read_landscape, read_scene
from comfyui_ace.training.tiny.world.colours import COLOURS, shade, stand_out
from comfyui_ace.training.tiny.world.figures import FIGURES
from comfyui_ace.training.tiny.world.landscapes import GROUNDS, SKIES, Item, Landscape, draw_landscape
from comfyui_ace.training.tiny.world.language import filled, with_articles
from comfyui_ace.training.tiny.world.pictures import Pictures
from comfyui_ace.training.tiny.world.scenes import PLACES, Scene, Thing, draw_scene, is_held_out
from comfyui_ace.training.tiny.world.shapes import OUTLINES, SHAPES


def painted(described, seed=0, size=(128, 128)):
    return np.asarray(described.paint(np.random.default_rng(seed), *size))


def test_a_red_circle_on_a_blue_background_shows_one():
    scene = Scene((Thing("circle", "red"),), "blue")
    pixels = painted(scene).astype(int)
    assert np.abs(pixels[64, 64] - COLOURS["red"]).max() < 40 and np.abs(pixels[4, 4] - COLOURS["blue"]).max() < 40
    said = {scene.describe(np.random.default_rng(seed)) for seed in range(30)}
    assert len(said) > 5 and all("red" in sentence and "blue" in sentence for sentence in said)
    assert any(sentence == "a red circle on a blue background" for sentence in said)


@pytest.mark.parametrize("shape", SHAPES)
def test_outlines_fill_their_square(shape):
    low, high = OUTLINES[shape].min(0), OUTLINES[shape].max(0)
    assert (high - low).min() > 1.4 and np.abs(np.stack((low, high))).max() < 1.3


def test_what_is_named_is_what_is_drawn():
    rng = np.random.default_rng(4)
    for _ in range(60):
        scene = draw_scene(rng)
        assert all(stand_out(thing.colour, scene.background) for thing in scene.things)
        sentence = scene.describe(rng)
        for thing in scene.things:
            assert any(word in sentence for word in (thing.colour, "grey", "violet", "turquoise"))
        assert all(agrees(read_scene(painted(scene)), scene).values()), (scene, sentence)


def test_training_never_sees_a_combination_that_is_held_out():
    rng = np.random.default_rng(5)
    for held_out in (True, False):
        scenes = [draw_scene(rng, held_out) for _ in range(40)]
        assert all(is_held_out(t, s.background) == held_out for s in scenes for t in s.things)
    assert not is_held_out(Thing("circle", "red"), "blue")  # the first workflow's words are no puzzle
    validation, train = (Pictures(split, (32, 32), photographs=0.0) for split in ("validation", "train"))
    assert validation.draw_described(rng)[0].shape == train.draw_described(rng)[0].shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        (Scene((Thing("square", "red"),), "white"), "shape"),
        (Scene((Thing("circle", "green"),), "white"), "colour"),
        (Scene((Thing("circle", "red", place="left"),), "white"), "place"),
        (Scene((Thing("circle", "red"),), "yellow"), "background"),
        (Scene((Thing("circle", "red", place="left"), Thing("star", "red", place="right")), "white"), "number"),
    ],
)
def test_the_reader_tells_what_is_wrong(wrong, name):
    wanted = Scene((Thing("circle", "red"),), "white")
    found = agrees(read_scene(painted(wrong)), wanted)
    assert not found[name]
    assert name == "number" or all(value for other, value in found.items() if other != name)


def test_two_things_are_matched_in_any_order():
    scene = Scene((Thing("star", "blue", place="bottom"), Thing("ring", "black", place="top")), "pink")
    reading = read_scene(painted(scene))
    assert all(agrees(reading, scene).values())
    assert all(agrees(reading, Scene(scene.things[::-1], "pink")).values())
    swapped = tuple(Thing(t.shape, t.colour, place=p) for t, p in zip(scene.things, ("top", "bottom"), strict=True))
    assert not agrees(reading, Scene(swapped, "pink"))["place"]


def test_an_empty_picture_has_nothing_on_it():
    reading = read_scene(np.full((64, 64, 3), 128, np.uint8))
    assert reading.background == "gray" and reading.things == ()


@pytest.mark.parametrize("sky", list(SKIES))
@pytest.mark.parametrize("ground", list(GROUNDS))
def test_skies_and_grounds_are_read_and_told_apart(sky, ground):
    scene = Landscape(sky, ground, light=False, mountains=False, items=())
    picture = painted(scene)
    assert all(read_landscape(picture, scene).values())
    other_sky = next(name for name in SKIES if name != sky)
    assert not read_landscape(picture, Landscape(other_sky, ground, False, False, ()))["sky"]
    other_ground = "snow" if ground == "meadow" else "meadow"
    assert not read_landscape(picture, Landscape(sky, other_ground, False, False, ()))["ground"]


@pytest.mark.parametrize("kind", list(FIGURES))
def test_items_are_read_where_they_stand(kind):
    ground = "sea" if kind == "boat" else "meadow"
    colour = FIGURES[kind].colours[0]
    scene = Landscape("day", ground, False, False, (Item(kind, colour, "left"),))
    bare = Landscape("day", ground, False, False, ())
    assert read_landscape(painted(scene), scene)["item 1"]
    if kind != "boat":  # whose sail is white as clouds are
        assert not read_landscape(painted(bare), scene)["item 1"]


def test_landscapes_are_described_in_many_ways():
    rng = np.random.default_rng(6)
    landscapes = [draw_landscape(rng) for _ in range(40)]
    sentences = [one.describe(rng) for one in landscapes]
    assert len(set(sentences)) > 30
    assert not any("[" in sentence or " a o" in sentence or "  " in sentence for sentence in sentences)
    assert painted(landscapes[0], size=(48, 80)).shape == (48, 80, 3)


def test_shades_are_near_their_names():
    rng = np.random.default_rng(7)
    for name, colour in COLOURS.items():
        assert np.abs(np.subtract(shade(rng, name), colour)).max() < 40


def test_articles_and_slots():
    assert with_articles("a orange house on a hill, a apple") == "an orange house on a hill, an apple"
    assert filled("[a] and [b]", {"a": "one", "b": "two"}) == "one and two"
    assert set(PLACES) >= {"left", "right", "top", "bottom", "middle"}
