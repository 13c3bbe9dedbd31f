"""Captures as a person runs them: the real command in a process of its own, on real servers."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from comfyui_ace.commands import capture
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.dataset.upkeep.verify import verify
from host.harness.graph import Graph
from PIL import Image

# The command without the others, whose imports (torch and more) would be most of a test's time.
_COMMAND = "from host.harness.capture_runs import main; main()"
# Children are forked from a process that has the imports behind it: most of fifty runs would be starts else.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["comfyui_ace.training.capture.sweep", "host.harness.capture_runs"])


@dataclass(frozen=True)
class FinishedCapture:
    """A capture that has ended: its exit code, its events, and what it wrote on the error stream."""

    code: int
    events: list[dict[str, Any]]
    errors: str

    def events_of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]

    @property
    def summary(self) -> dict[str, Any]:
        return self.events_of("summary")[0]


class CaptureFolder:
    """A place for one capture: inputs, the workflow file and the dataset "captured"."""

    def __init__(self, base: Path):
        self.base = base
        self.inputs = base / "inputs"
        self.inputs.mkdir()

    def picture(self, name: str, seed: int, size: tuple[int, int] = (32, 24), folder: str = "inputs") -> np.ndarray:
        """Write noise of (width, height) as PNG; returns its pixels (height, width, 3)."""
        width, height = size
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        self.write(name, Image.fromarray(pixels), folder)
        return pixels

    def write(self, name: str, image: Image.Image, folder: str = "inputs", **options: Any) -> None:
        (self.base / folder).mkdir(exist_ok=True)
        image.save(self.base / folder / name, **options)

    def workflow(self, graph: Graph | Mapping[str, Any]) -> Path:
        path = self.base / "workflow.json"
        path.write_text(json.dumps(graph.prompt() if isinstance(graph, Graph) else graph), encoding="utf-8")
        return path

    def arguments(self, graph: Graph | Mapping[str, Any], *more: object, servers: list[str]) -> list[str]:
        """The command line of a capture into the dataset "captured"."""
        given = ["capture", self.workflow(graph), "--json", "--inputs", self.inputs, "--root", self.base / "datasets"]
        for server in servers:
            given += ["--server", server]
        return [str(part) for part in (*given, "--dataset", "captured", *more)]

    def start(self, graph: Graph | Mapping[str, Any], *more: object, servers: list[str], **kwargs) -> subprocess.Popen:
        command = [sys.executable, "-c", _COMMAND, *self.arguments(graph, *more, servers=servers)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        env = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(Path(__file__).parents[2])}
        return subprocess.Popen(command, **{**pipes, "env": env, "encoding": "utf-8", **kwargs})

    def run(self, graph: Graph | Mapping[str, Any], *more: object, servers: list[str], **kwargs) -> FinishedCapture:
        return finish(self.start(graph, *more, servers=servers, **kwargs))

    @property
    def dataset(self) -> Dataset:
        return Dataset(self.base / "datasets" / "captured")

    def check(self) -> None:
        """The dataset is whole."""
        result = verify(self.dataset.folder)
        assert result.ok, [str(fault) for fault in result.faults]

    def pairs_by_source(self) -> dict[str, int]:
        """How many pairs there are for each input file, by the start of their ids."""
        counts: dict[str, int] = {}
        for row in self.dataset.rows():
            stem = row.id.split("-")[0]
            counts[stem] = counts.get(stem, 0) + 1
        return counts


def event_start(event: str) -> str:
    """How an event begins in a capture's output."""
    return f'"event": "{event}"'


class KillableCapture:
    """A capture in a process that is quick to start; events go to a file, which outlives it."""

    def __init__(self, arguments: list[str], log: Path):
        self.log = log
        log.unlink(missing_ok=True)
        self._process = _FORKS.Process(target=_run_forked, args=(arguments, str(log)))
        self._process.start()

    def wait_for(self, event: str, times: int = 1, timeout: float = 120) -> None:
        """Returns when there were so many events of a kind, or when the process has ended."""
        deadline = time.monotonic() + timeout
        while self.running and self.count(event) < times:
            assert time.monotonic() < deadline, f"no event {event!r} in {timeout:.0f} s: {self.text()[-2000:]}"
            time.sleep(0.005)

    def kill(self) -> bool:
        """End the process at once; False if it had ended by itself."""
        self._process.kill()
        self._process.join()
        assert self._process.exitcode in (0, -signal.SIGKILL), self.text()[-2000:]
        return self._process.exitcode != 0

    @property
    def running(self) -> bool:
        return self._process.is_alive()

    def count(self, event: str) -> int:
        """How many events of a kind there were."""
        return self.text().count(event_start(event))

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""


def _run_forked(arguments: list[str], log: str) -> None:
    sys.stdout = sys.stderr = open(log, "w", encoding="utf-8", buffering=1)  # noqa: SIM115
    main(arguments)


def main(arguments: list[str] | None = None) -> None:
    """`comfyui-ace capture` with the other commands left out."""
    parser = argparse.ArgumentParser()
    capture.add_parsers(parser.add_subparsers())
    given = parser.parse_args(arguments)
    sys.exit(given.run(given))


def finish(process: subprocess.Popen, timeout: float = 120) -> FinishedCapture:
    """Wait for a capture; one that hangs is killed and fails the test."""
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        output, errors = process.communicate()
        raise AssertionError(
            f"the capture did not end in {timeout:.0f} s\n{output[-3000:]}\n{errors[-3000:]}"
        ) from None
    events = [json.loads(line) for line in output.splitlines() if line.strip()]
    return FinishedCapture(process.returncode, events, errors)
