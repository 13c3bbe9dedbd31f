"""Whoever waits can be stopped: a sweep before it has begun, and a graph that waits for the disk."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from captured_pairs import capture, kept
from comfyui_ace.nodes.capture.recorder import Recorder
from comfyui_ace.nodes.capture.sweep_runner import SweepRunner
from comfyui_ace.training.capture.sweep import CaptureSettings
from comfyui_ace.training.dataset.store import Dataset
from pair_factory import picture
from PIL import Image

SECONDS = 60
GRAPH = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "a"}},
}


class Interrupted(BaseException):
    """As the host's: no Exception."""


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a server that takes every request and answers none."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def settings(tmp_path: Path, silent_server: str) -> CaptureSettings:
    (tmp_path / "in").mkdir()
    for number in range(4):
        Image.fromarray(picture(number)).save(tmp_path / "in" / f"{number}.png")
    return CaptureSettings(
        tmp_path / "unread.json", (tmp_path / "in",), tmp_path / "sets", dataset="swept", servers=(silent_server,)
    )


def ended(runner: SweepRunner) -> dict:
    deadline = time.monotonic() + SECONDS
    while runner.state["running"]:
        assert time.monotonic() < deadline, "the sweep does not end"
        time.sleep(0.02)
    return runner.state


def test_an_interrupt_ends_the_wait_and_the_sweep(settings):
    runner, calls = SweepRunner(), []

    def interrupted() -> None:
        calls.append(runner.state["running"])
        if len(calls) == 3:
            raise Interrupted

    runner.start(GRAPH, settings, "7", lambda state: None)
    with pytest.raises(Interrupted):
        runner.wait_until_begun(interrupted)
    state = ended(runner)
    assert calls == [True] * 3 and state["text"].startswith("sweep: stopped before anything was run")
    assert not state["failed"] and not settings.root.exists()
    assert runner.stop() is False


def test_the_stop_button_ends_a_sweep_that_has_not_begun(settings):
    """Also at its very first moment; the node then ends without an error, and another sweep can start."""
    runner = SweepRunner()
    for seconds in (0.0, 0.3):
        runner.start(GRAPH, settings, "7", lambda state: None)
        time.sleep(seconds)
        assert runner.stop() is True and runner.state["stopping"]
        assert runner.wait_until_begun(lambda: None) is None
        assert "stopped before anything was run" in ended(runner)["text"]


def test_a_dry_run_is_stopped_among_its_pictures(settings, monkeypatch):
    runner, looked, go_on = SweepRunner(), [], threading.Event()
    told = threading.Event()

    def slow(group, limit) -> None:
        looked.append(group.label)
        told.set()
        assert go_on.wait(SECONDS)

    monkeypatch.setattr("comfyui_ace.training.capture.sweep.check_headers", slow)
    dry = replace(settings, dry_run=True, servers=("http://127.0.0.1:9",))
    runner.start(GRAPH, dry, "7", lambda state: None)
    assert runner.wait_until_begun(lambda: None) is None and told.wait(SECONDS)
    assert runner.stop()
    go_on.set()
    assert "stopped before anything was run" in ended(runner)["text"] and len(looked) == 1


def test_an_interrupt_ends_the_wait_for_room(tmp_path, monkeypatch):
    """The pair that waited is not kept, and its node, which has no result now, runs again with the next prompt."""
    recorder, writing, go_on = Recorder(max_bytes=1), threading.Event(), threading.Event()
    append = Dataset.append

    def slow(*args, **kwargs):
        writing.set()
        assert go_on.wait(SECONDS)
        return append(*args, **kwargs)

    monkeypatch.setattr(Dataset, "append", slow)
    folder = recorder.open(tmp_path, "slow")

    def interrupted() -> None:
        raise Interrupted

    recorder.submit(capture(folder, 1))
    assert writing.wait(SECONDS)
    with pytest.raises(Interrupted):
        recorder.submit(capture(folder, 2), interrupted)
    go_on.set()
    recorder.submit(capture(folder, 3))
    assert recorder.flush(SECONDS) and kept(folder) == 2
    assert recorder.counts() == {"waiting": 0, "held": 0, "lost": 0}
