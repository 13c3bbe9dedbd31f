"""Steps a second of the host's MODEL against the pack's own sampler, on the same weights, in turns in one process.

    ~/comfy/ComfyUI/.venv/bin/python benchmarks/host/native_speed.py ~/comfy/ComfyUI [--side 256] [--depth 4] [--steps 4]

Runs in the host's Python. A third column embeds texts and references at every step, as is done where hooks switch weights.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]


def _start_host(folder: Path, on_cpu: bool) -> None:
    """Imports ComfyUI as main.py does, with PyTorch's attention, which both sides then compute with."""
    sys.path.insert(0, str(folder))
    os.chdir(folder)
    arguments, sys.argv = sys.argv, ["main.py", "--use-pytorch-cross-attention", *["--cpu"] * on_cpu]
    try:
        importlib.import_module("comfy.options").enable_args_parsing()
        importlib.import_module("comfy.sample")
    finally:
        sys.argv = arguments


def _open_pack() -> None:
    """Makes the folder that this file lies in the package ``comfyui_ace``."""
    spec = importlib.util.spec_from_file_location(
        "comfyui_ace", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    sys.modules["comfyui_ace"] = package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)


def _runs(side: int, references: int, depth: int, steps: int) -> dict[str, Callable[..., torch.Tensor]]:
    """A run of each kind, by name; their results are compared before anything is measured."""
    import comfy.sample
    from comfyui_ace.ace.model.sampler import draw_noise, sample
    from comfyui_ace.ace.vae import SCALING_FACTOR
    from comfyui_ace.ace.weights.checkpoint import Checkpoint, to_published_keys
    from comfyui_ace.ace.weights.presets import BundleDefaults
    from comfyui_ace.benchmarks.model.guidance import branches
    from comfyui_ace.benchmarks.workload import ACEConfig, Job, Setting, build_model
    from comfyui_ace.nodes.host import model as host_model
    from comfyui_ace.nodes.sampling import with_guidance_rescale

    on_gpu = torch.cuda.is_available()
    device, dtype = (torch.device("cuda"), torch.bfloat16) if on_gpu else (torch.device("cpu"), torch.float32)
    setting, job = Setting(device, dtype), Job(side, references)
    own = build_model(ACEConfig(depth=depth), setting)
    weights = {name: tensor.clone() for name, tensor in to_published_keys(own.state_dict()).items()}
    checkpoint = Checkpoint(weights, {}, Path("random"), "random weights", own.config)
    patcher = with_guidance_rescale(host_model.load_patcher(checkpoint, BundleDefaults(), dtype), 0.5)
    positive, negative = branches(job, setting)

    def entry(conditioning):
        values = {
            host_model.TEXT_LENGTHS: tuple(text.shape[1] for text in conditioning.context),
            host_model.INDICATORS: conditioning.indicator_embeddings[None],
            host_model.REFERENCES: [latent / SCALING_FACTOR for latent in conditioning.references],
        }
        return [[torch.cat(conditioning.context, dim=1), values]]

    latent, noise = torch.zeros(1, 4, side // 8, side // 8), draw_noise((1, 4, side // 8, side // 8), 0)
    arguments = (noise, steps, 4.5, "ddim", "simple", entry(positive), entry(negative), latent)
    native = partial(comfy.sample.sample, patcher, *arguments, disable_pbar=True, seed=0)
    stay = host_model._weights_stay

    def embedding_always(callback: Callable[..., None]) -> torch.Tensor:
        host_model._weights_stay = lambda _entry: False
        try:
            return native(callback=callback)
        finally:
            host_model._weights_stay = stay

    runs = {
        "own": partial(sample, own, noise, positive, negative, steps=steps),
        "native": native,
        "always": embedding_always,
    }
    results = {name: run(callback=_nothing).float().cpu() for name, run in runs.items()}  # also warms up
    wanted = results["own"] / SCALING_FACTOR
    for name in ("native", "always"):
        error = ((results[name] - wanted).norm() / wanted.norm()).item()
        print(f"{name}: relative difference to the pack's own sampler {error:.1e}")
    return runs


def _nothing(*_: object) -> None:
    """For runs that are not measured."""


def _seconds_of_a_step(run: Callable[..., torch.Tensor], device: torch.device) -> float:
    """Between the ends of a run's steps, so that what happens once a run does not count: mean over all but the first."""
    from comfyui_ace.benchmarks.timing import clock, synchronize

    now, ticks = clock(device), []

    def tick(*_: object) -> None:
        synchronize(device)
        ticks.append(now())

    run(callback=tick)
    return (ticks[-1] - ticks[0]) / (len(ticks) - 1)


@torch.inference_mode()
def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("host", type=Path, help="ComfyUI's folder")
    parser.add_argument("--side", type=int, default=256, help="of all pictures, in pixels")
    parser.add_argument("--references", type=int, nargs="+", default=[0, 1], help="numbers of condition images")
    parser.add_argument("--depth", type=int, default=4, help="blocks; the published model has 28")
    parser.add_argument("--steps", type=int, default=4, help="of a run, 2 or more")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each kind")
    given = parser.parse_args()
    _start_host(given.host.resolve(), on_cpu=not torch.cuda.is_available())
    _open_pack()
    torch.set_num_threads(1)
    from comfyui_ace.benchmarks.report import Table
    from comfyui_ace.benchmarks.timing import Estimate, ratio

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows = []
    for references in given.references:
        runs = _runs(given.side, references, given.depth, given.steps)
        times = {name: [] for name in runs}
        for _ in range(given.rounds):
            for name, run in runs.items():
                times[name].append(_seconds_of_a_step(run, device))
        speed = {name: Estimate.of([1 / time for time in values]) for name, values in times.items()}
        job = f"{given.side} px, {references} ref{'s' * (references != 1)}"
        shares = (ratio(times["own"], times["native"]), ratio(times["own"], times["always"]))
        rows.append((job, speed["own"], speed["native"], *shares))
    columns = ("job", "own sampler, steps/s", "MODEL, steps/s", "MODEL / own", "MODEL, embedding at every step / own")
    print(Table(f"MODEL against the pack's own sampler, depth {given.depth}", columns, rows).markdown())


if __name__ == "__main__":
    main()
