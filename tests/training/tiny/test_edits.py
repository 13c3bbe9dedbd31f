"""The tasks ace-tiny is trained on: what is given, and what comes out."""

import pytest
import torch

pytest.importorskip("skimage")
pytest.importorskip("sklearn")

from comfyui_ace.ace.lcu.frames import fit_frames
from comfyui_ace.ace.lcu.indicators import mentioned_images
from comfyui_ace.ace.lcu.units import resolve
from comfyui_ace.ace.pictures.resolution import Resolution
from comfyui_ace.training.tiny.world import operations
from comfyui_ace.training.tiny.world.colours import COLOURS
from comfyui_ace.training.tiny.world.edits import EDITS, MASKED
from comfyui_ace.training.tiny.world.examples import NAMES, ROUNDS, TASKS, Examples, all_instructions, strip_of
from comfyui_ace.training.tiny.world.phrasings import PHRASINGS, under_mask

SIZE = (48, 64)
EXAMPLES = Examples(seed=3)


def example(name, number=0):
    return EXAMPLES.of(name, number, SIZE)


def parts(example):
    """Images and masks of the present round, (H, W, 3) and (H, W), and the target."""
    images = [image.image[0] for image in example.context.unit.images]
    masks = [None if image.mask is None else image.mask[0] for image in example.context.unit.images]
    return images, masks, example.target[0]


@pytest.mark.parametrize("name", NAMES)
def test_every_task_gives_a_whole_example_of_the_size_asked_for(name):
    for number in range(2):
        one = example(name, number)
        images, masks, target = parts(one)
        assert one.task == name
        assert target.shape == (*SIZE, 3) and target.min() >= 0 and target.max() <= 1
        assert all(image.shape == (*SIZE, 3) for image in images)
        assert all(mask is None or (set(mask.unique().tolist()) <= {0.0, 1.0} and mask.any()) for mask in masks)
        instruction = one.context.unit.instruction
        assert instruction and sorted(mentioned_images(instruction)) == list(range(len(images)))
        assert "[" not in instruction
        assert len(one.context.history) == (ROUNDS[name][0] - 1 if name in ROUNDS else 0)
        assert len(strip_of(one)) == 4


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
    (image,), masks, target = parts(example(name, 1))
    assert masks == [None]
    torch.testing.assert_close(target, operation(image), atol=1e-4, rtol=0)


def test_warm_and_cool_move_red_against_blue():
    for name, sign in (("warm", 1), ("cool", -1)):
        changes = []
        for number in range(4):
            (image,), _, target = parts(example(name, number))
            change = (target - image).mean((0, 1))
            changes.append(sign * (change[0] - change[2]))
        assert min(changes) >= 0 and max(changes) > 0.05


def test_brighter_and_darker_keep_black_and_white():
    ramp = torch.linspace(0, 1, 9)[:, None, None].expand(9, 4, 3)
    for amount, compare in ((0.7, torch.gt), (-0.7, torch.lt)):
        changed = operations.brighten(ramp, amount)
        assert compare(changed[1:-1], ramp[1:-1]).all()
        assert torch.equal(changed[0], ramp[0]) and torch.equal(changed[-1], ramp[-1])


def roughness(image):
    return image.diff(dim=0).abs().mean() + image.diff(dim=1).abs().mean()


@pytest.mark.parametrize(("name", "sharper"), [("blur", False), ("deblur", True), ("sharpen", True)])
def test_sharpness_goes_the_right_way(name, sharper):
    (image,), _, target = parts(example(name, 2))
    assert (roughness(target) > roughness(image)) == sharper


def test_sharpening_leaves_flat_parts_alone():
    image = torch.full((16, 32, 3), 0.25)
    image[:, 16:] = 0.75
    sharp = operations.sharpen(image, 2.0, 2.0)
    assert torch.allclose(sharp[:, :6], image[:, :6], atol=0.01) and torch.allclose(
        sharp[:, -6:], image[:, -6:], atol=0.01
    )
    assert sharp[:, 15].max() < 0.2 and sharp[:, 16].min() > 0.8


