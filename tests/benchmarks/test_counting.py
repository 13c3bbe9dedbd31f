"""The benchmarks' own arithmetic."""

from __future__ import annotations

import pytest
import torch
from comfyui_ace.ace.model.config import ACEConfig
from comfyui_ace.benchmarks.model.flops import count
from comfyui_ace.benchmarks.model.layer_timer import LayerTimer
from comfyui_ace.benchmarks.report import Table
from comfyui_ace.benchmarks.timing import Estimate, ratio, time_interleaved
from comfyui_ace.benchmarks.workload import Job, Setting, build_conditioning, build_model, build_noise
from torch.utils.flop_counter import FlopCounterMode

CPU = torch.device("cpu")
SETTING = Setting(CPU, torch.float32)
SMALL = ACEConfig(hidden_size=96, depth=3, num_heads=4, max_seq_len=64)


@pytest.fixture(scope="module")
def model():
    return build_model(SMALL, SETTING)


def spelled_out(q, k, v, mask):
    """Attention as two products, which the counter sees: (B, H, N, d) -> (B, N, H·d)."""
    return ((q @ k.transpose(-2, -1)).softmax(-1) @ v).transpose(1, 2).flatten(2)


@pytest.mark.parametrize("references", [0, 1, 3])
def test_operations_are_those_that_torch_counts(model, references):
    job = Job(64, references)
    noise = build_noise(job, SETTING)
    prepared = model.prepare(build_conditioning(job, SETTING), noise)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(noise, torch.tensor([500]), prepared, attention=spelled_out)
    by_name = {str(operator): flops for operator, flops in counter.get_flop_counts()["Global"].items()}
    attention, linear = by_name["aten.bmm"], by_name["aten.addmm"]
    ours = count(SMALL, job)
    assert (ours.linear, ours.attention) == (linear, attention)


def test_a_random_model_answers_to_its_conditioning(model):
    job = Job(64, 1)
    noise, timestep = build_noise(job, SETTING), torch.tensor([500])
    answers = [model(noise, timestep, build_conditioning(job, SETTING, seed=seed)) for seed in (0, 1)]
    assert answers[0].std() > 0
    assert not torch.equal(*answers)


def test_the_clock_sees_linear_layers_only():
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.GELU(), torch.nn.Linear(4, 4))
    with LayerTimer(model, CPU) as clock:
        model(torch.zeros(1, 4))
    assert 0 < clock.seconds < 1
    with LayerTimer(torch.nn.GELU(), CPU) as clock:
        pass
    assert clock.seconds == 0
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model)


def test_alternatives_take_turns_and_stop_at_the_budget():
    calls = []
    functions = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    times = time_interleaved(functions, CPU, rounds=3, warm_up=False)
    assert calls == ["a", "b"] * 3
    assert {name: len(values) for name, values in times.items()} == {"a": 3, "b": 3}
    assert len(time_interleaved(functions, CPU, rounds=9, budget=0.0)["a"]) == 2


def test_ratios_are_taken_round_by_round():
    assert ratio([2.0, 8.0, 3.0], [1.0, 2.0, 1.0]) == Estimate(median=3.0, low=2.0, high=4.0)


def test_a_table_is_shown_as_markdown_and_as_data():
    table = Table("T", ("job", "ratio", "memory"), [("x", Estimate(1.0, 0.912, 1.1), None)], ("Note.",))
    assert "| x | 1.00 (0.91 – 1.10) | – |" in table.markdown()
    assert table.as_dict()["rows"] == [
        {"job": "x", "ratio": {"median": 1.0, "low": 0.912, "high": 1.1}, "memory": None}
    ]
