"""The count of a training step's memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from comfyui_ace.benchmarks.training.training_memory import (
    Case,
    LiveMemory,
    calculate,
    count,
)

SMALL = Case("full", "fp32", gradient_checkpointing=False, side=64)


def test_tensors_are_followed_until_they_are_freed():
    with LiveMemory() as live:
        first = torch.zeros(1000)
        assert live.now == 4000
        view = first[:10].add_(1.0)
        del first
        assert live.now == 4000  # the view holds it
        second = view * 2
        assert live.now == 4040
        del view
        assert (live.now, live.peak) == (40, 4040)
        del second
    assert live.now == 0


def test_what_the_shapes_say():
    full = count(replace(SMALL, depth=2))
    numbers = full.weights / 4
    unused = 2 * 2 * 1152  # norm_k of both attentions in both blocks gets no gradient
    assert full.trained == 12 * (numbers - unused)
    assert full.total >= full.weights + full.trained
    lora = count(replace(SMALL, depth=2, method="lora", precision="bf16"))
    assert full.weights / 2 < lora.weights < 0.6 * full.weights and lora.trained < 0.1 * full.trained


def test_the_calculation_holds_for_another_depth_and_batch():
    deeper = replace(SMALL, depth=7, pairs=3)
    assert calculate(deeper).total == pytest.approx(count(deeper).total, rel=0.03)


def test_recomputing_keeps_a_fraction():
    plain = count(replace(SMALL, depth=4, side=256))
    sparing = count(replace(SMALL, depth=4, side=256, gradient_checkpointing=True))
    assert sparing.kept < 0.1 * plain.kept and sparing.weights == plain.weights
