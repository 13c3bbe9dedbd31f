"""The edits ace-tiny is trained on: what is given, and what comes out."""

import pytest
import torch

pytest.importorskip("skimage")
pytest.importorskip("sklearn")

from comfyui_ace.ace.lcu.indicators import mentioned_images
from comfyui_ace.ace.lcu.units import resolve
from comfyui_ace.training.tiny import operations
from comfyui_ace.training.tiny.edits import EDITS, NAMES, Examples, all_instructions, strip_of
from comfyui_ace.training.tiny.phrasings import COLOURS, PHRASINGS

SIZE = (48, 64)


def examples(*names, **options):
    return Examples(size=SIZE, edits=names, **{"two_rounds": 0.0, **options})


def parts(example):
    """Images and masks of the present round, (H, W, 3) and (H, W), and the target."""
    images = [image.image[0] for image in example.context.unit.images]
    masks = [None if image.mask is None else image.mask[0] for image in example.context.unit.images]
    return images, masks, example.target[0]


@pytest.mark.parametrize("name", NAMES)
def test_every_edit_gives_a_whole_example_of_the_size_asked_for(name):
    for index in range(3):
        example = examples(name)[index]
        images, masks, target = parts(example)
        assert example.edit == name
        assert target.shape == (*SIZE, 3) and target.min() >= 0 and target.max() <= 1
        assert all(image.shape == (*SIZE, 3) for image in images)
        assert all(mask is None or set(mask.unique().tolist()) == {0.0, 1.0} for mask in masks)
        instruction = example.context.unit.instruction
        assert sorted(mentioned_images(instruction)) == list(range(len(images)))
        assert "[" not in instruction
        assert len(strip_of(example)) == 4


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("invert", lambda image: 1 - image),
        ("flip_horizontally", lambda image: image[:, torch.arange(SIZE[1] - 1, -1, -1)]),
        ("flip_vertically", lambda image: image[torch.arange(SIZE[0] - 1, -1, -1)]),
        ("grayscale", lambda image: (image @ torch.tensor([0.299, 0.587, 0.114]))[..., None].expand(-1, -1, 3)),
    ],
)
def test_whole_picture_edits_do_what_they_say(name, operation):
    (image,), masks, target = parts(examples(name)[1])
    assert masks == [None]
    torch.testing.assert_close(target, operation(image), atol=1e-4, rtol=0)


def test_warm_and_cool_move_red_against_blue():
    for name, sign in (("warm", 1), ("cool", -1)):
        (image,), _, target = parts(examples(name)[0])
        change = (target - image).mean((0, 1))
        assert sign * (change[0] - change[2]) > 0.01


def test_brighter_and_darker_keep_black_and_white():
    ramp = torch.linspace(0, 1, 9)[:, None, None].expand(9, 4, 3)
    for amount, compare in ((0.7, torch.gt), (-0.7, torch.lt)):
        changed = operations.brighten(ramp, amount)
        assert compare(changed[1:-1], ramp[1:-1]).all()
        assert torch.equal(changed[0], ramp[0]) and torch.equal(changed[-1], ramp[-1])


def test_blur_and_deblur_are_each_other_backwards():
    (image,), _, blurred = parts(examples("blur")[2])
    (soft,), _, sharp = parts(examples("deblur")[2])
    assert torch.equal(image, sharp) and torch.equal(blurred, soft)
    assert blurred.diff(dim=1).abs().mean() < image.diff(dim=1).abs().mean()


def test_edges_are_bright_at_a_step_and_black_elsewhere():
    image = torch.zeros(16, 16, 3)
    image[:, 8:] = 1.0
    edges = operations.edges(image)
    assert edges[:, 7:9].min() > 0.9
    assert edges[:, :6].max() < 0.01 and edges[:, 10:].max() < 0.01


def test_posterise_leaves_four_levels_and_mosaic_flat_squares():
    (_,), _, poster = parts(examples("posterise")[4])
    levels = torch.tensor([0, 1 / 3, 2 / 3, 1])
    assert (poster[..., None] - levels).abs().amin(-1).max() < 1e-6
    (image,), _, tiles = parts(examples("mosaic")[4])
    assert torch.equal(tiles[:16, :16], tiles[0, 0].expand(16, 16, 3))
    torch.testing.assert_close(tiles[0, 0], image[:16, :16].mean((0, 1)))


def test_fill_paints_the_named_colour_inside_the_mask_only():
    shown = set()
    for index in range(8):
        example = examples("fill")[index]
        (image,), (mask,), target = parts(example)
        inside = mask > 0.5
        colour = torch.tensor(COLOURS[example.slots["colour"]]) / 255
        assert example.slots["colour"] in example.context.unit.instruction
        torch.testing.assert_close(target[inside], colour.expand(int(inside.sum()), 3))
        assert torch.equal(target[~inside], image[~inside])
        shown.add(bool((image[inside] == 0).all()))
    assert shown == {True, False}  # with the pixels under the mask and without


def test_masked_invert_changes_the_mask_only():
    (image,), (mask,), target = parts(examples("masked_invert")[0])
    inside = mask > 0.5
    assert torch.equal(target[~inside], image[~inside])
    torch.testing.assert_close(target[inside], 1 - image[inside])


def test_paste_takes_the_second_picture_inside_the_mask():
    (image, reference), (mask, none), target = parts(examples("paste")[0])
    inside = mask > 0.5
    assert none is None
    assert torch.equal(target[inside], reference[inside])
    assert torch.equal(target[~inside], image[~inside])


def test_undo_asks_for_the_picture_of_the_earlier_round():
    for index in range(4):
        example = examples("undo")[index]
        (earlier,) = example.context.history
        assert torch.equal(example.target, earlier.images[0].image)
        assert not torch.equal(example.target, example.context.unit.images[0].image)


def test_a_second_round_edits_the_result_of_the_first_and_counts_indicators_through():
    example = examples("invert", two_rounds=1.0)[0]
    (image,), _, target = parts(example)
    torch.testing.assert_close(target, 1 - image)
    resolved = resolve(example.context)
    assert resolved.rounds == 2 and len(resolved.frames) == 2
    assert mentioned_images(resolved.frames[0].instruction) == [0]
    assert mentioned_images(resolved.instruction) == [1]


def test_a_number_always_gives_the_same_example():
    one, two = Examples(size=SIZE, seed=5), Examples(size=SIZE, seed=5)
    for index in (3, 0, 7):
        assert one[index].edit == two[index].edit
        assert one[index].context.unit.instruction == two[index].context.unit.instruction
        assert torch.equal(one[index].target, two[index].target)
    assert len({Examples(size=SIZE)[index].edit for index in range(30)}) > 8


def test_unknown_edits_are_named():
    with pytest.raises(ValueError, match="sharpen"):
        Examples(edits=("sharpen",))


def test_every_edit_is_phrased_in_several_ways_and_none_is_said_twice():
    assert set(PHRASINGS) == {*EDITS, "undo"}
    said = [sentence for sentences in all_instructions().values() for sentence in sentences]
    assert min(len(sentences) for sentences in PHRASINGS.values()) >= 5
    assert len(said) == len(set(said))
    assert len(all_instructions()) == len(PHRASINGS) - 1 + len(COLOURS)
