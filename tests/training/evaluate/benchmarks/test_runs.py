"""Benchmarks: runs that resume, shards, the table."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
import torch
from benchmark_sets import noise, sessions_of
from comfyui_ace.ace.model.sampler import check_finite
from comfyui_ace.ace.pictures.image_files import load_picture
from comfyui_ace.cli import main
from comfyui_ace.training.evaluate.benchmarks import generation, scoring
from comfyui_ace.training.evaluate.benchmarks.page import describe_table, write_benchmark
from comfyui_ace.training.evaluate.benchmarks.published import PUBLISHED, published
from comfyui_ace.training.evaluate.benchmarks.readers import BENCHMARKS
from comfyui_ace.training.evaluate.benchmarks.sessions import Session, Turn
from comfyui_ace.training.evaluate.errors import EvaluationError
from comfyui_ace.training.evaluate.metrics.encoders import load_clip
from comfyui_ace.training.evaluate.metrics.similarity import Mean, Several, Undefined
from comfyui_ace.training.evaluate.profiles.profile import Tools
from comfyui_ace.training.evaluate.profiles.registry import find_profile
from PIL import Image
from tiny_encoders import save_clip, save_clip_vision
from trainer_runs import workshop_fixture  # noqa: F401


class Editor:
    """A model that inverts, and remembers what it was asked."""

    def __init__(self, fail_at=None):
        self.asked, self.opened, self.fail_at = [], 0, fail_at
        self.lock = threading.Lock()

    def open(self):
        self.opened += 1
        return self

    def __call__(self, context, seed):
        with self.lock:
            self.asked.append((context, seed))
            if self.fail_at == len(self.asked):
                raise RuntimeError("out of memory")
        pixels = ((1 - context.unit.images[0].image[0]) * 255).round().byte().numpy()
        return Image.fromarray(np.ascontiguousarray(pixels))


def words(context):
    return [unit.instruction for unit in context.units]


def test_single_turns_start_from_the_truth(magicbrush, tmp_path):
    editor = Editor()
    assert generation.generate(sessions_of("magicbrush", magicbrush), "single", tmp_path / "out", [editor.open])
    assert sorted(words(context) for context, _ in editor.asked) == [
        ["{image} add a hat"],
        ["{image} make it red"],
        ["{image} remove it"],
    ]
    result = load_picture(tmp_path / "out" / "single" / "100-2.png")
    truth = load_picture(magicbrush / "images" / "100" / "100-output1.png")
    assert np.allclose(result, 1 - truth, atol=1e-6)


@pytest.mark.parametrize("setting", ["multi", "history"])
def test_chained_turns_start_from_the_models_own_result(magicbrush, tmp_path, setting):
    editor = Editor()
    generation.generate(sessions_of("magicbrush", magicbrush), setting, tmp_path, [editor.open])
    second = next(context for context, _ in editor.asked if "make it red" in context.unit.instruction)
    assert words(second) == (["{image} add a hat"] if setting == "history" else []) + ["{image} make it red"]
    first = load_picture(tmp_path / setting / "100-1.png")
    assert np.allclose(second.unit.images[0].image, first, atol=1e-6)
    source = load_picture(magicbrush / "images" / "100" / "100-input.png")
    assert np.allclose(load_picture(tmp_path / setting / "100-2.png"), source, atol=1e-6), "inverted twice"


def test_a_run_goes_on_where_it_was_stopped(magicbrush, tmp_path):
    sessions = sessions_of("magicbrush", magicbrush)
    with pytest.raises(RuntimeError, match="memory"):
        generation.generate(sessions, "history", tmp_path, [Editor(fail_at=2).open])
    assert [path.name for path in (tmp_path / "history").iterdir()] == ["100-1.png"]
    editor = Editor()
    assert generation.generate(sessions, "history", tmp_path, [editor.open])
    assert len(editor.asked) == 2 and len(words(editor.asked[0][0])) == 2
    idle = Editor()
    assert generation.generate(sessions, "history", tmp_path, [idle.open]) and not idle.opened


class Overflowing(Editor):
    """Gives no picture where the instruction has certain words."""

    def __init__(self, words):
        super().__init__()
        self.words = words

    def __call__(self, context, seed):
        check_finite(torch.full((1,), torch.nan if self.words in context.unit.instruction else 0.0), "the picture")
        return super().__call__(context, seed)


def test_a_turn_without_a_picture_is_named_and_the_others_are_made(magicbrush, tmp_path, tools):
    sessions, told = sessions_of("magicbrush", magicbrush), []
    assert generation.generate(sessions, "single", tmp_path, [Overflowing("make it red").open], notify=told.append)
    assert sorted(path.name for path in (tmp_path / "single").iterdir()) == ["100-1.png", "200-1.png"]
    assert len(told) == 1 and told[0].startswith("turn 100-2: the picture holds values that are no numbers")
    table = scoring.score_results(sessions, "single", tmp_path, find_profile("magicbrush"), tools)
    assert table.missing == ("100-2",) and table.as_dict()["missing"] == ["100-2"]
    page = write_benchmark(BENCHMARKS["magicbrush"], "mine", [table], tmp_path).read_text()
    assert "Without a result: 100-2." in page
    chained = []
    assert generation.generate(sessions, "history", tmp_path, [Overflowing("add a hat").open], notify=chained.append)
    assert [path.name for path in (tmp_path / "history").iterdir()] == ["200-1.png"], "nothing builds on no picture"
    assert len(chained) == 1 and chained[0].startswith("turn 100-1: ")
    with pytest.raises(EvaluationError, match=r"no picture on any turn\. turn \S+: .*no numbers"):
        generation.generate(sessions, "single", tmp_path / "none", [Overflowing("").open])


def test_shards_and_devices_change_nothing(magicbrush, tmp_path):
    sessions = sessions_of("magicbrush", magicbrush)
    seeds = {}
    for count in (1, 2):
        editors = [Editor(), Editor()]
        for index in range(count):
            mine = generation.Shard(index, count).of(sessions)
            generation.generate(mine, "single", tmp_path / str(count), [editor.open for editor in editors], seed=5)
        asked = [one for editor in editors for one in editor.asked]
        seeds[count] = {context.unit.instruction: seed for context, seed in asked}
    assert seeds[1] == seeds[2] and len(set(seeds[1].values())) == 3
    for path in (tmp_path / "1" / "single").iterdir():
        assert path.read_bytes() == (tmp_path / "2" / "single" / path.name).read_bytes()
    with pytest.raises(EvaluationError, match="shards"):
        generation.Shard(2, 2)


def test_a_stop_is_heard_between_sessions(magicbrush, tmp_path):
    sessions = sessions_of("magicbrush", magicbrush) * 50
    assert not generation.generate(sessions, "single", tmp_path, [Editor().open], should_stop=lambda: True)


def test_results_of_another_model_are_not_mixed_in(tmp_path):
    generation.begin_run(tmp_path, {"model": "a", "seed": 1})
    generation.begin_run(tmp_path, {"model": "a", "seed": 1})
    with pytest.raises(EvaluationError, match="model was 'a', is 'b'"):
        generation.begin_run(tmp_path, {"model": "b", "seed": 1})


def test_masks_are_shown_only_if_wanted():
    mask = Image.new("L", (20, 15), 255)
    turn = Turn("1", "fill it", lambda: noise(1), mask=lambda: mask, references=(lambda: noise(2),))
    assert generation.make_unit(turn, noise(1), masks=False).images[0].mask is None
    unit = generation.make_unit(turn, noise(1), masks=True)
    assert unit.images[0].mask.shape == (1, 30, 40) and unit.images[1].indicator == "{image1}"
    assert unit.instruction == "{image} fill it"


@pytest.mark.parametrize(("level", "marks"), [(0, False), (128, False), (129, True), (255, True)])
def test_a_mask_that_marks_nothing_is_said_and_counts_as_none(level, marks):
    turn = Turn("7", "fill it", lambda: noise(1), mask=lambda: Image.new("L", (40, 30), level))
    told = []
    (image,) = generation.make_unit(turn, noise(1), masks=True, notify=told.append).images
    assert (image.mask is not None) is marks and bool(told) is not marks
    assert all(text.startswith("turn 7: the mask") and "marks nothing" in text for text in told)


# Numbers and table


def test_numbers_are_kept_until_something_changes(magicbrush, tmp_path, tools, monkeypatch):
    sessions = sessions_of("magicbrush", magicbrush)
    generation.generate(sessions, "single", tmp_path, [Editor().open])
    profile = find_profile("magicbrush")
    first = scoring.score_results(sessions, "single", tmp_path, profile, tools)
    assert (first.measured, first.expected) == (3, 3) and set(first.means) == {"l1", "l2", "clip_i", "dino", "clip_t"}
    calls = []
    monkeypatch.setattr(scoring, "make_sample", lambda *given: calls.append(given))
    assert scoring.score_results(sessions, "single", tmp_path, profile, tools).as_dict() == first.as_dict()
    assert not calls
    monkeypatch.undo()
    noise(77, (48, 32)).save(tmp_path / "single" / "100-1.png")
    assert scoring.score_results(sessions, "single", tmp_path, profile, tools).means["l1"] != first.means["l1"]
    assert "dino" not in scoring.score_results(sessions, "single", tmp_path, profile, Tools(clip=tools.clip)).means


def test_the_page_sets_ours_beside_the_papers(magicbrush, tmp_path, tools):
    sessions = sessions_of("magicbrush", magicbrush)
    tables = []
    for setting in ("single", "multi", "history"):
        generation.generate(sessions, setting, tmp_path, [Editor().open])
        tables.append(scoring.score_results(sessions, setting, tmp_path, find_profile("magicbrush"), tools))
    assert [table.expected for table in tables] == [3, 2, 2]
    page = write_benchmark(BENCHMARKS["magicbrush"], "my model", tables, tmp_path).read_text()
    for words in (
        "0.0507",
        "0.9453",
        "0.0761",
        "ACE (w/ LC)",
        "my model",
        tools.clip.sha256[:16],
        "my model on MagicBrush",
    ):
        assert words in page
    content = json.loads((tmp_path / "benchmark.json").read_text())
    assert content["tables"][0]["means"]["l1"]["count"] == 3
    assert "single: L1 " in describe_table(tables[0])


def test_numbers_of_another_kind_do_not_stand_beside_the_papers(magicbrush, tmp_path, tools):
    """MagicBrush's L1 and DINO are distances to the truth, Emu Edit's to the input; both are called the same."""
    sessions = sessions_of("magicbrush", magicbrush)
    generation.generate(sessions, "single", tmp_path, [Editor().open])
    table = scoring.score_results(sessions, "single", tmp_path, find_profile("emu"), tools)
    page = write_benchmark(BENCHMARKS["magicbrush"], "my model", [table], tmp_path).read_text()
    assert "my model" in page and "0.0507" not in page and "UltraEdit" not in page
    assert "released test set has 1053 edits that count, this data 3" in page


def test_half_a_clip_measures_pictures_and_leaves_words_out(magicbrush, tmp_path):
    """A file of ComfyUI's clip_vision folder."""
    save_clip_vision(save_clip(tmp_path / "clip"), tmp_path / "vision.safetensors")
    sessions = sessions_of("magicbrush", magicbrush)
    generation.generate(sessions, "single", tmp_path, [Editor().open])
    half = Tools(clip=load_clip(tmp_path / "vision.safetensors"))
    table = scoring.score_results(sessions, "single", tmp_path, find_profile("magicbrush"), half)
    assert table.means["clip_i"].count == 3 and "clip_t" not in table.means
    assert table.left_out == {"dino": ("dino",), "clip_t": ("clip_words",)}
    page = write_benchmark(BENCHMARKS["magicbrush"], "my model", [table], tmp_path).read_text()
    assert "no CLIP that reads words" in page and "no DINO was given" in page


