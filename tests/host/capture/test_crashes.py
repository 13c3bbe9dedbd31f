"""The capture's client dies, servers die, wires are cut: afterwards every input has its pairs, none twice."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import time

import numpy as np
import pytest
from host.conftest import PROBE_PACK
from host.harness.capture_graphs import Gate
from host.harness.capture_runs import CaptureFolder, KillableCapture, event_start, finish
from host.harness.comfy_server import ComfyServer, Graph
from host.harness.wire.tcp_proxy import TcpProxy
from PIL import Image

KILLS = 50


@pytest.fixture
def folder(tmp_path) -> CaptureFolder:
    return CaptureFolder(tmp_path)


def _inverted(seconds: float = 0.0) -> Graph:
    graph = Graph()
    picture = graph.node("LoadImage", image="any.png")
    slow = graph.node("ProbeSteps", image=picture, steps=1, seconds=seconds)
    graph.node("SaveImage", images=graph.node("ImageInvert", image=slow), filename_prefix="capture")
    return graph


def _gated(gate: Gate) -> Graph:
    graph = Graph()
    held = gate.node(graph, graph.node("LoadImage", image="any.png"))
    graph.node("SaveImage", images=graph.node("ImageInvert", image=held), filename_prefix="capture")
    return graph


def _fill(folder: CaptureFolder, count: int, first: int = 0) -> set[str]:
    """Write pictures; returns their stems."""
    numbers = range(first, first + count)
    for number in numbers:
        folder.picture(f"photo{number}.png", number, size=(16, 16))
    return {f"photo{number}" for number in numbers}


def _queue_length(comfy: ComfyServer) -> int:
    return comfy.fetch("/prompt").json()["exec_info"]["queue_remaining"]


def _await_a_pair(capture: subprocess.Popen) -> str:
    """Read events up to the next finished input."""
    while event_start("finished") not in (line := capture.stdout.readline()):
        assert line, capture.stderr.read()
    return line


def _wait_for_queue(comfy: ComfyServer, length: int) -> None:
    deadline = time.monotonic() + 60
    while _queue_length(comfy) < length:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _wait_until_queued(comfy: ComfyServer, mark: int) -> None:
    """Until a busy server has queued what it was sent: else nobody could tell that it will."""
    deadline = time.monotonic() + 60
    while True:
        # In this order: what comes or ends meanwhile makes one more look necessary.
        before, queued, after = comfy.log_text(mark), _queue_length(comfy), comfy.log_text(mark)
        if after.count("got prompt") <= queued + before.count("Prompt executed"):
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_killed_client_resumes_and_repeats_nothing(folder, comfy, tmp_path):
    """Killed at random moments of its work, with new pictures coming in all the while."""
    graph, dice = _inverted(0.01), random.Random(4)
    arguments = folder.arguments(graph, "--in-flight", "3", servers=[comfy.url])
    names: set[str] = set()
    kills, in_mid_work = 0, 0
    while kills < KILLS:
        names |= _fill(folder, 4, len(names))
        capture = KillableCapture(arguments, tmp_path / "log")
        capture.wait_for("start")
        capture.wait_for("finished", dice.choice([0, 1, 2]))
        time.sleep(dice.uniform(0.0, 0.15))
        if capture.kill():
            kills += 1
            in_mid_work += capture.count("finished") > 0
    assert in_mid_work > KILLS / 3
    result = folder.run(graph, "--in-flight", "3", servers=[comfy.url])
    assert result.code == 0, result.errors
    assert result.summary["earlier"] >= in_mid_work
    assert folder.pairs_by_source() == dict.fromkeys(names, 1)
    assert not list(folder.dataset.rejected())
    folder.check()


def test_a_prompt_whose_client_died_is_found_again(folder, comfy, tmp_path):
    """What still runs or waits on the server is waited for, not queued twice."""
    names = _fill(folder, 3)
    mark, before = comfy.log_mark(), set(comfy.history())
    with Gate(comfy, "its client dies") as gate:
        graph = _gated(gate)
        capture = KillableCapture(folder.arguments(graph, servers=[comfy.url]), tmp_path / "log")
        _wait_for_queue(comfy, 2)
        capture.kill()
        assert not capture.count("finished")
    result = folder.run(graph, servers=[comfy.url])
    assert result.code == 0, result.errors
    assert folder.pairs_by_source() == dict.fromkeys(names, 1)
    assert comfy.log_text(mark).count("got prompt") == 3
    assert not set(comfy.history()) - before  # nothing of ours is left lying


def test_a_killed_server_leaves_its_work_to_the_other(folder, comfy, start_comfy):
    """It has made one pair, and has another one in hand."""
    names = _fill(folder, 16)
    with start_comfy(packs={"probe": PROBE_PACK}) as other:
        with Gate(comfy, "both have a part") as gate, Gate(other, "both have a part") as gate_of_other:
            graph = _gated(gate)
            gate_of_other.admit(1)
            capture = folder.start(graph, servers=[comfy.url, other.url])
            assert json.loads(_await_a_pair(capture))["server"] == other.url
            gate_of_other.wait_for_prompt()
            gate.open()
            assert json.loads(_await_a_pair(capture))["server"] == comfy.url
            os.killpg(other._process.pid, signal.SIGKILL)
        result = finish(capture)
        assert result.code == 0, result.errors
        assert any(event["server"] == other.url for event in result.events_of("server"))
        assert folder.pairs_by_source() == dict.fromkeys(names, 1)
        folder.check()
        _without_any_server(folder, other)


def _without_any_server(folder: CaptureFolder, dead: ComfyServer) -> None:
    folder.picture("late.png", 99)
    result = folder.run(_inverted(), servers=[dead.url])
    assert result.code == 1
    assert "No ComfyUI server answers" in result.errors and dead.url in result.errors
    assert "--server" in result.errors


def test_a_server_that_stays_away_ends_the_capture_with_a_word_on_how_to_go_on(folder, comfy):
    names = _fill(folder, 8)
    with TcpProxy(comfy.port) as proxy:
        capture = folder.start(_inverted(0.3), "--wait", "3", servers=[proxy.url])
        _await_a_pair(capture)
        proxy.disconnect()
        result = finish(capture)
    assert result.code == 1
    assert "No server has answered for 3 s" in result.errors and "the same command" in result.errors
    again = folder.run(_inverted(0.3), servers=[comfy.url])
    assert again.code == 0, again.errors
    assert folder.pairs_by_source() == dict.fromkeys(names, 1)


def test_a_cut_wire_is_waited_out(folder, comfy):
    names = _fill(folder, 10)
    mark = comfy.log_mark()
    with TcpProxy(comfy.port) as proxy:
        capture = folder.start(_inverted(0.2), servers=[proxy.url])
        for _ in range(3):
            _await_a_pair(capture)
            proxy.disconnect()
            time.sleep(0.7)
            _wait_until_queued(comfy, mark)
            proxy.reconnect()
        result = finish(capture)
    assert result.code == 0, result.errors
    assert folder.pairs_by_source() == dict.fromkeys(names, 1)
    assert comfy.log_text(mark).count("got prompt") == 10  # nothing was queued twice for it


def test_what_somebody_clears_on_the_server_is_done_again(folder, comfy):
    """A cleared queue, and uploads deleted between two seeds of one picture."""
    names = _fill(folder, 5)
    with Gate(comfy, "before clearing") as gate:
        graph = _gated(gate)
        gate.admit(1)
        capture = folder.start(graph, "--in-flight", "4", servers=[comfy.url])
        _await_a_pair(capture)
        _wait_for_queue(comfy, 4)
        comfy.fetch("/queue", "POST", json={"clear": True})
    result = finish(capture)
    assert result.code == 0, result.errors
    assert any("no longer knows" in event["reason"] for event in result.events_of("retry"))
    assert folder.pairs_by_source() == dict.fromkeys(names, 1)

    with Gate(comfy, "between seeds") as gate:
        graph = Graph()
        held = gate.node(graph, graph.node("LoadImage", image="any.png"))
        noisy = graph.node("ImageAddNoise", image=held, seed=1, strength=0.5)
        graph.node("SaveImage", images=graph.node("ImageInvert", image=noisy), filename_prefix="capture")
        capture = folder.start(graph, "--in-flight", "1", "--seeds", "2", servers=[comfy.url])
        gate.wait_for_prompt()  # the first seed's, which has read its picture; the second's is not queued yet
        for upload in (comfy.base_dir / "input" / "ace-capture").iterdir():
            upload.unlink()
    result = finish(capture)
    assert result.code == 0 and result.summary["stored"] == 10, result.errors
    assert any("Invalid image file" in event["reason"] for event in result.events_of("retry"))


def test_an_interrupt_takes_waiting_prompts_out_of_the_queue(folder, comfy):
    names = _fill(folder, 6)
    capture = folder.start(_inverted(0.4), "--in-flight", "4", servers=[comfy.url])
    _await_a_pair(capture)
    capture.send_signal(signal.SIGINT)
    result = finish(capture)
    assert result.code == 1 and result.summary["stored"] < 6
    assert _queue_length(comfy) <= 1  # one that runs goes on
    again = folder.run(_inverted(0.4), servers=[comfy.url])
    assert again.code == 0, again.errors
    assert folder.pairs_by_source() == dict.fromkeys(names, 1)


def _moody() -> Graph:
    graph = Graph()
    moody = graph.node("ProbeMoody", image=graph.node("LoadImage", image="any.png"))
    graph.node("PreviewImage", images=graph.node("ImageInvert", image=moody))
    return graph


def _first_pixel(folder: CaptureFolder, name: str, seed: int, red: int) -> None:
    pixels = np.random.default_rng(seed).integers(3, 256, (24, 32, 3), dtype=np.uint8)
    pixels[0, 0, 0] = red
    folder.write(name, Image.fromarray(pixels))


def test_failures_are_sorted(folder, comfy):
    """Out of memory: freed and tried again. A bad input: set aside with the server's words. The rest: kept."""
    for number, red in enumerate([9, 1, 2, 9, 1]):
        _first_pixel(folder, f"photo{number}.png", 1000 + number, red)
    (folder.inputs / "corrupt.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    with TcpProxy(comfy.port) as proxy:
        result = folder.run(_moody(), servers=[proxy.url])
        assert proxy.requests.count("POST /free") == 2
    assert result.code == 1  # two inputs were not captured
    assert folder.pairs_by_source() == {"photo0": 1, "photo1": 1, "photo3": 1, "photo4": 1}
    reasons = {event["input"]: event["reason"] for event in result.events_of("quarantined")}
    assert set(reasons) == {"photo2.png", "corrupt.png"}
    assert "I do not like this picture" in reasons["photo2.png"] and "ProbeMoody" in reasons["photo2.png"]
    assert {event["input"] for event in result.events_of("retry")} == {"photo1.png", "photo4.png"}
    assert "out of memory" in result.events_of("retry")[0]["reason"]
    folder.check()

    mark = comfy.log_mark()
    again = folder.run(_moody(), servers=[comfy.url])
    assert again.code == 1 and again.summary["quarantined"] == 2
    assert "got prompt" not in comfy.log_text(mark)
    retried = folder.run(_moody(), "--retry-quarantined", servers=[comfy.url])
    assert {event["input"] for event in retried.events_of("quarantined")} == {"photo2.png", "corrupt.png"}
    assert comfy.log_text(mark).count("got prompt") == 1

    for number in range(7):  # the workflow has worked before, so these are not taken for its fault
        _first_pixel(folder, f"bad{number}.png", 2000 + number, 2)
    more = folder.run(_moody(), servers=[comfy.url])
    assert more.code == 1 and len(more.events_of("quarantined")) == 7 and more.summary["quarantined"] == 9


def test_a_workflow_that_always_fails_is_not_blamed_on_the_inputs(folder, comfy):
    _fill(folder, 20)
    graph = Graph()
    failing = graph.node("ProbeFail", image=graph.node("LoadImage", image="any.png"), message="broken glass")
    graph.node("SaveImage", images=failing, filename_prefix="x")
    mark = comfy.log_mark()
    result = folder.run(graph, servers=[comfy.url])
    assert result.code == 1
    assert "broken glass" in result.errors and "workflow" in result.errors
    assert comfy.log_text(mark).count("got prompt") < 10
    assert folder.pairs_by_source() == {}
    again = folder.run(_inverted(), servers=[comfy.url])
    assert again.code == 0 and again.summary["stored"] == 20


def test_a_full_disk_ends_the_capture_and_leaves_whole_pairs(folder, comfy):
    """A limit on the size of files stands in for a full disk: the error at the write is of the same kind."""
    for number, side in enumerate([16, 16, 200, 16]):
        folder.picture(f"photo{number}.png", number, size=(side, side))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    result = folder.run(_inverted(), servers=[comfy.url], preexec_fn=limit)
    assert result.code == 1
    assert "Free some space" in result.errors and "Traceback" not in result.errors
    folder.check()
    again = folder.run(_inverted(), servers=[comfy.url])
    assert again.code == 0, again.errors
    assert folder.pairs_by_source() == {f"photo{number}": 1 for number in range(4)}
    folder.check()


def test_two_captures_into_one_dataset_do_not_mix(folder, comfy, tmp_path):
    _fill(folder, 4)
    first = KillableCapture(folder.arguments(_inverted(5.0), servers=[comfy.url]), tmp_path / "log")
    first.wait_for("start")
    second = folder.run(_inverted(5.0), servers=[comfy.url])
    first.kill()
    comfy.fetch("/queue", "POST", json={"clear": True})
    comfy.interrupt()
    assert second.code == 1 and "Another capture" in second.errors
