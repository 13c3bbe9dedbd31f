"""``comfyui-ace evaluate``."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..training.arguments import MAX_SEED, MAX_STEPS, bounded_float, bounded_int
from ..training.evaluate.benchmarks.command import add_benchmark_arguments, run_benchmark
from .common import DTYPES, add_adapter_arguments, choose_bundle, parse_device, parse_dtype, read_adapters
from .judge import add_judge_arguments, choose_judge

if TYPE_CHECKING:
    import torch

    from ..ace.pipeline import ACEPipeline


def add_parsers(subparsers) -> None:
    """Adds ``comfyui-ace evaluate``."""
    evaluate = subparsers.add_parser(
        "evaluate",
        help="measure a trained model against the teacher's results",
        description="Compare what a model makes of held-out pairs with what the teacher made of them: L1, PSNR, SSIM "
        "(and LPIPS where the package and its weights are at hand), beside the unedited source, the teacher with "
        "another seed, and the VAE's round trip as the ceiling. Writes evaluation.json and index.html with the pictures. "
        "With --benchmark the model answers a benchmark's questions instead, and its numbers are set beside the papers'.",
    )
    evaluate.add_argument(
        "datasets", nargs="*", type=Path, metavar="DATASET", help="folder of pairs; with --benchmark its data"
    )
    evaluate.add_argument("-m", "--model", default=None, metavar="FOLDER", help="folder of an ACE model, or its name")
    add_adapter_arguments(evaluate)
    evaluate.add_argument(
        "--weights", type=Path, metavar="FILE", help="a whole trained transformer in place of the model's own"
    )
    evaluate.add_argument(
        "-o", "--output", type=Path, default=Path("output/evaluation"), metavar="FOLDER", help="(default: %(default)s)"
    )
    evaluate.add_argument("--split", choices=("validation", "train", "both"), default="validation")
    evaluate.add_argument(
        "--pairs",
        type=bounded_int(1),
        default=32,
        metavar="N",
        help="evaluate at most this many (default: %(default)s)",
    )
    evaluate.add_argument(
        "--max-tokens",
        type=bounded_int(1),
        metavar="N",
        help="patches of 16 x 16 pixels in the largest picture, as in training",
    )
    evaluate.add_argument("--fill", choices=("keep", "blank"), default="keep", help="what the model sees under a mask")
    _add_sampler_arguments(evaluate)
    evaluate.add_argument(
        "--keep-detail",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also measure the results after Keep Detail, which gives back what the VAE took of the source",
    )
    evaluate.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps (default: the best there is)")
    evaluate.add_argument("--dtype", choices=DTYPES, default="auto", help="of the transformer")
    add_judge_arguments(evaluate, "the results")
    evaluate.add_argument("--json", action="store_true", help="print the numbers as JSON")
    add_benchmark_arguments(evaluate)
    evaluate.set_defaults(run=run_evaluate)


def _add_sampler_arguments(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument(
        "--seed", type=bounded_int(0, MAX_SEED // 2), default=0, help="of the first pair (default: %(default)s)"
    )
    evaluate.add_argument(
        "--steps", type=bounded_int(1, MAX_STEPS), help="sampling steps (default: as the model was published)"
    )
    evaluate.add_argument(
        "--guidance", type=bounded_float(0), metavar="SCALE", help="guidance scale; 1 switches it off"
    )
    evaluate.add_argument("--rescale", type=bounded_float(0, 1), metavar="PHI", help="guidance rescale, 0 … 1")


def load_pipeline(arguments: argparse.Namespace, device: torch.device) -> tuple[ACEPipeline, str]:
    """The student on a device, and its name."""
    from ..ace.pipeline import ACEPipeline

    bundle = choose_bundle(arguments.model)
    if arguments.weights is not None:
        bundle = replace(bundle, dit=arguments.weights, name=arguments.weights.stem)
    loras, editnets = read_adapters(arguments)
    pipeline = ACEPipeline.load(bundle, device=device, dtype=parse_dtype(arguments.dtype, device))
    names = [bundle.name, *(file.path.stem for file, _ in [*loras, *editnets])]
    return pipeline.with_adapters(loras, editnets), " with ".join(names)


def run_evaluate(arguments: argparse.Namespace) -> int:
    """Evaluates and writes numbers and page; returns the exit code."""
    from tqdm import tqdm

    from ..ace.pictures.resolution import Resolution
    from ..training.evaluate.cases import CaseSettings
    from ..training.evaluate.page import describe, write_page
    from ..training.evaluate.run import SamplerSettings, evaluate
    from ..training.evaluate.verdict import give_verdict

    if arguments.benchmark:
        return run_benchmark(arguments, parse_device, load_pipeline, choose_judge)
    if not arguments.datasets:
        raise ValueError("name a dataset to evaluate on, or a benchmark with --benchmark")
    judge = choose_judge(arguments)
    pipeline, student = load_pipeline(arguments, parse_device(arguments.device))
    with tqdm(desc="evaluating", unit="pair", disable=arguments.json) as bar:

        def progress(_what: str, done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        evaluation = evaluate(
            pipeline,
            arguments.datasets,
            cases=CaseSettings(
                split=None if arguments.split == "both" else arguments.split,
                max_pairs=arguments.pairs,
                fill=arguments.fill,
            ),
            sampler=SamplerSettings(arguments.seed, arguments.steps, arguments.guidance, arguments.rescale),
            resolution=None if arguments.max_tokens is None else Resolution.published(arguments.max_tokens),
            student=student,
            judge=judge,
            detail=arguments.keep_detail,
            progress=progress,
        )
    evaluation.write_json(arguments.output / "evaluation.json")
    page = write_page(evaluation, arguments.output / "index.html")
    if arguments.json:
        print(json.dumps(evaluation.as_dict(), indent=2))
    else:
        print(f"{describe(evaluation)}\n{give_verdict(evaluation).sentence}\n{page}")
    return 0
