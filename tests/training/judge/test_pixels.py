"""The judge that needs no model: each fault is seen where it is, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from comfyui_ace.training.judge.pixels import (
    NAMES,
    Faults,
    describe_faults,
    faults_of,
    measure_faults,
    pixel_scores,
    unusual_faults,
)
from PIL import Image, ImageFilter
from scipy.ndimage import gaussian_filter

RANDOM = np.random.default_rng(0)


def scene(seed: int = 0, side: int = 192) -> np.ndarray:
    """Something like a photograph: soft shapes with edges and fine texture, and no end of the scale reached."""
    random = np.random.default_rng(seed)
    soft = gaussian_filter(random.normal(size=(side, side, 3)), (side / 10, side / 10, 0))
    soft /= np.abs(soft).max()
    edges = gaussian_filter(random.normal(size=(side, side)), 6)[..., None] > 0
    texture = gaussian_filter(random.normal(size=(side, side, 1)), (0.7, 0.7, 0))
    return (128 + 60 * soft + 35 * edges + 6 * texture).clip(8, 247).astype(np.uint8)


def edited(pixels: np.ndarray) -> np.ndarray:
    """A clean local edit: a patch in other colours."""
    result = pixels.copy()
    result[60:120, 60:120] = result[60:120, 60:120, ::-1]
    result[60:120, 60:120, 0] //= 2
    return result


def noisy(pixels):
    return (pixels + np.random.default_rng(1).normal(0, 14, pixels.shape)).clip(0, 255).astype(np.uint8)


def blurred(pixels):
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(2.5)))


def overexposed(pixels):
    return (pixels.astype(float) * 1.9).clip(0, 255).astype(np.uint8)


def posterised(pixels):
    return (pixels // 32 * 32 + 16).astype(np.uint8)


def shifted(pixels):
    return np.roll(pixels, (11, 17), (0, 1))


def squeezed(pixels):
    return np.asarray(Image.fromarray(pixels).resize((pixels.shape[1], round(pixels.shape[0] * 0.85))))


SPOILT = {
    "noise": noisy,
    "blur": blurred,
    "clipping": overexposed,
    "banding": posterised,
    "moved": shifted,
    "shape": squeezed,
}


def test_a_clean_edit_has_no_fault():
    for seed in range(4):
        found = measure_faults(scene(seed), edited(scene(seed))).as_dict()
        assert max(found.values()) < 0.15, found


@pytest.mark.parametrize("fault", SPOILT)
def test_each_fault_is_seen(fault):
    for seed in range(3):
        found = measure_faults(scene(seed), SPOILT[fault](edited(scene(seed))))
        assert getattr(found, fault) > 0.4, found
        assert getattr(measure_faults(scene(seed), edited(scene(seed))), fault) < 0.15


def test_a_result_that_is_the_source_again_is_unchanged():
    assert measure_faults(scene(), scene()).unchanged == 1.0
    assert measure_faults(scene(), edited(scene())).unchanged == 0.0


def test_a_small_edit_is_a_change():
    small = scene()
    small[20:40, 20:40] = 255 - small[20:40, 20:40]
    assert measure_faults(scene(), small).unchanged == 0.0


def test_change_outside_the_mask_spills():
    mask = np.zeros(scene().shape[:2], np.uint8)
    mask[60:120, 60:120] = 255
    assert measure_faults(scene(), edited(scene()), mask).spill == 0.0
    everywhere = (edited(scene()).astype(int) + 30).clip(0, 255).astype(np.uint8)
    assert measure_faults(scene(), everywhere, mask).spill > 0.4
    assert measure_faults(scene(), everywhere, np.full_like(mask, 255)).spill == 0.0


def test_a_picture_from_words_alone_is_judged_by_itself():
    found = measure_faults(None, scene())
    assert found.unchanged == found.moved == 0.0 and found.banding < 0.1
    assert measure_faults(None, posterised(scene())).banding > 0.4


@pytest.mark.parametrize("side", [1, 3, 17])
def test_tiny_and_flat_pictures_have_finite_numbers(side):
    flat = np.full((side, side, 3), 90, np.uint8)
    for result in (flat, 255 - flat):
        assert all(0 <= value <= 1 for value in measure_faults(flat, result).as_dict().values())


def test_what_a_workflow_does_to_all_pairs_is_no_fault():
    soft = {f"soft{n}": Faults(blur=0.6) for n in range(9)}
    scores = pixel_scores({**soft, "softer": Faults(blur=0.9)}, dict.fromkeys([*soft, "softer"], "blur workflow"))
    assert scores["soft0"] == 10.0 and scores["softer"] == pytest.approx(10 * (1 - 0.3 / 0.5))
    alone = pixel_scores({"one": Faults(blur=0.6)}, {"one": "t"})
    assert alone["one"] == pytest.approx(4.0), "of one or two pairs nothing can be called usual"


def test_a_task_whose_pairs_differ_tolerates_what_lies_within():
    blurs = (0.1, 0.2, 0.2, 0.3, 0.3, 0.3, 0.4, 0.5, 0.6)
    pairs = {str(n): Faults(blur=blur) for n, blur in enumerate(blurs)}
    assert set(pixel_scores(pairs, {}).values()) == {10.0}
    alike = {str(n): Faults(blur=0.3) for n in range(8)} | {"8": Faults(blur=0.6)}
    assert pixel_scores(alike, {})["8"] < 6, "where all others are alike, the same blur stands out"


def test_a_third_spoilt_in_one_way_does_not_become_usual():
    pairs = {str(n): Faults(noise=0.02 * (n % 4)) for n in range(20)} | {
        f"bad{n}": Faults(noise=0.8) for n in range(10)
    }
    scores = pixel_scores(pairs, {})
    assert min(scores[str(n)] for n in range(20)) > 9 and max(scores[f"bad{n}"] for n in range(10)) < 5


def test_colours_at_an_end_are_no_lost_drawing():
    warm = scene().astype(float) * (1.8, 1.0, 0.5)
    assert (warm[..., 0] > 255).mean() > 0.3
    assert measure_faults(scene(), warm.clip(0, 255).astype(np.uint8)).clipping < 0.02
    lamps = scene()
    lamps[:, :60] = 255
    assert measure_faults(lamps, lamps).clipping == 0.0, "white in the source already"


def test_a_negative_that_has_shifted_is_seen():
    assert measure_faults(scene(), 255 - shifted(scene())).moved > 0.4
    assert measure_faults(scene(), 255 - scene()).moved == 0.0


def test_faults_are_said_as_an_artist_says_them():
    assert describe_faults(Faults(blur=0.82, noise=0.1, moved=0.01)) == "detail lost 82 %, grain added 10 %"
    assert describe_faults(Faults()) == ""
    beyond = unusual_faults({**{str(n): Faults(blur=0.3) for n in range(4)}, "x": Faults(blur=0.65)}, {})
    assert describe_faults(beyond["0"]) == "" and describe_faults(beyond["x"]) == "detail lost 50 %"


def test_a_slight_tint_outside_the_mask_is_no_whole_spill_and_a_change_of_tone_is():
    mask = np.zeros(scene().shape[:2], np.uint8)
    mask[60:120, 60:120] = 255
    inside = scene()
    inside[60:120, 60:120] = 255 - inside[60:120, 60:120]
    tinted = inside.copy()
    tinted[mask == 0] += 2
    assert measure_faults(scene(), tinted, mask).spill < 0.1
    toned = inside.copy()
    toned[mask == 0] = (toned[mask == 0] * 0.8).astype(np.uint8)
    assert measure_faults(scene(), toned, mask).spill > 0.4


def test_no_change_is_a_fault_even_if_all_have_it():
    pairs = {str(n): Faults(unchanged=1.0) for n in range(9)}
    assert set(pixel_scores(pairs, {}).values()) == {0.0}


def test_rows_of_another_version_are_measured_anew():
    group = {"prompt": "1", "o_score": 9.0, **Faults(noise=0.25).as_dict()}
    assert faults_of({"pixels": group}) == Faults(noise=0.25)
    assert faults_of({"pixels": {**group, "prompt": "0"}}) is None and faults_of({}) is None
    assert faults_of({"pixels": dict.fromkeys(NAMES, 0.0)}) is None
