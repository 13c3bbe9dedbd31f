"""What a run survives: stops, kills, full disks; and that it then goes on as if nothing had happened."""

from __future__ import annotations

from comfyui_ace.ace.checkpoint import load_model
from trainer_runs import assert_equal_tensors, checkpoint, losses, run, workshop_fixture  # noqa: F401


def test_a_stopped_run_goes_on_bit_for_bit(workshop, tmp_path):
    settings = {"steps": 6, "ema": 0.9, "accumulate": 2, "optimizer__schedule": "cosine", "optimizer__warmup_steps": 2}
    whole = run(workshop.config(tmp_path / "whole", **settings))
    halves = workshop.config(tmp_path / "halves", **settings)
    first = run(halves, stop_at=2)
    assert first[-1]["event"] == "end" and not first[-1]["finished"]
    second = run(halves)
    assert losses(first) + losses(second) == losses(whole)
    assert_equal_tensors(checkpoint(tmp_path / "halves", 6), checkpoint(tmp_path / "whole", 6))
    load_model(tmp_path / "halves" / "halves.safetensors")
