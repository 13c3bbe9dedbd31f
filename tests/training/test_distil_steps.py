"""Distillation finds out how few steps its student needs."""

from __future__ import annotations

import json
from dataclasses import replace

import torch
from comfyui_ace.ace.bundles.bundle import find_bundle
from comfyui_ace.ace.weights.lora import read_lora
from comfyui_ace.cli import main
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.distil import distil
from comfyui_ace.training.distil_config import DistilSettings
from comfyui_ace.training.workflows.node_specs import NODE_SPECS
from pair_factory import pair
from trainer_runs import workshop_fixture  # noqa: F401


def test_few_steps_are_found_stored_and_taken_over(workshop, tmp_path, monkeypatch, capsys):
    """What is chosen stands in the LoRA and in the workflow; the report is about it, and `edit` samples so."""
    monkeypatch.setattr("comfyui_ace.training.evaluate.few_steps.STEPS", (2, 1))
    dataset = Dataset.create(tmp_path, "few")
    for seed in range(4):
        dataset.append(pair(seed))
    dataset.rewrite(lambda row: replace(row, split="validation" if row.seed else "train"))
    events = []
    wanted = DistilSettings(
        [dataset.folder],
        workshop.bundle,
        tmp_path / "run",
        "ink",
        steps=2,
        rank=2,
        batch_size=1,
        overrides={"tensorboard": False, "plot": False, "samples": {"every": 0}},
        device="cpu",
        pairs=3,
        speed_loss=0.5,
    )
    result = distil(wanted, on_event=events.append)
    told = json.loads((result.report.parent / "steps.json").read_text())
    chosen = told["chosen"]
    own = find_bundle(workshop.bundle).defaults
    assert told["pairs"] == 3 and told["baseline"]["sampling"]["steps"] == own.steps
    assert (chosen["steps"], chosen["guidance_scale"]) == (1, 1.0), "a random model is as far away with any number"
    assert result.evaluation.sampler["steps"] == 1 and "1 evaluations" not in events[-1]["verdict"]
    assert (
        "Samples with 1 step without guidance" in events[-1]["verdict"]
        and "<tr class=chosen>" in result.report.read_text()
    )
    sampler = next(n for n in json.loads(result.workflow.read_text())["nodes"] if n["type"] == "ACESampler")
    named = dict(zip(NODE_SPECS["ACESampler"].widgets, sampler["widgets_values"], strict=False))
    assert (named["steps"], named["cfg"]) == (1, 1.0)
    lora = read_lora(result.trained)
    assert (lora.sampling.steps, lora.sampling.guidance_scale) == (1, 1.0) and lora.trigger and len(lora.layers) > 2
    out = str(tmp_path / "out.png")
    command = ["generate", "-m", str(workshop.bundle), "a cat", "-o", out, "--lora"]
    assert main([*command, str(result.trained), "--size", "64x64"]) == 0
    assert "recommends to sample with 1 step without guidance" in capsys.readouterr().err

    weights = [tensor for layer in lora.layers.values() for tensor in layer.values()]
    distil(replace(wanted, speed_loss=0.0))
    again = read_lora(result.trained)
    assert all(map(torch.equal, weights, [tensor for layer in again.layers.values() for tensor in layer.values()]))
