"""Captures as a person runs them: the real command in a process of its own, on real servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from comfyui_ace.training.pairs import Dataset
from comfyui_ace.training.verify import verify
from host.graph import Graph
from PIL import Image

# Without the other commands: their imports (torch and more) would be most of the time of a run that is killed at once.
_COMMAND = """
import argparse, sys
from comfyui_ace.commands import capture
parser = argparse.ArgumentParser()
capture.add_parsers(parser.add_subparsers())
arguments = parser.parse_args(sys.argv[1:])
sys.exit(arguments.run(arguments))
"""


@dataclass(frozen=True)
class Finished:
    """A capture that has ended: its exit code, its events, and what it wrote on the error stream."""

    code: int
    events: list[dict[str, Any]]
    errors: str

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]

    @property
    def summary(self) -> dict[str, Any]:
        return self.of("summary")[0]


class Folder:
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

    def start(self, graph: Graph | Mapping[str, Any], *arguments: object, servers: list[str], **kwargs) -> subprocess.Popen:
        command = [sys.executable, "-c", _COMMAND, "capture", self.workflow(graph), "--json"]
        command += ["--inputs", self.inputs, "--root", self.base / "datasets", "--dataset", "captured", *arguments]
        for server in servers:
            command += ["--server", server]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        env = {**os.environ, "PYTHONIOENCODING": "utf-8"}
        return subprocess.Popen(list(map(str, command)), **{**pipes, "env": env, "encoding": "utf-8", **kwargs})

    def run(self, graph: Graph | Mapping[str, Any], *arguments: object, servers: list[str], **kwargs) -> Finished:
        return finish(self.start(graph, *arguments, servers=servers, **kwargs))

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


def finish(process: subprocess.Popen, timeout: float = 120) -> Finished:
    """Wait for a capture; one that hangs is killed and fails the test."""
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        output, errors = process.communicate()
        raise AssertionError(f"the capture did not end in {timeout:.0f} s\n{output[-3000:]}\n{errors[-3000:]}") from None
    events = [json.loads(line) for line in output.splitlines() if line.strip()]
    return Finished(process.returncode, events, errors)
