"""The capture's client dies, servers die, wires are cut: afterwards every input has its pairs, none twice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time

import pytest
from host.capture_runs import Folder, finish
from host.comfy_server import PACK_ROOT, Graph
from host.conftest import PROBE_PACK

KILLS = 50


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path)


def _inverted(seconds: float = 0.0) -> Graph:
    graph = Graph()
    picture = graph.node("LoadImage", image="any.png")
    slow = graph.node("ProbeSteps", image=picture, steps=1, seconds=seconds)
    graph.node("SaveImage", images=graph.node("ImageInvert", image=slow), filename_prefix="capture")
    return graph


def _fill(folder: Folder, count: int) -> set[str]:
    for number in range(count):
        folder.picture(f"photo{number}.png", number, size=(16, 16))
    return {f"photo{number}" for number in range(count)}


def test_killed_client_resumes_and_repeats_nothing(folder, comfy):
    names = _fill(folder, 150)
    graph = _inverted(0.01)
    dice = random.Random(4)
    kills, hits = 0, 0
    while kills < KILLS:
        process = folder.start(graph, "--in-flight", "3", servers=[comfy.url])
        while '"start"' not in (line := process.stdout.readline()):
            assert line, process.stderr.read()
        time.sleep(dice.uniform(0.0, 0.5))
        ended = process.poll() is not None
        os.kill(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        if ended:
            break
        kills += 1
        hits += '"finished"' in output
    assert kills == KILLS, f"all was done after {kills} kills; give it more inputs"
    assert hits > KILLS / 5  # else the kills only met the start
    result = folder.run(graph, "--in-flight", "3", servers=[comfy.url])
    assert result.code == 0, result.errors
    print(f"{kills} kills, {result.summary}")
    assert folder.pairs_by_source() == dict.fromkeys(names, 1)
    assert not list(folder.dataset.rejected())
    folder.check()