def test_edges_are_bright_at_a_step_and_black_elsewhere():
    image = torch.zeros(16, 16, 3)
    image[:, 8:] = 1.0
    edges = operations.edges(image)
    assert edges[:, 7:9].min() > 0.9
    assert edges[:, :6].max() < 0.01 and edges[:, 10:].max() < 0.01


def test_posterise_leaves_four_levels_and_mosaic_flat_squares():
    (_,), _, poster = parts(example("posterise", 4))
    levels = torch.tensor([0, 1 / 3, 2 / 3, 1])
    assert (poster[..., None] - levels).abs().amin(-1).max() < 1e-6
    (image,), _, tiles = parts(example("mosaic", 4))
    assert torch.equal(tiles[:16, :16], tiles[0, 0].expand(16, 16, 3))
    torch.testing.assert_close(tiles[0, 0], image[:16, :16].mean((0, 1)))


@pytest.mark.parametrize("name", [*MASKED, "fill", "paste", "inpaint", "outpaint"])
def test_outside_the_mask_nothing_changes(name):
    for number in range(2):
        (image, *_), (mask, *_), target = parts(example(name, number))
        assert torch.equal(target[mask < 0.5], image[mask < 0.5])


def test_an_edit_under_a_mask_is_the_edit_everywhere_cut_out():
    (image,), (mask,), target = parts(example("masked_invert"))
    torch.testing.assert_close(target[mask > 0.5], 1 - image[mask > 0.5])
    assert set(MASKED) == {f"masked_{name}" for name in EDITS if not name.startswith("flip")}


def test_fill_paints_the_named_colour_with_and_without_what_lies_under_the_mask():
    ways = set()
    for number in range(8):
        one = example("fill", number)
        (_,), (mask,), target = parts(one)
        colour = torch.tensor(COLOURS[one.slots["colour"]]) / 255
        assert one.slots["colour"] in one.context.unit.instruction
        torch.testing.assert_close(target[mask > 0.5], colour.expand(int((mask > 0.5).sum()), 3))
        ways.add(one.context.unit.images[0].fill)
    assert ways == {"blank", "keep"}


def test_paste_takes_the_second_picture_inside_the_mask():
    (_, reference), (mask, none), target = parts(example("paste"))
    assert none is None
    assert torch.equal(target[mask > 0.5], reference[mask > 0.5])


@pytest.mark.parametrize("name", ["inpaint", "outpaint"])
def test_the_model_does_not_see_what_it_is_to_make_up(name):
    one = example(name)
    (frame,) = fit_frames(resolve(one.context), Resolution.exact(*SIZE))
    hole = frame.frame.mask[0] > 0.5
    assert (frame.image()[0][hole] == 0).all() and not (frame.image()[0][~hole] == 0).all()


