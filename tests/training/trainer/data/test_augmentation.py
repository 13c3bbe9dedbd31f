"""Augmentation: what a view shows, that its pictures and masks stay together, which views a batch has, and old runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from comfyui_ace.ace.pictures.fit import published_fit
from comfyui_ace.ace.pictures.resolution import Resolution
from comfyui_ace.training.dataset.disk.images import read_image
from comfyui_ace.training.dataset.store import Dataset, Pair
from comfyui_ace.training.trainer.data.augmentation import cropped_fit, make_views, with_views
from comfyui_ace.training.trainer.data.encoding import fitted_pixels
from comfyui_ace.training.trainer.data.examples import ExampleSettings, make_examples
from comfyui_ace.training.trainer.data.file_index import FileIndex
from comfyui_ace.training.trainer.errors import ConfigError
from pair_factory import half_mask, picture
from trainer_runs import assert_equal_tensors, checkpoint, losses, metrics, run, workshop_fixture  # noqa: F401


@pytest.fixture
def examples(tmp_path):
    """One pair with a mask on the left half, one of two pictures of one size, one of two sizes; no picture is scaled."""
    dataset = Dataset.create(tmp_path, "pairs")
    size = (32, 64)
    for seed, more in enumerate(
        ({"masks": [half_mask(*size)]}, {"references": [picture(9, *size)]}, {"references": [picture(8, 32, 32)]})
    ):
        source = picture(seed, *size)
        dataset.append(Pair(source=source, target=255 - source, instruction="a negative", **more))
    dataset.rewrite(lambda row: replace(row, split="train"))
    return make_examples([dataset.folder], Resolution.published(1024), FileIndex(None), ExampleSettings())


def shown(item) -> np.ndarray:
    """A picture's pixels as integers."""
    return (fitted_pixels(item)[0] * 255).round().to(torch.uint8).numpy()


@pytest.mark.parametrize(("flip", "axes"), [("h", (1,)), ("v", (0,)), ("hv", (0, 1))])
def test_all_pictures_of_a_pair_are_flipped_alike(examples, flip, axes):
    masked, two, _ = examples.train
    for example in (masked, two):
        views = {one.target.flip: one for one in make_views(example, ["hflip", "vflip"]).whole}
        assert list(views) == ["", "h", "v", "hv"]
        view = views[flip]
        for before, after in zip((example.target, *example.references), (view.target, *view.references), strict=True):
            assert (shown(after) == np.flip(shown(before), axes)).all()
    mask = fitted_pixels({one.target.flip: one for one in make_views(masked, ["hflip"]).whole}["h"].masks[0])
    assert mask[0, :, :4].sum() == 0 and mask[0, :, 4:].all()  # it was on the left


def test_crops_are_parts_at_the_same_scale_and_lie_on_each_other(examples):
    _, two, uneven = examples.train
    views = make_views(two, ["crop"])
    assert len(views.whole) == 1 and len({one.target.fit for one in views.cropped}) == 4
    for view in views.cropped:
        box, fit = view.target.fit.crop, view.target.fit
        assert (fit.height, fit.width) == (box.height, box.width) == (16, 48)
        whole = read_image(two.references[1].path).pixels
        assert (shown(view.references[1]) == whole[box.rows, box.columns]).all()
        assert all(item.fit == fit for item in view.references)
    assert make_views(uneven, ["crop"]).cropped == ()  # the second picture does not lie on the first


def test_a_crop_of_a_picture_that_is_scaled_down_keeps_its_scale():
    fit = published_fit(1000, 1500, 1024)
    part = cropped_fit(fit, (1, 1))
    assert part.height % 16 == part.width % 16 == 0 and part.height < fit.height and part.width < fit.width
    for scaled, cut, whole, before in (
        (part.height, part.crop.height, fit.height, fit.crop.height),
        (part.width, part.crop.width, fit.width, fit.crop.width),
    ):
        assert scaled / cut == pytest.approx(whole / before, rel=0.01)
    assert part.crop.top + part.crop.height == fit.crop.top + fit.crop.height


def test_each_dataset_is_decided_by_itself_and_the_reason_is_said(examples):
    found, notes = with_views(examples, "auto")
    assert found.views == () and len(notes) == 2 and "too few to judge" in notes[0]  # three pairs
    every, none = with_views(examples, ["hflip"])
    assert none == [] and [len(one.whole) for one in every.views] == [2, 2, 2]
    assert every.digest != examples.digest and with_views(examples, "off")[0].digest == examples.digest


# -- runs ------------------------------------------------------------------------------------------------------------


def test_a_run_sees_every_view_and_goes_on_bit_for_bit(workshop, tmp_path):
    settings = {"steps": 6, "data__augment": ["hflip", "vflip", "crop"], "data__cache": str(tmp_path / "cache")}
    whole = run(workshop.config(tmp_path / "whole", **settings))
    first = run(workshop.config(tmp_path / "halves", **settings), stop_at=3)
    second = run(workshop.config(tmp_path / "halves", **settings))
    assert losses(first) + losses(second) == losses(whole)
    assert_equal_tensors(checkpoint(tmp_path / "halves", 6), checkpoint(tmp_path / "whole", 6))
    plain = run(workshop.config(tmp_path / "plain", **{**settings, "data__augment": "off"}))
    assert losses(plain) != losses(whole)
    assert {line["event"] for line in metrics(tmp_path / "whole")} == {"step"}


def test_what_is_not_flipped_has_the_keys_of_earlier_versions(workshop, tmp_path):
    settings = {"steps": 1, "data__cache": str(tmp_path / "cache")}
    run(workshop.config(tmp_path / "plain", **settings))
    before = set((tmp_path / "cache").rglob("*.safetensors"))
    run(workshop.config(tmp_path / "flipped", **settings, data__augment=["hflip"]))
    after = set((tmp_path / "cache").rglob("*.safetensors"))
    assert before < after
    modified = {path: path.stat().st_mtime_ns for path in before}
    run(workshop.config(tmp_path / "again", **settings, data__augment=["hflip"]))
    assert set((tmp_path / "cache").rglob("*.safetensors")) == after
    assert {path: path.stat().st_mtime_ns for path in before} == modified


def test_unknown_augmentations_are_refused(workshop, tmp_path):
    with pytest.raises(ConfigError, match=r"data\.augment"):
        workshop.config(tmp_path / "run", data__augment=["rotate"])


@pytest.mark.parametrize("subset", ["first half", "second half"])
def test_halves_share_no_pair_and_keep_what_is_held_out(workshop, subset):
    index, settings = FileIndex(None), ExampleSettings()
    resolution = Resolution.published(1024)
    every = make_examples([workshop.dataset], resolution, index, settings)
    one, other = (
        make_examples([workshop.dataset], resolution, index, replace(settings, subset=name))
        for name in ("first half", "second half")
    )
    ids = [{example.id for example in part.train} for part in (every, one, other)]
    assert ids[1] | ids[2] == ids[0] and not ids[1] & ids[2] and min(map(len, ids)) >= 3
    assert one.validation == other.validation == every.validation
    assert sum(one.left_out.values()) == len(ids[2])
