"""How long a training step takes, so that students can be given the same time instead of the same steps."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from ...training.distil_config import DistilSettings, make_train_config
from ...training.trainer.run import train

TRIAL_STEPS = 5


def used(device: str) -> float:
    """Seconds so far: of the CPU, or on a clock once an accelerator has done what it was given."""
    if device == "cpu" or not torch.accelerator.is_available():
        return time.process_time()
    torch.accelerator.synchronize()
    return time.perf_counter()


def step_seconds(settings: DistilSettings, output: Path) -> list[float]:
    """Seconds of each step but the first of a trial: see :func:`used`.

    Args:
        settings: of the student whose steps are meant.
        output: folder of the trial.
    """
    config = make_train_config(replace(settings, steps=TRIAL_STEPS, output=output))
    moments: list[float] = []

    def note(event: dict[str, Any]) -> None:
        if event["event"] == "step":
            moments.append(used(config.device))

    train(config, on_event=note)
    return [after - before for before, after in pairwise(moments)]
