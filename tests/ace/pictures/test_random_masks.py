"""Random masks: seeded, never empty, within the coverage asked for."""

import math

import pytest
import torch
from comfyui_ace.ace.pictures.random_masks import KINDS, STYLES, random_masks
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(max_examples=60)
@given(
    st.integers(1, 8192),
    st.integers(1, 8),
    st.booleans(),
    st.sampled_from(KINDS),
    st.sampled_from(sorted(STYLES)),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.integers(0, 2**64 - 1),
)
def test_coverage_holds_for_every_size(long, short, upright, kind, style, bounds, seed):
    height, width = (long, short) if upright else (short, long)
    coverage = min(bounds), max(bounds)
    mask = random_masks(height, width, seed=seed, kind=kind, style=style, coverage=coverage)
    assert mask.shape == (1, height, width) and set(mask.unique().tolist()) <= {0.0, 1.0}
    least = max(1, math.ceil(coverage[0] * height * width))
    assert least <= mask.sum() <= max(least, math.floor(coverage[1] * height * width))


@pytest.mark.parametrize("kind", KINDS)
def test_seed_decides_and_batches_hold_single_draws(kind):
    batch = random_masks(90, 120, count=4, seed=7, kind=kind)
    singles = torch.cat([random_masks(90, 120, seed=7 + index, kind=kind) for index in range(4)])
    assert torch.equal(batch, singles)
    assert len({tuple(mask.flatten().tolist()) for mask in batch}) == 4


def test_the_global_generator_is_left_alone():
    state = torch.get_rng_state()
    random_masks(64, 64, seed=3)
    assert torch.equal(torch.get_rng_state(), state)


def test_one_box_is_a_box_and_grows_with_the_picture():
    for side in (128, 512):
        mask = random_masks(side, side, kind="boxes", style="thick", shapes=(1, 1))[0]
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        assert mask.sum() == len(rows) * len(columns)
        assert 30 * side / 256 <= len(rows) <= 150 * side / 256
        assert rows.min() >= 10 * side // 256


def test_thicker_styles_have_thicker_strokes():
    from comfyui_ace.ace.pictures.morphology import grow

    left = [grow(random_masks(256, 256, count=8, kind="strokes", style=style), -8).sum() for style in STYLES]
    assert left[0] < left[1] < left[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "circles"}, "mixed, strokes, boxes"),
        ({"style": "fat"}, "thin, medium, thick"),
        ({"coverage": (0.5, 0.2)}, "least <= most"),
        ({"shapes": (0, 3)}, "1 <= least"),
        ({"count": 0}, "at least 1"),
    ],
)
def test_impossible_wishes_are_explained(options, message):
    with pytest.raises(ValueError, match=message):
        random_masks(16, 16, **options)
