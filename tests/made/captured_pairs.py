"""Pairs as a capturing node hands them to the writer."""

from __future__ import annotations

from pathlib import Path

import torch
from comfyui_ace.nodes.capture.recorder import Capture
from comfyui_ace.training.dataset.intake.checks import CheckSettings
from comfyui_ace.training.dataset.store import Dataset, Pair
from comfyui_ace.training.dataset.upkeep.verify import verify

GRAPH = {"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}
SIDE = 160  # pixels; as PNG such noise takes 77 kB, and a pair twice that


def capture(folder: Path, *seeds: int, told: list[str] | None = None, size: int = 1) -> Capture:
    def pair(seed: int) -> Pair:
        before, after = torch.rand(2, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(seed))
        return Pair(target=after, source=before, instruction="go")

    notify = (lambda text: None) if told is None else told.append
    return Capture(folder, tuple(map(pair, seeds)), CheckSettings(), GRAPH, size=size, notify=notify)


def kept(folder: Path) -> int:
    """How many pairs there are; and that they are whole and nothing else is there."""
    result = verify(folder)
    assert result.ok, [str(fault) for fault in result.faults]
    assert not list(folder.rglob("*.part"))
    return len(Dataset(folder))
