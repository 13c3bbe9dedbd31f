"""What the two turns compare in whole runs: functions of two pictures, and vision encoders."""

from __future__ import annotations

import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from comfyui_ace.cli import main
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.match.descriptors.registry import make_descriptor
from comfyui_ace.training.match.embed.records import decode_reduced
from comfyui_ace.training.match.link.relation import Window
from comfyui_ace.training.match.similarity.described import FunctionSimilarity
from picture_collections import contents, encoded, find, photograph, sets_by_name, write_groups
from PIL import Image


def test_a_second_turn_divides_what_the_first_has_linked(tmp_path):
    """Alike in layout, and the function tells the bright from the dark."""
    folder = tmp_path / "p"
    folder.mkdir()
    picture = photograph(4)
    for number, light in enumerate((1.0, 0.97, 0.94, 0.4, 0.38)):
        shown = picture.point(lambda value, light=light: int(value * light))
        (folder / f"{number}.png").write_bytes(encoded(shown, "PNG"))
    (tmp_path / "light.py").write_text(
        "def equal(one, other):\n    return 1 - abs(float(one.mean()) - float(other.mean())) / 255\n"
    )
    one = find(folder, tmp_path / "run", near_copies=False)
    assert [len(names) for names in sets_by_name(one.sets).values()] == [5]
    two = find(
        folder,
        tmp_path / "run",
        near_copies=False,
        similarity=f"{tmp_path / 'light.py'}:equal",
        second_window=Window(0.9),
    )
    assert sorted(sets_by_name(two.sets).values()) == [["0.png", "1.png", "2.png"], ["3.png", "4.png"]]
    _, tested = contents(two.sets, two.pairs)
    assert len(tested) == 4 and all(len(scores) == 2 and scores[1] > 0.9 for *_, scores in tested)
    assert two.counts["compared"] == 10


def test_a_large_group_is_compared_with_few_pictures_in_memory(tmp_path, monkeypatch):
    """One picture that becomes another, and lighter, each step compared with its nearest by a function."""
    (tmp_path / "p").mkdir()
    first, last = (np.asarray(photograph(number), dtype=np.float32) / 2 for number in (0, 4))
    for number in range(40):
        step = first + (last - first) * number / 39 + 2 * number
        (tmp_path / "p" / f"{number:02d}.png").write_bytes(encoded(Image.fromarray(step.astype(np.uint8)), "PNG"))
    (tmp_path / "near.py").write_text("def near(one, other):\n    return 1 - abs(one.mean() - other.mean()) / 255\n")
    changes = {"near_copies": False, "window": Window(-1), "most_compared": 6, "second_window": Window(0.96)}
    changes["similarity"] = f"{tmp_path / 'near.py'}:near"
    read, alive = [], []

    class Counting(FunctionSimilarity):
        def looks(self, pictures):
            read.extend(map(weakref.ref, pictures))
            return super().looks(pictures)

        def compare(self, one, other):
            alive.append(sum(picture() is not None for picture in read))
            return super().compare(one, other)

    whole = find(tmp_path / "p", tmp_path / "whole", **changes)
    monkeypatch.setattr("comfyui_ace.training.match.similarity.registry.FunctionSimilarity", Counting)
    monkeypatch.setattr(FunctionSimilarity, "most_looks", 10)
    few = find(tmp_path / "p", tmp_path / "few", **changes)
    assert contents(few.sets, few.pairs) == contents(whole.sets, whole.pairs) and few.counts == whole.counts
    assert whole.counts["compared"] > 120 and max(alive) <= 11
    assert 40 <= len(read) < 80  # those that are compared with each other come soon after each other


def save_encoder(folder: Path) -> None:
    """A tiny SigLIP with random weights, as transformers writes it."""
    from transformers import SiglipVisionConfig, SiglipVisionModel

    torch.manual_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = SiglipVisionModel(SiglipVisionConfig(**size, image_size=32, patch_size=8))
    with torch.no_grad():  # starting weights make all pictures alike
        for value in model.parameters():
            value.copy_(torch.randn(value.shape) * 0.2)
    model.save_pretrained(folder)


@pytest.mark.parametrize("file", ["", "model.safetensors"])
def test_a_vision_encoder_from_pictures_to_pairs(tmp_path, file):
    """A folder with config.json, and a single file as in models/clip_vision."""
    write_groups(tmp_path / "p", [3, 2, 2])
    (tmp_path / "p" / "broken.jpg").write_bytes(b"\xff\xd8 and then nothing")
    save_encoder(tmp_path / "siglip")
    encoder = tmp_path / "siglip" / file
    places = ["match", str(tmp_path / "p"), "-o", str(tmp_path / "run"), "--root", str(tmp_path), "--dataset", "pairs"]
    compared = ["--descriptor", str(encoder), "--window=-0.99", "--similarity", f"object:{encoder}:-0.99"]
    assert main([*places, *compared, "--device", "cpu", "--workers", "1", "--per-picture", "99"]) == 0
    rows, described = list(Dataset(tmp_path / "pairs").rows()), make_descriptor(str(encoder))
    vectors = {}
    for path in (tmp_path / "p").glob("g*.jpg"):
        pixels, _ = decode_reduced(path.read_bytes(), described.side)
        [vectors[path.name]] = described.describe([described.prepare(pixels)])
    cosines = [float(vectors[row.origin["sources"]] @ vectors[row.origin["target"]]) for row in rows]
    assert len(rows) == 7 * 6 / 2 and max(cosines) - min(cosines) > 0.1
    for row, cosine in zip(rows, cosines, strict=True):
        assert row.scores["match"]["features"] == pytest.approx(cosine, abs=2e-3)  # vectors are kept as float16
        assert row.scores["match"]["object"] > cosine - 0.1  # the whole pictures, decoded larger, are among the parts
        assert row.origin["descriptor"] == described.name
