"""The same capture once more, on a real server: it repeats nothing, and makes good what was lost or may pass now."""

from __future__ import annotations

import pytest
from comfyui_ace.training.dataset.upkeep.repair import repair
from fuzzing import png_chunk
from host.harness.capture_runs import CaptureFolder, FinishedCapture
from host.harness.comfy_server import Graph


@pytest.fixture
def folder(tmp_path) -> CaptureFolder:
    folder = CaptureFolder(tmp_path)
    for number in range(3):
        folder.picture(f"photo{number}.png", number)
    return folder


def _inverted(graph: Graph | None = None) -> Graph:
    graph = graph or Graph()
    inverted = graph.node("ImageInvert", image=graph.node("LoadImage", image="any.png"))
    graph.node("SaveImage", images=inverted, filename_prefix="again")
    return graph


def _counts(result: FinishedCapture) -> tuple[int, int, int]:
    """How many jobs had been done earlier, how many pairs were stored and how many rejected."""
    summary = result.summary
    return summary["earlier"], summary["stored"], summary["rejected"]


def test_what_was_turned_down_is_tried_again_with_other_checks_and_only_then(folder, comfy):
    graph = Graph()
    photo = graph.node("LoadImage", image="any.png")
    small = graph.node("ImageScale", image=photo, upscale_method="area", width=16, height=12, crop="disabled")
    graph.node("SaveImage", images=small, filename_prefix="again")

    def run(*more: str) -> FinishedCapture:
        return folder.run(graph, *more, servers=[comfy.url])

    assert _counts(run()) == (0, 0, 3)
    assert _counts(run()) == (3, 0, 0)
    would = [job["state"] for job in run("--dry-run", "--check", "size=off").events_of("job")]
    assert would == ["would run"] * 3 and {job["state"] for job in run("--dry-run").events_of("job")} == {"done"}
    stricter = ("--check", "size_tolerance=0.3")
    assert _counts(run(*stricter)) == (0, 0, 3) and _counts(run(*stricter)) == (3, 0, 0)
    assert _counts(run("--check", "size=off")) == (0, 3, 0)
    assert _counts(run("--check", "size=off")) == _counts(run()) == (3, 0, 0)  # what is kept is kept
    folder.check()
    assert folder.pairs_by_source() == {"photo0": 1, "photo1": 1, "photo2": 1}


def test_a_pair_that_was_lost_is_captured_again(folder, comfy):
    graph = _inverted()
    assert _counts(folder.run(graph, servers=[comfy.url])) == (0, 3, 0)
    victim = next(row for row in folder.dataset.rows() if row.id.startswith("photo1"))
    (folder.dataset.folder / victim.target_file_name).unlink()
    assert _counts(folder.run(graph, servers=[comfy.url])) == (3, 0, 0)  # its row is there, so it counts as kept
    assert repair(folder.dataset.folder).set_aside == 1
    assert _counts(folder.run(graph, servers=[comfy.url])) == (2, 1, 0)
    assert _counts(folder.run(graph, servers=[comfy.url])) == (3, 0, 0)
    folder.check()
    assert folder.pairs_by_source() == {"photo0": 1, "photo1": 1, "photo2": 1}


def test_only_the_lost_pair_of_a_batch_is_stored_again(folder, comfy):
    graph = Graph()
    photo = graph.node("LoadImage", image="any.png")
    both = graph.node("ImageBatch", image1=graph.node("ImageInvert", image=photo), image2=_flipped(graph, photo))
    graph.node("SaveImage", images=both, filename_prefix="again")
    assert _counts(folder.run(graph, servers=[comfy.url])) == (0, 6, 0)
    victim = list(folder.dataset.rows())[2]
    (folder.dataset.folder / victim.target_file_name).unlink()
    repair(folder.dataset.folder)
    again = folder.run(graph, servers=[comfy.url])
    assert _counts(again) == (2, 1, 0) and again.summary["duplicates"] == 0
    assert victim.id in {row.id for row in folder.dataset.rows()} and len(folder.dataset) == 6
    assert _counts(folder.run(graph, servers=[comfy.url])) == (3, 0, 0)
    folder.check()


def _flipped(graph: Graph, photo):
    return graph.node("ImageFlip", image=photo, flip_method="x-axis: vertically")


def test_one_picture_that_no_decoder_reads_does_not_end_the_capture(folder, comfy):
    """Found by flipping bytes: the file has a good header, and its pixels cannot be unpacked."""
    good = (folder.inputs / "photo0.png").read_bytes()
    body = b"no pixels"
    at = good.index(b"IDAT")
    (folder.inputs / "odd.png").write_bytes(good[: at - 4] + png_chunk(b"IDAT", body) + good[good.index(b"IEND") - 4 :])
    graph = _inverted()
    for expected in ((0, 3, 0), (4, 0, 0)):
        result = folder.run(graph, servers=[comfy.url])
        assert result.code == 1 and _counts(result) == expected, result.errors
        assert result.summary["quarantined"] == 1
    folder.check()


def test_one_of_two_captures_in_a_graph_is_chosen_by_its_marker(folder, comfy):
    graph = Graph()
    photo = graph.node("LoadImage", image="any.png")
    pairs = [
        graph.node("ACECapturePair", source=photo, result=result, instruction=words, dataset="d", checks=checks)
        for result, words, checks in (
            (graph.node("ImageInvert", image=photo), "first", ""),
            (_flipped(graph, photo), "second", "near_duplicate=off"),
        )
    ]
    question = folder.run(graph, servers=[comfy.url])
    assert question.code == 2 and "1. node 4: ACECapturePair (d)" in question.errors
    result = folder.run(graph, "--result", pairs[1].id, servers=[comfy.url])
    assert _counts(result) == (0, 3, 0) and {row.instruction for row in folder.dataset.rows()} == {"second"}
    (start,) = result.events_of("start")
    assert start["checks"] == {"near_duplicate": False} and start["cast"]["result"] == "node 3: ImageFlip"
    for pair in folder.dataset:
        assert (pair.target == pair.source[::-1]).all()
