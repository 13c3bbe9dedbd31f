"""The parts of the capturing nodes that need no host: whose source it is, item with item, and the writer."""

from __future__ import annotations

import copy
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from comfyui_ace.nodes.capture.links import connect_sources, linked_pictures, upstream_graph
from comfyui_ace.nodes.capture.pairing import PairingError, pair_pictures, pair_values
from comfyui_ace.nodes.capture.recorder import Capture, Recorder
from comfyui_ace.training.capture.errors import WorkflowError
from comfyui_ace.training.capture.workflow.markers import read_markers, sources_of
from comfyui_ace.training.dataset.intake.checks import CheckSettings
from comfyui_ace.training.dataset.store import Dataset, Pair
from comfyui_ace.training.dataset.upkeep.verify import verify
from comfyui_ace.training.errors import DatasetNameError
from hypothesis import given
from hypothesis import strategies as st


def node(kind: str, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


def source(image, index: int = 0, **more) -> dict:
    return node("ACECaptureSource", image=[image, 0], index=index, **more)


def result(image) -> dict:
    return node("ACECaptureResult", image=[image, 0], instruction="", dataset="d")


def straight() -> dict:
    return {
        "1": node("LoadImage", image="a.png"),
        "2": source("1", mask=["1", 1]),
        "3": node("ImageInvert", image=["2", 0]),
        "4": result("3"),
        "5": node("SaveImage", images=["4", 0]),
    }


def test_wires_are_added_and_come_off_again():
    prompt = straight()
    connect_sources(prompt)
    assert prompt["4"]["inputs"]["source_0"] == ["2", 0] and prompt["4"]["inputs"]["mask_0"] == ["2", 1]
    again = copy.deepcopy(prompt)
    connect_sources(again)
    assert again == prompt
    changed = copy.deepcopy(prompt)
    del changed["2"]["inputs"]["mask"]
    assert connect_sources(changed) == {}
    assert [name for name in changed["4"]["inputs"] if name[-1].isdigit()] == ["source_0"]
    del changed["2"]
    changed["3"]["inputs"]["image"] = ["1", 0]
    assert "no Capture Source" in connect_sources(changed)["4"]
    assert changed["4"] == result("3")
    assert upstream_graph(prompt, "4") == {key: straight()[key] for key in "1234"}


def test_a_gap_in_the_row_of_pictures_is_no_pair():
    """A muted Source is not in the prompt at all, and the style picture would be taken for the one that was edited."""
    prompt = {**straight(), "7": node("LoadImage", image="style.png"), "8": source("7", 1)}
    assert connect_sources(prompt) == {} and "source_1" in prompt["4"]["inputs"]
    del prompt["2"]
    prompt["3"]["inputs"]["image"] = ["1", 0]
    assert "no Capture Source has index 0" in connect_sources(prompt)["4"]
    assert prompt["4"] == result("3")
    with pytest.raises(WorkflowError, match=r"no Capture Source has index 0, that is \{image\}; there is 1"):
        linked_pictures({"source_1": "style"})


def test_a_capture_over_a_folder_does_not_mind_the_wires():
    plain, wired = straight(), straight()
    connect_sources(wired)
    assert read_markers(wired) == read_markers(plain)


@pytest.mark.parametrize(
    "prompt", [{}, {"1": 3}, {"1": {"class_type": "ACECaptureResult"}}, {"1": node("ACECaptureResult")}]
)
def test_prompts_that_make_no_sense_are_left_to_the_host(prompt):
    before = copy.deepcopy(prompt)
    connect_sources(prompt)
    assert prompt == before


def test_links_to_nowhere_are_left_to_the_host():
    prompt = straight()
    prompt["3"]["inputs"]["image"] = ["77", 0]
    del prompt["2"]
    before = copy.deepcopy(prompt)
    connect_sources(prompt)
    assert prompt == before


def test_sources_of_several_captures():
    prompt = {
        **straight(),
        "11": node("LoadImage", image="b.png"),
        "12": source("11"),
        "13": source("11", 1),
        "14": node("Blend", image1=["12", 0], image2=["13", 0]),
        "15": result("14"),
    }
    assert sources_of(prompt, "4") == {0: "2"} and sources_of(prompt, "15") == {0: "12", 1: "13"}
    prompt["14"]["inputs"]["image1"] = ["2", 0]
    assert sources_of(prompt, "15") == {0: "2", 1: "13"}
    prompt["14"]["inputs"]["image3"] = ["12", 0]
    with pytest.raises(WorkflowError, match="nodes 2, 12 all mark the picture with index 0"):
        sources_of(prompt, "15")
    prompt["12"]["inputs"]["index"] = ["11", 0]
    with pytest.raises(WorkflowError, match="typed in"):
        sources_of(prompt, "15")


def test_a_result_whose_source_is_muted_does_not_get_that_of_another():
    prompt = {
        **straight(),
        "11": node("LoadImage", image="b.png"),
        "12": source("11"),
        "13": node("Blur", image=["12", 0]),
        "14": result("13"),
    }
    del prompt["2"]
    prompt["3"]["inputs"]["image"] = ["1", 0]
    assert sources_of(prompt, "14") == {0: "12"}
    assert "no Capture Source" in connect_sources(prompt)["4"]
    # A picture that only one of two results goes by is only its own.
    both = {**straight(), "12": source("1", 1), "13": node("Blend", a=["2", 0], b=["12", 0]), "14": result("13")}
    assert sources_of(both, "4") == {0: "2"} and sources_of(both, "14") == {0: "2", 1: "12"}


def test_a_source_beside_the_result_counts_and_one_behind_it_does_not():
    beside = {"1": node("LoadImage", image="a"), "2": node("Blur", image=["1", 0]), "3": source("2"), "4": result("1")}
    assert sources_of(beside, "4") == {0: "3"}
    beside["2"]["inputs"]["image"] = ["4", 0]
    with pytest.raises(WorkflowError, match="made from this very result"):
        sources_of(beside, "4")
    connect_sources(beside)
    assert "source_0" not in beside["4"]["inputs"]


def test_linked_pictures_are_in_order():
    linked = {"source_1": "c", "mask_0": "m", "source_0": "a"}
    assert linked_pictures(linked) == {0: ("a", "m"), 1: ("c", None)}
    assert list(linked_pictures(linked)) == [0, 1]


def batches(*sizes: int, start: int = 0) -> list[torch.Tensor]:
    """Batches (n, 1, 1, 1) whose pictures count up."""
    numbers = torch.arange(start, start + sum(sizes), dtype=torch.float32)
    return [part.view(-1, 1, 1, 1) for part in numbers.split(list(sizes))]


def numbers(pictures) -> list[int]:
    return [int(picture) for picture in pictures]


@pytest.mark.parametrize(
    ("given_sizes", "results", "expected"),
    [
        ([3], [3], [0, 1, 2]),
        ([1, 1, 1], [3], [0, 1, 2]),
        ([3], [1, 1, 1], [0, 1, 2]),
        ([2, 1], [2, 1], [0, 1, 2]),
        ([1], [4], [0, 0, 0, 0]),
        ([1], [2, 2], [0, 0, 0, 0]),
        ([1, 1], [2, 3], [0, 0, 1, 1, 1]),
        ([2, 1], [2, 2], [0, 1, 2, 2]),
    ],
)
def test_item_with_item(given_sizes, results, expected):
    assert numbers(pair_pictures(batches(*given_sizes), results, "picture")) == expected


@pytest.mark.parametrize(
    ("given_sizes", "results"),
    [([2], [4]), ([3], [2]), ([1, 3], [2, 2]), ([2, 2], [1, 3]), ([1, 1], [1, 1, 1]), ([4], [1])],
)
def test_what_cannot_be_paired_is_not_guessed(given_sizes, results):
    with pytest.raises(PairingError, match="cannot be paired"):
        pair_pictures(batches(*given_sizes), results, "picture")


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_pairing_gives_each_result_one_picture_in_order(given_sizes, results):
    try:
        found = numbers(pair_pictures(batches(*given_sizes), results, "picture"))
    except PairingError:
        return
    assert len(found) == sum(results) and found == sorted(found)
    assert set(found) == set(range(sum(given_sizes)))  # none is left out


def test_values_one_for_all_one_a_batch_one_a_picture():
    assert pair_values(["a"], [2, 1], "text") == ["a", "a", "a"]
    assert pair_values(["a", "b"], [2, 1], "text") == ["a", "a", "b"]
    assert pair_values(["a", "b", "c"], [2, 1], "text") == ["a", "b", "c"]
    with pytest.raises(PairingError, match="2 texts cannot be paired with 3 results"):
        pair_values(["a", "b"], [3], "text")


# The writer

GRAPH = {"1": node("LoadImage", image="a.png")}


def make_pair(seed: int) -> Pair:
    rng = np.random.default_rng(seed)
    before, after = (torch.from_numpy(rng.random((24, 24, 3), dtype=np.float32)) for _ in range(2))
    return Pair(target=after, source=before, instruction="go")


def make_capture(folder, *seeds: int, told: list | None = None, size: int = 1) -> Capture:
    notify = (lambda text: None) if told is None else told.append
    return Capture(folder, tuple(map(make_pair, seeds)), CheckSettings(), GRAPH, size=size, notify=notify)


def test_pairs_of_many_threads_are_all_written(tmp_path):
    recorder = Recorder()
    folder = recorder.open(tmp_path, "many")
    threads = [
        threading.Thread(target=lambda k=k: [recorder.submit(make_capture(folder, 10 * k + j)) for j in range(5)])
        for k in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recorder.flush(60)
    assert len(Dataset(folder)) == 20 and verify(folder).ok


def test_who_is_faster_than_the_disk_waits(tmp_path):
    """With room for one capture, the second is taken only when the first is written."""
    recorder = Recorder(max_bytes=10)
    folder = recorder.open(tmp_path, "slow")
    counts = []
    for seed in range(4):
        recorder.submit(make_capture(folder, seed, size=10))
        counts.append(len(Dataset(folder)))
    assert all(count >= seed for seed, count in enumerate(counts))
    recorder.submit(make_capture(folder, 5, size=1000))  # larger than the room, and yet not stuck
    assert recorder.flush(60) and len(Dataset(folder)) == 5


def test_a_dataset_that_vanished_is_said_and_begun_anew(tmp_path):
    import shutil

    recorder, told = Recorder(), []
    folder = recorder.open(tmp_path, "gone")
    before = recorder.generation(folder)
    shutil.rmtree(folder)
    recorder.submit(make_capture(folder, 1, told=told))
    assert recorder.flush(60)
    assert told[-1].startswith("NOT KEPT") and "is gone" in told[-1]
    assert recorder.counts() == {"waiting": 0, "held": 0, "lost": 1}
    assert recorder.generation(folder) != before and recorder.generation(None) != before
    assert recorder.open(tmp_path, "gone") == folder
    recorder.submit(make_capture(folder, 3, told=told))
    assert "gone: 1 pair," in told[-1] and "1 pair given up" in told[-1] and len(Dataset(folder)) == 1
    steady = recorder.generation(folder)
    assert recorder.generation(folder) == steady


def test_a_pair_that_makes_no_sense_is_turned_down_and_those_after_it_are_kept(tmp_path):
    recorder, told = Recorder(), []
    folder = recorder.open(tmp_path, "odd")
    first, last = make_pair(1), make_pair(4)
    bad = [replace(make_pair(2), instruction=""), replace(make_pair(3), source=torch.rand(8, 24, 24, 3))]
    capture = replace(make_capture(folder, told=told), pairs=(first, *bad, last))
    recorder.submit(capture)
    assert recorder.flush(60) and verify(folder).ok
    assert "odd: 2 pairs, 2 rejected" in told[-1] and "2 kept, 2 rejected" in told[-1]
    assert "rejected: source: expected an array" in told[-1]
    assert recorder.counts() == {"waiting": 0, "held": 0, "lost": 0}
    listed = list(Dataset(folder).rejected())
    assert [entry.findings[0]["check"] for entry in listed] == ["unfit", "unfit"]
    assert "no instruction" in listed[0].reason and "expected an array" in listed[1].reason
    recorder.submit(capture)  # the same again
    assert recorder.flush(60) and len(list(Dataset(folder).rejected())) == 2
    assert Dataset(folder).counts().by_check == {"unfit": 2}
    recorder.submit(replace(capture, pairs=(replace(bad[1], source=torch.rand(8, 24, 24, 3)),)))  # another picture
    assert recorder.flush(60) and len(list(Dataset(folder).rejected())) == 3


@pytest.mark.parametrize("waits", [False, True])
def test_a_process_that_ends_takes_no_more_pairs_and_says_so(tmp_path, waits):
    """Also none of those that wait for room when the end begins."""
    recorder, told, begun, go_on = Recorder(max_bytes=10), [], threading.Event(), threading.Event()
    folder = recorder.open(tmp_path, "ending")

    def notify(text: str) -> None:
        begun.set()
        assert go_on.wait(30)

    recorder.submit(Capture(folder, (make_pair(1),), CheckSettings(), GRAPH, size=6, notify=notify))
    assert begun.wait(30)
    recorder.submit(make_capture(folder, 2, size=6))
    before = recorder.generation(folder)
    late = threading.Thread(
        target=recorder.submit, args=(make_capture(folder, 3, 4, told=told, size=6 if waits else 0),)
    )
    end = threading.Thread(target=recorder.finish)
    for thread in (late, end) if waits else (end, late):
        thread.start()
        time.sleep(0.1)
    late.join(30)
    assert not late.is_alive() and end.is_alive()
    assert told == ["NOT KEPT: the server is ending\n2 pairs given up, so run them again."]
    go_on.set()
    end.join(30)
    assert len(Dataset(folder)) == 2 and recorder.counts() == {"waiting": 0, "held": 0, "lost": 2}
    assert recorder.generation(folder) != before
    recorder.resume()
    recorder.submit(make_capture(folder, 3, 4))
    assert recorder.flush(30) and len(Dataset(folder)) == 4


def test_what_is_told_counts_and_gives_reasons(tmp_path):
    recorder, told = Recorder(), []
    folder = recorder.open(tmp_path, "told")
    same = Pair(target=make_pair(1).source, source=make_pair(1).source, instruction="go")
    capture = make_capture(folder, 1, 1, 2, told=told)
    recorder.submit(Capture(folder, (*capture.pairs, same), CheckSettings(), GRAPH, notify=told.append))
    assert recorder.flush(60)
    assert "told: 2 pairs, 1 rejected" in told[-1]
    assert "2 kept, 1 there already, 1 rejected" in told[-1]
    assert "rejected: the result equals its source" in told[-1]


def test_names_are_checked_at_once(tmp_path):
    with pytest.raises(DatasetNameError):
        Recorder().open(tmp_path, "../elsewhere")


def test_pictures_in_memory_are_bounded_by_waiting(tmp_path):
    """`submit` does not return while more than the room is taken."""
    recorder = Recorder(max_bytes=10)
    folder = recorder.open(tmp_path, "bounded")
    begun = threading.Event()

    def notify(text: str) -> None:
        begun.set()
        time.sleep(0.3)

    recorder.submit(Capture(folder, (make_pair(1),), CheckSettings(), GRAPH, size=10, notify=notify))
    second = threading.Thread(target=recorder.submit, args=(make_capture(folder, 2, size=10),))
    second.start()
    assert begun.wait(30)
    assert second.is_alive()
    second.join(30)
    assert recorder.flush(30) and len(Dataset(folder)) == 2