def test_missing_results_and_undefined_cases_are_said(tmp_path, tools):
    turn = Turn("1", "x", lambda: noise(1), source_caption="a", target_caption="a")
    other = Turn("2", "y", lambda: noise(2), source_caption="a", target_caption="b")
    sessions = [Session((turn,)), Session((other,))]
    generation.generate(sessions[:1], "single", tmp_path, [Editor().open])
    table = scoring.score_results(sessions, "single", tmp_path, find_profile("emu"), tools)
    assert (table.measured, table.expected) == (1, 2) and table.means["clip_dir"].value is None
    page = write_benchmark(BENCHMARKS["emu"], "mine", [table], tmp_path).read_text()
    assert "1 of 2 results" in page and "captions before and after are the same" in page


def test_the_papers_numbers_are_whole():
    """Table 1 and 5 of ACE and table 3 of OmniEdit; a row lacks only what the paper lacks."""
    assert published("emu", "single")["ACE"] == {
        "clip_dir": 0.0855,
        "clip_out": 0.2746,
        "l1": 0.0761,
        "clip_img": 0.8952,
        "dino": 0.8620,
    }
    assert published("omniedit", "single")["Omni-Edit"] == {"pq": 8.38, "sc": 6.66, "o": 6.98}
    assert published("icebench", "single") == {}
    for (name, setting), rows in PUBLISHED.items():
        assert setting in BENCHMARKS[name].settings and "ACE" in "".join(rows) + "ACE" * (name == "omniedit")
        known = {"sc", "pq", "o"} if name == "omniedit" else {one.key for one in find_profile(name).metrics}
        assert all(set(numbers) <= known for numbers in rows.values())


