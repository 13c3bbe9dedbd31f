"""Forward passes of one job in a process of its own, since a process has only one peak of memory.

Run by :mod:`.forward`: reads the job as JSON from the command line and prints the result as JSON.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass

import torch

from ..memory import peak_bytes
from ..timing import clock, seconds
from ..workload import (
    Job,
    Setting,
    build_conditioning,
    build_model,
    build_noise,
)
from .flops import count
from .layer_timer import LayerTimer
from .matmul import block_matmuls


@dataclass(frozen=True)
class JobResult:
    """Round by round.

    Attributes:
        passes: seconds of a forward pass with prepared conditioning.
        linear: seconds of these spent in linear layers.
        products: seconds of plain matrix products with as many operations as the linear layers have.
        peak_bytes: most memory ever held while preparing and passing; None where it cannot be told.
        model_bytes: memory held before, with the model loaded.
    """

    passes: list[float]
    linear: list[float]
    products: list[float]
    peak_bytes: int | None
    model_bytes: int | None


def peak_memory(device: torch.device) -> int | None:
    """Bytes: the accelerator's peak allocation, on the CPU the largest resident set of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type != "cpu":
        return None
    return peak_bytes()


@torch.no_grad()
def measure(job: Job, setting: Setting, rounds: int, budget: float) -> JobResult:
    """Times passes and plain products in turns.

    Args:
        job: the picture to make.
        setting: device, dtype and depth.
        rounds: wanted.
        budget: seconds after which no further round starts.
    """
    model = build_model(setting.config, setting)
    noise, conditioning = build_noise(job, setting), build_conditioning(job, setting)
    timestep = torch.full((1,), 500, device=setting.device)
    model_bytes = peak_memory(setting.device)
    prepared = model.prepare(conditioning, noise)
    if setting.device.type != "cpu":
        model(noise, timestep, prepared)  # kernels are chosen and loaded at first use
    passes, linear, products = [], [], []
    peak, run_products = None, None
    now = clock(setting.device)
    start = now()
    while not passes or (len(passes) < rounds and now() - start < budget):
        with LayerTimer(model, setting.device) as layers:
            passes.append(seconds(lambda: model(noise, timestep, prepared), setting.device))
        linear.append(layers.seconds)
        if run_products is None:  # their memory must not count
            peak = peak_memory(setting.device)
            run_products, operations = block_matmuls(setting.config, job.tokens, setting)
            run_products()
            blocks = count(setting.config, job).linear / operations
        # A few blocks' worth tell the rate; more would only cost time.
        repeats = min(4, setting.config.depth)
        once = seconds(lambda: [run_products() for _ in range(repeats)], setting.device) / repeats  # noqa: B023
        products.append(once * blocks)
    return JobResult(passes, linear, products, peak, model_bytes)


def main(text: str) -> None:
    """Measures a job given as JSON and prints the result as JSON."""
    given = json.loads(text)
    torch.set_num_threads(given["threads"])
    setting = Setting(torch.device(given["device"]), getattr(torch, given["dtype"]), given["quick"])
    result = measure(Job(given["side"], given["references"]), setting, given["rounds"], given["budget"])
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main(sys.argv[1])
