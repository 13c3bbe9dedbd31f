"""A run that is stopped anywhere goes on and finds the same."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from comfyui_ace.benchmarks.match.synthetic import planted, random_keys, search_features
from comfyui_ace.cli import main
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.dataset.upkeep.verify import verify
from comfyui_ace.training.match.disk.columns import Tables
from comfyui_ace.training.match.disk.places import Place
from comfyui_ace.training.match.engines.local import LocalEngine
from comfyui_ace.training.match.link.relation import Window
from picture_collections import contents, write_groups

FEATURES, _ = planted(30, 5, 16, 0.4, seed=30)
KEYS = random_keys(len(FEATURES), 30)
KILLS = 4


class Killed(BaseException):
    """What nobody catches, as nobody catches the end of a process."""


def search(folder: Path):
    changes = {"window": Window(0.7), "exact_up_to": 0, "clusters": 5, "memberships": 3, "most_in_memory": 0}
    return search_features(FEATURES, KEYS, folder, LocalEngine(workers=1), [50, 50], **changes)


@pytest.mark.parametrize("moment", ["before", "inside", "after"])
def test_stopped_at_any_write(tmp_path, monkeypatch, moment):
    """At every single write of the run: before it, with the temporary file written, and after it."""
    pytest.importorskip("faiss", reason="needs faiss-cpu")
    for name, value in (("linking._BYTES_PER_BUCKET", 2_000), ("grouping._PICTURES_PER_BUCKET", 40)):
        monkeypatch.setattr(f"comfyui_ace.training.match.steps.{name}", value)
    write, replace, count = Place.write, os.replace, {"left": -1, "writes": 0}

    def due() -> bool:
        count["left"] -= 1
        return count["left"] == 0

    def interrupted_write(self, name, data):
        count["writes"] += 1
        if moment == "before" and due():
            raise Killed
        write(self, name, data)
        if moment == "after" and due():
            raise Killed

    def interrupted_replace(source, target):
        if moment == "inside" and due():
            os.link(source, f"{source}.left")  # the temporary file of a killed process stays
            raise Killed
        replace(source, target)

    monkeypatch.setattr(Place, "write", interrupted_write)
    monkeypatch.setattr(os, "replace", interrupted_replace)
    whole = search(tmp_path / "whole")
    total, wanted = count["writes"], contents(whole.sets, whole.pairs)
    assert total > 60 and wanted[1]
    stops = 0
    while True:  # one run that is stopped again and again, each time after a few writes
        count["left"] = 2 + stops % 4
        try:
            found = search(tmp_path / "stopped")
            break
        except Killed:
            stops += 1
            assert stops < 10 * total
    assert stops > total / 8
    assert contents(found.sets, found.pairs) == wanted
    assert (found.counts, found.probe) == (whole.counts, whole.probe)


def arguments(folder: Path, output: Path, root: Path) -> list[str]:
    places = ["match", str(folder), "-o", str(output), "--root", str(root)]
    return [*places, "--dataset", "pairs", "--shard", "4", "--workers", "2", "--device", "cpu"]


def workers_of(output: Path) -> list[int]:
    """Processes whose environment names this run."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"ACE_TEST_RUN={output}".encode() in (entry / "environ").read_bytes().split(
                b"\0"
            ):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.timeout(1800)  # several processes, one after the other: slow on a busy machine
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for left processes in /proc")
def test_a_killed_process_leaves_nothing_but_what_is_whole(tmp_path):
    write_groups(tmp_path / "p", [3, 2, 4, 3, 5, 2, 3])
    output, root = tmp_path / "run", tmp_path / "datasets"
    environment = {**os.environ, "ACE_TEST_RUN": str(output), "OMP_NUM_THREADS": "1"}
    rng, kills = random.Random(5), 0
    for _ in range(40):
        process = subprocess.Popen(
            [sys.executable, "-m", "comfyui_ace", *arguments(tmp_path / "p", output, root)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        # A line a step, where steps that are done say nothing: it is killed in the first or the second that is left.
        fatal = 1 + rng.randrange(2)
        for number, _ in enumerate(process.stderr):
            if kills < KILLS and number == fatal:
                time.sleep(rng.random() * 0.05)
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
        if process.wait() == 0:
            break
        deadline = time.monotonic() + 60
        while workers_of(output) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not workers_of(output)  # the readers have ended with it
        if root.exists():
            assert verify(root / "pairs").ok
    assert process.returncode == 0 and kills == KILLS
    assert main(arguments(tmp_path / "p", tmp_path / "whole", tmp_path / "others")) == 0
    rows, others = (
        {row.origin["pictures"]: (row.content_hash, row.scores, row.group) for row in Dataset(base / "pairs").rows()}
        for base in (root, tmp_path / "others")
    )
    assert rows == others and rows
    assert verify(root / "pairs").ok
    stages = {name.rpartition("-")[0] for name in os.listdir(output)}
    for name in ("sets", "pairs"):
        [one], [other] = (
            [p for p in base.iterdir() if p.name.startswith(f"{name}-")] for base in (output, tmp_path / "whole")
        )
        assert one.name == other.name
    assert {"embedded", "links", "labels"} <= stages
    tables = [
        [Tables(Place.of(next(b.glob(f"{n}-*")))) for n in ("sets", "pairs")] for b in (output, tmp_path / "whole")
    ]
    assert contents(*tables[0]) == contents(*tables[1])