def test_several_numbers_survive_the_file(tmp_path):
    kept = scoring._Kept(tmp_path / "k.jsonl", "s")
    (tmp_path / "r.png").write_bytes(b"x")
    values = {"a": 0.5, "b": Several((1.0, 0.0)), "c": Undefined("why")}
    kept.add("t", tmp_path / "r.png", values)
    with open(tmp_path / "k.jsonl", "ab") as file:
        file.write(b'{"cut off')
    assert scoring._Kept(tmp_path / "k.jsonl", "s").find("t", tmp_path / "r.png") == values
    assert scoring._Kept(tmp_path / "k.jsonl", "other").find("t", tmp_path / "r.png") is None
    assert Mean(None, 0).skipped == {}


def test_masks_that_are_not_there_cannot_be_shown(magicbrush, tmp_path, capsys):
    command = ["evaluate", "--benchmark", "magicbrush", str(magicbrush), "-o", str(tmp_path / "out"), "--masks"]
    assert main(command) == 1
    assert "read without masks" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_the_command_from_data_to_the_table(magicbrush, workshop, tmp_path, capsys):
    out = tmp_path / "out"
    save_clip(tmp_path / "clip")
    arguments = [
        "evaluate",
        "--benchmark",
        "magicbrush",
        magicbrush,
        "-m",
        workshop.bundle,
        "-o",
        out,
        "--device",
        "cpu",
    ]
    arguments += ["--steps", "1", "--max-tokens", "16", "--clip", tmp_path / "clip", "--setting", "history"]
    assert main([str(argument) for argument in arguments]) == 0
    printed = capsys.readouterr().out
    assert "history: L1 " in printed and "(2 of 2)" in printed and (out / "index.html").is_file()
    assert main([str(argument) for argument in [*arguments, "--seed", "9"]]) == 1
    assert "another run" in capsys.readouterr().err
    assert main(["evaluate", "--benchmark", "emu", str(tmp_path / "none"), "-o", str(out)]) == 1
    assert "parquet" in capsys.readouterr().err
    assert main(["evaluate"]) == 1
