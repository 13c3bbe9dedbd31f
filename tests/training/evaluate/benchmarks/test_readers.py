"""Readers, on small copies of the released layouts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from benchmark_sets import noise, sessions_of
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.evaluate.benchmarks.sessions import file_picture
from comfyui_ace.training.evaluate.errors import EvaluationError
from pair_factory import encoded, pair
from PIL import Image


def test_magicbrush_is_read_as_released(magicbrush):
    first, second = sessions_of("magicbrush", magicbrush)
    assert [turn.id for turn in first.turns] == ["100-1", "100-2"] and len(second.turns) == 1
    turn = first.turns[1]
    assert (turn.instruction, turn.source_caption, turn.target_caption) == (
        "make it red",
        "caption of output1",
        "caption of output2",
    )
    assert np.array_equal(np.asarray(turn.source()), np.asarray(first.turns[0].target()))
    assert first.measured("single") == first.turns and first.measured("history") == first.turns[-1:]
    with pytest.raises(EvaluationError, match="edit_sessions"):
        sessions_of("magicbrush", magicbrush / "images")


def test_paths_cannot_leave_the_folder(magicbrush):
    with pytest.raises(EvaluationError, match="leads out"):
        file_picture(magicbrush, "../../etc/passwd")


def parquet(folder, rows):
    table, write = pytest.importorskip("pyarrow").Table, pytest.importorskip("pyarrow.parquet").write_table
    folder.mkdir()
    write(table.from_pylist(rows), folder / "part-0.parquet")
    return folder


def test_emu_reads_the_test_split_alone(tmp_path):
    cell = {"bytes": encoded(noise(1)), "path": None}
    common = {
        "image": cell,
        "instruction": "make it snow",
        "input_caption": "a",
        "output_caption": "b",
        "task": "global",
    }
    rows = [
        {"idx": n, "hash": f"h/{n}", "split": split, **common} for n, split in enumerate(("test", "validation", "test"))
    ]
    found = sessions_of("emu", parquet(tmp_path / "emu", rows))
    assert [session.id for session in found] == ["0-h-0", "2-h-2"]
    turn = found[0].turns[0]
    assert (turn.task, turn.source_caption, turn.target_caption, turn.target) == ("global", "a", "b", None)
    assert turn.source().size == (40, 30)


def test_omniedit_takes_the_first_of_several_wordings(tmp_path):
    row = {
        "src_img": {"bytes": encoded(noise(1)), "path": None},
        "edited_prompt_list": ["swap it", "change it"],
        "task": "swap",
    }
    (session,) = sessions_of("omniedit", parquet(tmp_path / "omni", [row]))
    assert session.turns[0].instruction == "swap it" and session.turns[0].task == "swap"


def test_icebench_is_read_as_unpacked(tmp_path):
    folder = tmp_path / "dataset"
    (folder / "images").mkdir(parents=True)
    for name in ("s.png", "m.png", "r.png"):
        noise(len(name)).save(folder / "images" / name)
    item = {
        "ItemID": "it/1",
        "Task": "Face Swap",
        "SourceImage": "dataset/images/s.png",
        "SourceMask": "images/m.png",
        "ReferenceImages": ["dataset/images/r.png"],
        "Instruction": "Swap the face in <SOURCE> with that of <REF_1>",
        "TargetCaption": "a face",
    }
    words = {"ItemID": "2", "Task": "Text2Image", "SourceImage": "", "SourceMask": "", "ReferenceImages": []}
    lines = [item, {**words, "Instruction": "a cat", "TargetCaption": "a cat"}]
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, lines)))
    first, second = sessions_of("icebench", tmp_path)
    turn = first.turns[0]
    assert turn.id == "it-1" and turn.instruction == "Swap the face in {image} with that of {image1}"
    assert turn.source().size == turn.mask().size == turn.references[0]().size == (40, 30)
    assert second.turns[0].source is None and second.turns[0].instruction == "a cat"


def own_lines(folder, lines: bytes):
    (folder / "benchmark.jsonl").write_bytes(lines)
    return [session.turns[0] for session in sessions_of(str(folder), folder)]


def icebench_lines(folder, lines: bytes):
    (folder / "data.jsonl").write_bytes(lines)
    return [session.turns[0] for session in sessions_of("icebench", folder)]


@pytest.mark.parametrize("read", [own_lines, icebench_lines])
def test_lines_are_read_as_other_text_files_are(tmp_path, read):
    def line(words, number):
        return json.dumps(
            {"instruction": words, "Instruction": words, "ItemID": number, "Task": "t"}, ensure_ascii=False
        )

    words = ["a\u2028b", "c\u0085d", "e\x0bf".replace("\x0b", "\\u000b"), "Über"]
    text = "\n".join(line(each, number) for number, each in enumerate(words))
    for data in (text.encode(), text.encode("utf-8-sig"), text.encode("utf-16"), text.replace("\n", "\r\n").encode()):
        assert [turn.instruction for turn in read(tmp_path, data)] == words
    with pytest.raises(EvaluationError, match=r"\.jsonl is not UTF-8 text.*cp1252"):
        read(tmp_path, line("Über", 1).encode("cp1252"))
    with pytest.raises(EvaluationError, match=r"\.jsonl line 2 is no"):
        read(tmp_path, b'\n{"instruction": ')


def test_masks_are_read_by_the_one_rule(tmp_path):
    """A photograph with a hole, as ComfyUI's mask editor leaves it; a dataset's and ICE-Bench's alike."""
    hole = np.zeros((30, 40), bool)
    hole[5:9, 7:12] = True
    Image.fromarray(np.dstack([np.asarray(noise(1)), np.where(hole, 0, 255).astype(np.uint8)])).save(tmp_path / "m.png")
    noise(1).save(tmp_path / "a.png")
    item = {"instruction": "x", "source": "a.png", "mask": "m.png", "lines": [{"text": "y", "mask": "m.png"}]}
    (tmp_path / "benchmark.jsonl").write_text(json.dumps(item))
    ((turn,),) = [session.turns for session in sessions_of(str(tmp_path), tmp_path)]
    item = {"ItemID": 1, "Task": "t", "Instruction": "x", "SourceImage": "a.png", "SourceMask": "m.png"}
    (tmp_path / "data.jsonl").write_text(json.dumps(item))
    ((other,),) = [session.turns for session in sessions_of("icebench", tmp_path)]
    for load in (turn.mask, turn.lines[0][1], other.mask):
        assert np.array_equal(np.asarray(load()) > 128, hole)


def test_a_folder_of_ones_own(tmp_path, no_sync):
    noise(1).save(tmp_path / "a.png")
    lines = [
        {"instruction": "one", "source": "a.png", "session": "x"},
        {"instruction": "two", "source": "a.png", "target": "a.png", "session": "x", "task": "t"},
        {"instruction": "words alone"},
    ]
    (tmp_path / "benchmark.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = sessions_of(str(tmp_path), tmp_path)
    assert [len(session.turns) for session in found] == [2, 1] and found[0].turns[1].task == "t"
    dataset = Dataset.create(tmp_path, "pairs")
    dataset.append(pair(1, tags=("invert",)))
    (session,) = sessions_of(str(dataset.folder), dataset.folder)
    assert session.turns[0].task == "invert" and session.turns[0].target is not None
