"""How good pictures are that take few evaluations of the model.

    .venv/bin/python -m comfyui_ace.benchmarks.training.few_evaluations FOLDER [--only "scenes from words"]

Each teacher is a model that samples with 20 steps and guidance, which is 40 evaluations a picture. Students are LoRAs that
have learnt from the teacher itself; both, and the teacher without guidance, answer the same held-out questions from the same
noise. Scores say how good the pictures are, not how near to the teacher's. A step with guidance is two evaluations.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch

from ...ace.bundles.bundle import SHIPPED_BUNDLES, Bundle, find_bundle
from ...ace.lcu.units import ConditionImage, ConditionUnit, LongContext
from ...ace.pictures.resolution import Resolution
from ...ace.pipeline import ACEPipeline
from ...ace.weights.lora import read_lora
from ...ace.weights.presets import RecommendedSampling
from ...training.dataset.store import Dataset, DatasetSettings, Pair
from ...training.tiny.measure.scores import Sampling
from ...training.tiny.measure.words import paint, read, scene_prompts, shares
from ...training.tiny.world import operations
from ...training.tiny.world.pictures import Pictures
from ...training.tiny.world.scenes import draw_scene
from ...training.trainer.config_file import make_config
from ...training.trainer.run import train
from ..report import Cell, print_table
from .distillation import CHECKS

TEACHER_STEPS = 20
STEPS_COMPARED = (20, 8, 6, 4)
METHODS = ("guidance", "consistency")
_SEED = 101


class Subject(Protocol):
    """A teacher and what it is asked."""

    own: RecommendedSampling

    def write_pairs(self, folder: Path) -> Path:
        """Dataset of what students are asked while they learn."""
        ...

    def bundle(self, folder: Path, pairs: Path) -> Bundle:
        """The teacher, trained on such a dataset if it is not there."""
        ...

    def score(self, pipeline: ACEPipeline, sampling: RecommendedSampling, count: int) -> float:
        """How good the answers to held-out questions are; 1 is perfect."""
        ...


@dataclass(frozen=True)
class ScenesFromWords:
    """ace-tiny paints shapes on plain backgrounds; the score is the share of pictures on which a program reads the words."""

    own: ClassVar[RecommendedSampling] = RecommendedSampling(TEACHER_STEPS, 3.0, 0.5)
    pairs: int = 1000

    def bundle(self, folder: Path, pairs: Path) -> Bundle:
        return find_bundle(SHIPPED_BUNDLES / "ace-tiny")

    def write_pairs(self, folder: Path) -> Path:
        dataset = _open(folder)
        for index in range(len(dataset), self.pairs):
            rng = np.random.default_rng((_SEED, index))
            scene = draw_scene(rng)
            dataset.append(Pair(target=np.asarray(scene.paint(rng, 128, 128)), instruction=scene.describe(rng)))
        return dataset.folder

    def score(self, pipeline: ACEPipeline, sampling: RecommendedSampling, count: int) -> float:
        how = Sampling(**asdict(sampling))
        prompts = scene_prompts(count)
        painted = [paint(pipeline, prompt, how, seed) for seed, prompt in enumerate(prompts)]
        return shares([read(picture, p.meaning) for picture, p in zip(painted, prompts, strict=True)])["all"]


@dataclass(frozen=True)
class WideToy:
    """A model of the published width and two blocks, trained to invert pictures of 64 px; 1 - L1 / L1 of the source."""

    own: ClassVar[RecommendedSampling] = RecommendedSampling(TEACHER_STEPS, 4.5, 0.5)
    pairs: int = 256
    side: int = 64
    steps: int = 300
    instruction: str = "invert the colors of {image}"

    def bundle(self, folder: Path, pairs: Path) -> Bundle:
        tiny = find_bundle(SHIPPED_BUNDLES / "ace-tiny")
        table = _train_settings(folder / "base", tiny, pairs, self.steps, 16, 5e-4) | {
            "model": {"bundle": str(tiny.folder), "scratch": {"depth": 2, "max_seq_len": 64}},
            "method": "full",
        }
        return replace(tiny, dit=train(make_config(table)).path)

    def write_pairs(self, folder: Path) -> Path:
        dataset, pictures = _open(folder), Pictures("train", (self.side, self.side), _SEED)
        for index in range(len(dataset), self.pairs):
            source = pictures[index]
            inverted = operations.invert(source)
            dataset.append(Pair(source=source.numpy(), target=inverted.numpy(), instruction=self.instruction))
        return dataset.folder

    def score(self, pipeline: ACEPipeline, sampling: RecommendedSampling, count: int) -> float:
        pictures, errors = Pictures("validation", (self.side, self.side), _SEED), []
        for index in range(count):
            source = pictures[index]
            target = operations.invert(source)
            result = pipeline(
                LongContext(ConditionUnit(self.instruction, [ConditionImage(source[None])])),
                seed=index,
                resolution=Resolution.exact(self.side, self.side),
                **asdict(sampling),
            ).images[0]
            errors.append([(picture - target).abs().mean().item() for picture in (result, source)])
        student, source = np.sum(errors, axis=0)
        return float(1 - student / source)


SUBJECTS: Mapping[str, Subject] = {"scenes from words": ScenesFromWords(), "a wide toy": WideToy()}


@dataclass(frozen=True)
class StudentTraining:
    """How students learn from a teacher without guidance.

    Attributes:
        steps, batch: of the training.
        teacher_steps: in which the teacher samples for its students.
        learning_rate: by method.
    """

    steps: int = 800
    teacher_steps: int = 8
    batch: int = 8
    learning_rate: Mapping[str, float] = field(default_factory=lambda: {"guidance": 1e-3, "consistency": 3e-4})

    def teach(self, subject: Subject, method: str, teacher: Bundle, pairs: Path, folder: Path) -> Path:
        """The student's LoRA."""
        output = folder / f"{method}-{self.steps}"
        rate = self.learning_rate[method]
        table = _train_settings(output, teacher, pairs, self.steps, self.batch, rate) | {
            "method": "lora",
            "lora": {"rank": 64},
            "distil": {"method": method, **asdict(subject.own), "steps": self.teacher_steps},
        }
        return train(make_config(table)).path


