"""Each check rejects what it is for, passes what it is not for, and has its number and its switch."""

import numpy as np
import pytest
from comfyui_ace.training.dataset.disk.perceptual_hash import PerceptualHashTable, perceptual_hash
from comfyui_ace.training.dataset.intake.checks import CheckSettings, run_checks
from comfyui_ace.training.dataset.intake.prepare import prepare
from pair_factory import half_mask, pair, picture
from PIL import Image
from pydantic import ValidationError


def smooth(seed: int, side: int = 64) -> np.ndarray:
    """(side, side, 3) uint8 with large shapes, as photographs have; noise has no perceptual hash worth the name."""
    coarse = Image.fromarray(picture(seed, 6, 6))
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))


def found(changed_pair, **settings) -> list[str]:
    return [finding.check for finding in run_checks(prepare(changed_pair), CheckSettings(**settings))]


def test_a_good_pair_has_no_findings():
    assert found(pair(0)) == []
    assert found(pair(0, masks=[np.full((24, 32), 255, np.uint8)])) == []
    assert found(pair(0, source=None)) == []


def test_no_op_by_mean_and_by_block():
    source = smooth(0)
    assert found(pair(0, source=source, target=source)) == ["no_op"]
    noisy = np.clip(source.astype(int) + np.random.default_rng(0).integers(-1, 2, source.shape), 0, 255)
    assert found(pair(0, source=source, target=noisy.astype(np.uint8))) == ["no_op"]
    local = source.copy()
    local[:8, :8] = 255 - local[:8, :8]  # a fiftieth of the picture, plainly an edit
    assert found(pair(0, source=source, target=local)) == []
    assert found(pair(0, source=source, target=source), no_op=False) == []
    assert found(pair(0, source=source, target=local), no_op_mean=50.0, no_op_block=255.0) == ["no_op"]


def test_a_finding_gives_value_and_limit():
    (finding,) = run_checks(prepare(pair(0, target=picture(0))), CheckSettings())
    assert (finding.check, finding.value, finding.limit) == ("no_op", 0.0, 1.0)
    assert "0.00 levels" in finding.message
    assert finding.to_dict()["value"] == 0.0


def test_size_and_aspect():
    bigger = picture(1, 48, 64)
    wider = picture(1, 24, 40)
    rounded = picture(1, 1016, 1016)
    assert found(pair(0, target=bigger)) == ["size"]
    assert found(pair(0, target=bigger), size=False) == []
    assert found(pair(0, target=bigger), size_tolerance=1.0) == []
    assert found(pair(0, target=wider), size=False) == ["aspect"]
    assert found(pair(0, target=wider), size=False, aspect=False) == []
    assert found(pair(0, source=picture(2, 1023, 1020), target=rounded)) == []


def test_a_no_op_is_found_through_a_resize():
    source = smooth(3)
    small = np.asarray(Image.fromarray(source).resize((32, 32), Image.Resampling.BICUBIC))
    assert "no_op" in found(pair(0, source=source, target=small), no_op_mean=4.0)


def test_blank_pictures():
    flat = np.full((24, 32, 3), 77, dtype=np.uint8)
    assert found(pair(0, target=flat)) == ["blank"]
    assert found(pair(0, source=flat)) == ["blank"]
    assert found(pair(0, references=[flat])) == ["blank"]
    assert found(pair(0, target=flat), blank=False) == []
    colour_only = flat.copy()
    colour_only[:, 16:] = (200, 10, 77)
    assert found(pair(0, target=colour_only)) == []


def test_nan():
    bad = picture(0).astype(np.float32) / 255
    bad[0, 0] = np.nan
    (finding,) = run_checks(prepare(pair(0, target=1 - bad)), CheckSettings())
    assert finding.check == "non_finite" and "target" in finding.message
    assert finding.value == pytest.approx(3 / bad.size)
    assert found(pair(0, target=1 - bad), non_finite=False) == []
    assert found(pair(0, target=1 - bad), non_finite_share=0.01) == []


def test_mask_that_excludes_the_change():
    source, mask = smooth(1), half_mask(64, 64)
    inside, outside = source.copy(), source.copy()
    inside[:, :32] = 255 - inside[:, :32]
    outside[:, 32:] = 255 - outside[:, 32:]
    assert found(pair(0, source=source, target=inside, masks=[mask])) == []
    assert found(pair(0, source=source, target=outside, masks=[mask])) == ["mask"]
    assert found(pair(0, source=source, target=outside, masks=[mask]), mask=False) == []
    assert found(pair(0, source=source, target=outside, masks=[np.zeros_like(mask)])) == ["mask"]
    both = np.where(mask[:, :, None] == 255, inside, np.clip(source.astype(int) + 3, 0, 255)).astype(np.uint8)
    assert found(pair(0, source=source, target=both, masks=[mask])) == []
    assert found(pair(0, source=source, target=both, masks=[mask]), mask_ratio=0.0) == ["mask"]


def test_a_mask_must_fit_its_picture():
    assert found(pair(0, masks=[half_mask(10, 10)])) == ["mask_size"]
    assert found(pair(0, references=[picture(9, 8, 8)], masks=[None, half_mask()])) == ["mask_size"]
    assert found(pair(0, references=[picture(9, 8, 8)], masks=[None, half_mask(8, 8)])) == []


def test_unknown_settings_are_refused():
    with pytest.raises(ValidationError, match="no_opp"):
        CheckSettings(no_opp=False)
    with pytest.raises(ValidationError):
        CheckSettings(near_duplicate_bits=-1)


def test_fingerprints_tell_pictures_apart_but_not_encodings():
    def distance(left, right, colour=255.0):
        table = PerceptualHashTable()
        table.add("left", perceptual_hash(left) * 2)
        found = table.find_similar(perceptual_hash(right) * 2, 128, colour)
        return found[0][1] if found else None

    photo = smooth(0, 256)
    smaller = np.asarray(Image.fromarray(photo).resize((200, 200), Image.Resampling.LANCZOS))
    noisy = np.clip(photo.astype(int) + np.random.default_rng(0).integers(-3, 4, photo.shape), 0, 255).astype(np.uint8)
    assert distance(photo, smaller) <= 2 and distance(photo, noisy) <= 2
    assert min(distance(photo, smooth(seed, 256)) for seed in range(1, 40)) > 10
    tinted = np.clip(photo * np.array([1.0, 0.7, 0.7]), 0, 255).astype(np.uint8)
    assert distance(photo, tinted, colour=3.0) is None


def test_the_table_returns_those_that_are_alike_of_many_most_alike_first():
    table = PerceptualHashTable()
    hashes = [perceptual_hash(smooth(seed)) * 2 for seed in range(50)]
    for number, entry in enumerate(hashes):
        table.add(f"p{number}", entry)
    near = bytearray(hashes[7])
    near[0] ^= 1
    table.add("near", bytes(near))
    assert table.find_similar(hashes[7], 1, 3.0) == [("p7", 0), ("near", 1)]
    assert table.find_similar(bytes(near), 1, 3.0) == [("near", 0), ("p7", 1)]
    assert all(table.find_similar(entry, 0, 3.0) == [(f"p{number}", 0)] for number, entry in enumerate(hashes))
