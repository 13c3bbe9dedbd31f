"""How near students that were taught by the small bundle itself come to it, with fewer evaluations.

    .venv/bin/python -m comfyui_ace.benchmarks.training.few_evaluations FOLDER [--steps 200]

The teacher is ace-tiny with guidance 3, at its own six steps. A student learns from pictures that the teacher is asked to
edit; then both, and the model without the student's LoRA, answer for held-out pictures from the same noise. The distance
is the mean squared difference of the latents to the teacher's, over the variance of these: 0 is the teacher's own answer.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from ...ace.bundles.bundle import SHIPPED_BUNDLES, find_bundle
from ...ace.lcu.units import ConditionImage, ConditionUnit, LongContext
from ...ace.pipeline import ACEPipeline
from ...ace.weights.lora import read_lora
from ...training.dataset.store import Dataset, DatasetSettings, Pair
from ...training.tiny.world import operations
from ...training.tiny.world.pictures import Pictures
from ...training.trainer.config_file import make_config
from ...training.trainer.run import train

_INSTRUCTION = "make {image} sepia"
_STEPS, _SCALE, _RESCALE = 6, 3.0, 0.5
_PAIRS, _HELD_OUT = 48, 12
_FEWER = (6, 3, 2, 1)


def _write_pairs(folder: Path) -> Path:
    dataset = Dataset.open_or_create(folder, "pairs", settings=DatasetSettings(0.0))
    pictures = Pictures("train", (128, 128), 101)
    for index in range(_PAIRS):
        source = pictures[index]
        dataset.append(Pair(source=source.numpy(), target=operations.sepia(source).numpy(), instruction=_INSTRUCTION))
    return dataset.folder


def _train(method: str, folder: Path, pairs: Path, steps: int) -> Path:
    """The student's LoRA."""
    table = {
        "output": str(folder / method),
        "model": {"bundle": str(SHIPPED_BUNDLES / "ace-tiny")},
        "data": {"datasets": [str(pairs)], "cache": str(folder / "cache")},
        "method": "lora",
        "lora": {"rank": 32},
        "distil": {"method": method, "steps": _STEPS, "guidance_scale": _SCALE, "guidance_rescale": _RESCALE},
        "objective": {"weighting": "velocity"},
        "optimizer": {"learning_rate": 1e-3, "schedule": "cosine", "warmup_steps": 10},
        "steps": steps,
        "batch_size": 4,
        "precision": "fp32",
        "device": "cpu",
        "tensorboard": False,
        "plot": False,
        "validation": {"every": 0},
        "samples": {"every": 0},
        "checkpoints": {"every": 0},
    }
    return train(make_config(table)).path


def _answers(pipeline: ACEPipeline, steps: int, scale: float) -> torch.Tensor:
    """Latents for the held-out pictures, each from noise of its own that is always the same."""
    pictures = Pictures("validation", (128, 128), 102)
    units = [ConditionUnit(_INSTRUCTION, [ConditionImage(pictures[index][None])]) for index in range(_HELD_OUT)]
    settings = {"steps": steps, "guidance_scale": scale, "guidance_rescale": _RESCALE}
    return torch.cat([pipeline(LongContext(unit), seed=seed, **settings).latents for seed, unit in enumerate(units)])


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        prog="python -m comfyui_ace.benchmarks.training.few_evaluations", description=__doc__
    )
    parser.add_argument("folder", type=Path, help="for pairs and LoRAs")
    parser.add_argument("--steps", type=int, default=200, help="of each training")
    arguments = parser.parse_args()
    bundle = find_bundle(SHIPPED_BUNDLES / "ace-tiny")
    model = ACEPipeline.load(bundle)
    taught = _answers(model, _STEPS, _SCALE)
    pairs = _write_pairs(arguments.folder)
    answers = {"no LoRA": {steps: _answers(model, steps, 1.0) for steps in _FEWER}}
    minutes = {"no LoRA": 0.0}
    for method in ("guidance", "consistency"):
        started = time.process_time()
        lora = _train(method, arguments.folder, pairs, arguments.steps)
        minutes[method] = (time.process_time() - started) / 60
        student = ACEPipeline.load(bundle).with_loras([(read_lora(lora), 1.0)])
        answers[method] = {steps: _answers(student, steps, 1.0) for steps in _FEWER}
    print(
        f"The teacher: {2 * _STEPS} evaluations a picture. Distances to its latents, {arguments.steps} steps of training:\n"
    )
    print("| student | CPU min | " + " | ".join(f"{steps} evaluations" for steps in _FEWER) + " |")
    print("| --- " * (2 + len(_FEWER)) + "|")
    for name, found in answers.items():
        distances = [((found[steps] - taught).square().mean() / taught.var()).item() for steps in _FEWER]
        print(f"| {name} | {minutes[name]:.1f} | " + " | ".join(f"{distance:.4f}" for distance in distances) + " |")


if __name__ == "__main__":
    main()
