"""What the benchmark of few evaluations asks: students learn from other scenes than they are asked for."""

from __future__ import annotations

from comfyui_ace.benchmarks.training.few_evaluations import ScenesFromWords, WideToy
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.tiny.measure.words import scene_prompts


def test_pairs_are_written_once_and_are_no_held_out_scenes(tmp_path):
    subject = ScenesFromWords(pairs=12)
    rows = list(Dataset(subject.write_pairs(tmp_path)).rows())
    assert [row.id for row in Dataset(subject.write_pairs(tmp_path)).rows()] == [row.id for row in rows]
    words = {row.instruction for row in rows}
    assert len(rows) == len(words) == 12 and all(row.split == "train" for row in rows)
    assert not words & {prompt.sentence for prompt in scene_prompts(200)}


def test_pairs_of_the_toy_are_inverted_pictures(tmp_path):
    dataset = Dataset(WideToy(pairs=3, side=64).write_pairs(tmp_path))
    pairs = [dataset.load(row) for row in dataset.rows()]
    assert len(pairs) == 3
    for pair in pairs:
        assert abs(pair.source.astype(int) + pair.target.astype(int) - 255).max() <= 1
