"""How long a training step takes, so that students can be given the same time instead of the same steps."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from ...training.distil_config import DistilSettings, make_train_config
from ...training.trainer.run import train

TRIAL_STEPS = 5


def step_seconds(settings: DistilSettings, output: Path) -> list[float]:
    """Seconds of each step but the first of a trial: CPU time on a CPU, which other programs then share less in.

    Args:
        settings: of the student whose steps are meant.
        output: folder of the trial.
    """
    config = make_train_config(replace(settings, steps=TRIAL_STEPS, output=output))
    clock = time.process_time if config.device == "cpu" else time.perf_counter
    moments: list[float] = []

    def note(event: dict[str, Any]) -> None:
        if event["event"] == "step":
            moments.append(clock())

    train(config, on_event=note)
    return [after - before for before, after in pairwise(moments)]