def test_a_border_lies_along_the_edges_and_leaves_the_middle():
    for number in range(12):
        _, (mask,), _ = parts(example("outpaint", number))
        height, width = SIZE
        assert mask[height // 2, width // 2] == 0
        edge = torch.cat([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
        assert edge.any() and 0.05 < mask.mean() < 0.75


def test_lines_and_patches_are_given_and_the_picture_is_asked_for():
    for number in range(4):
        (lines,), _, target = parts(example("from_edges", number))
        assert lines.mean() < 0.4 and not torch.equal(lines, target)
        (patches,), _, target = parts(example("from_colours", number))
        assert torch.allclose(patches.mean((0, 1)), target.mean((0, 1)), atol=0.02)
        assert len(patches.flatten(0, 1).unique(dim=0)) < len(target.flatten(0, 1).unique(dim=0)) or target.std() < 0.2


def test_words_alone_have_no_picture():
    one = example("words")
    assert not one.context.unit.images and one.slots["caption"] in one.context.unit.instruction


def test_undo_asks_for_the_picture_before_the_last_round():
    for name, rounds in (("undo", 1), ("undo_of_two", 2)):
        for number in range(3):
            one = example(name, number)
            assert len(one.context.history) == rounds
            assert torch.equal(one.target, one.context.history[-1].images[0].image)
            assert not torch.equal(one.target, one.context.unit.images[0].image)


def test_a_later_round_edits_the_result_of_the_one_before_and_counts_indicators_through():
    resolved = resolve(example("three_rounds").context)
    assert resolved.rounds == 3 and len(resolved.frames) == 3 and resolved.target == 2
    assert [mentioned_images(frame.instruction) for frame in resolved.frames] == [[0], [1], [2]]


def test_a_number_always_gives_the_same_example():
    for place in ((3, 1), (0, 0), (17, 5)):
        one, two = (Examples(seed=5).draw(*place) for _ in range(2))
        assert one.task == two.task and one.context.unit.instruction == two.context.unit.instruction
        assert torch.equal(one.target, two.target)
    assert not torch.equal(Examples(seed=5).draw(3, 1).target, Examples(seed=6).draw(3, 1).target)


def test_a_batch_has_one_layout_and_neighbouring_batches_have_many():
    layouts = []
    for batch in range(24):
        drawn = [EXAMPLES.draw(batch, row) for row in range(3)]
        sizes = {tuple(one.target.shape) for one in drawn}
        frames = {len(resolve(one.context).frames) for one in drawn}
        assert len(sizes) == len(frames) == 1
        layouts.append((*sizes, *frames))
    assert len(set(layouts)) > 6
    (height, width) = zip(*((size[1], size[2]) for size, _ in layouts), strict=True)
    assert all(h % 16 == 0 == w % 16 and h * w <= 128 * 128 for h, w in zip(height, width, strict=True))


def test_tasks_are_drawn_as_often_as_their_shares_say():
    shares = dict.fromkeys(NAMES, 0.0) | {"invert": 3.0, "words": 1.0}
    examples = Examples(shares=shares)
    drawn = [examples.draw(batch, 0).task for batch in range(40)]
    assert set(drawn) == {"invert", "words"} and abs(drawn.count("words") - 10) <= 1


def test_unknown_tasks_and_empty_shares_are_told():
    with pytest.raises(ValueError, match="no task melt"):
        Examples(shares={"melt": 1.0})
    with pytest.raises(ValueError, match="no task 'melt'"):
        EXAMPLES.of("melt", 0)
    with pytest.raises(ValueError, match="all shares are 0"):
        Examples(shares=dict.fromkeys(NAMES, 0.0))
    with pytest.raises(ValueError, match="the split is 'test'"):
        Examples("test")


def test_every_task_is_said_in_several_ways_and_no_two_tasks_alike():
    asked = all_instructions()
    assert {meaning[0] for meaning in asked} == {*TASKS, "undo"} - {"words"}
    assert min(len(sentences) for sentences in asked.values()) >= 5
    said = [sentence for sentences in asked.values() for sentence in sentences]
    assert len(said) == len(set(said))
    assert len([meaning for meaning in asked if meaning[0] == "fill"]) == len(COLOURS)


def test_the_sentences_of_the_shipped_workflows_are_known():
    asked = {sentence for sentences in all_instructions().values() for sentence in sentences}
    assert {
        "invert the colors of {image}",
        "invert only the marked part of {image}",
        "fill the marked part of {image} with yellow",
        "{image} continue the picture into the new border",
        "fill the marked part of {image} with {image1}",
        "make {image} sepia",
        "brighten {image}",
    } <= asked
    assert "invert only the marked part of {image}" in under_mask("invert")
    assert all(sentence.count("{image}") == 1 for name in EDITS for sentence in PHRASINGS[name])
