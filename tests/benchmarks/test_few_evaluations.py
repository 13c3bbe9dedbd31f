"""What the benchmark of few evaluations asks: students learn from other scenes than they are asked for."""

from __future__ import annotations

from comfyui_ace.benchmarks.training import few_evaluations
from comfyui_ace.benchmarks.training.few_evaluations import ScenesFromWords, WideToy
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.tiny.measure.words import scene_prompts
from comfyui_ace.training.tiny.world.scenes import draw_scene, is_held_out


def test_pairs_are_no_held_out_scenes_and_a_cut_off_dataset_is_gone_on_with(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(few_evaluations, "draw_scene", lambda rng: drawn.append(draw_scene(rng)) or drawn[-1])
    ScenesFromWords(pairs=7).write_pairs(tmp_path)
    rows = list(Dataset(ScenesFromWords(pairs=12).write_pairs(tmp_path)).rows())
    assert len(drawn) == len(rows) == 12 and all(row.split == "train" for row in rows)
    whole = Dataset(ScenesFromWords(pairs=12).write_pairs(tmp_path / "at once"))
    assert [row.instruction for row in whole.rows()] == [row.instruction for row in rows]
    assert not any(is_held_out(thing, scene.background) for scene in drawn for thing in scene.things)
    asked = [prompt.meaning for prompt in scene_prompts(50)]
    assert all(is_held_out(thing, scene.background) for scene in asked for thing in scene.things)


def test_pairs_of_the_toy_are_inverted_pictures(tmp_path):
    dataset = Dataset(WideToy(pairs=3, side=64).write_pairs(tmp_path))
    pairs = [dataset.load(row) for row in dataset.rows()]
    assert len(pairs) == 3
    for pair in pairs:
        assert abs(pair.source.astype(int) + pair.target.astype(int) - 255).max() <= 1