def _open(folder: Path) -> Dataset:
    return Dataset.open_or_create(folder, "pairs", settings=DatasetSettings(0.0), checks=CHECKS)


def _train_settings(
    output: Path, bundle: Bundle, pairs: Path, steps: int, batch: int, learning_rate: float
) -> dict[str, Any]:
    """A training on the CPU that measures and shows nothing."""
    return {
        "output": str(output),
        "model": {"bundle": str(bundle.folder), "weights": str(bundle.dit)},
        "data": {"datasets": [str(pairs)], "cache": str(output.parent / "cache")},
        "objective": {"weighting": "velocity"},
        "optimizer": {"learning_rate": learning_rate, "schedule": "cosine", "warmup_steps": 10},
        "steps": steps,
        "batch_size": batch,
        "precision": "fp32",
        "device": "cpu",
        "tensorboard": False,
        "plot": False,
        **{what: {"every": 0} for what in ("validation", "samples", "checkpoints")},
    }


def measure(name: str, folder: Path, training: StudentTraining, methods: Sequence[str], count: int) -> None:
    """Prints the table of one teacher and its students.

    Args:
        name: in ``SUBJECTS``.
        folder: for pairs, models and LoRAs.
        training: how students learn.
        methods: of which there is a student each.
        count: held-out questions.
    """
    subject = SUBJECTS[name]
    pairs = subject.write_pairs(folder)
    teacher = subject.bundle(folder, pairs)
    pipeline = ACEPipeline.load(teacher)

    def scores(student: ACEPipeline, guidance_scale: float) -> list[float]:
        ways = (replace(subject.own, steps=steps, guidance_scale=guidance_scale) for steps in STEPS_COMPARED)
        return [subject.score(student, way, count) for way in ways]

    def rows() -> Iterator[tuple[Cell, ...]]:
        yield "teacher, with guidance: two evaluations a step", None, *scores(pipeline, subject.own.guidance_scale)
        yield "teacher, without guidance", None, *scores(pipeline, 1.0)
        for method in methods:
            started = time.process_time()
            lora = read_lora(training.teach(subject, method, teacher, pairs, folder))
            minutes = (time.process_time() - started) / 60
            student = ACEPipeline.load(teacher).with_loras([(lora, 1.0)])
            yield f"student, {method}", minutes, *scores(student, 1.0)

    print_table(
        f"Fewer evaluations: {name}",
        ("pictures by", "CPU min, the first with encoding", *(f"{steps} steps" for steps in STEPS_COMPARED)),
        rows(),
        (
            f"Scores on {count} held-out questions; students learnt {training.steps} steps of {training.batch}. "
            "Aim: 8 evaluations within 5 % of the teacher's 40.",
        ),
    )


def main() -> None:
    """Prints a table for each teacher."""
    parser = argparse.ArgumentParser(
        prog="python -m comfyui_ace.benchmarks.training.few_evaluations", description=__doc__
    )
    parser.add_argument("folder", type=Path, help="for pairs, models and LoRAs")
    parser.add_argument("--only", choices=list(SUBJECTS), nargs="+", default=list(SUBJECTS))
    parser.add_argument("--methods", choices=METHODS, nargs="+", default=METHODS)
    parser.add_argument("--steps", type=int, default=StudentTraining().steps, help="of each student's training")
    parser.add_argument("--count", type=int, default=100, help="of held-out questions")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.only:
        place = arguments.folder / name.replace(" ", "-")
        measure(name, place, StudentTraining(arguments.steps), arguments.methods, arguments.count)


if __name__ == "__main__":
    main()
