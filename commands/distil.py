"""``comfyui-ace distil``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..training.arguments import bounded_float, bounded_int
from .common import StopOnSignal, choose_bundle
from .judge import add_judge_arguments
from .train import JsonDisplay, TextDisplay

_EPILOG = """The same command again continues a run that was stopped or killed. Ctrl+C (or SIGTERM, or a file named
stop_now in the output folder) saves, writes LoRA and workflow as they are, and stops."""


def add_parsers(subparsers) -> None:
    """Adds ``comfyui-ace distil``."""
    distil = subparsers.add_parser(
        "distil",
        help="turn a dataset into a LoRA, a report and a replacement workflow",
        description="Train a LoRA on the pairs of a dataset, compare it with the teacher on held-out pairs, and write a "
        "small ComfyUI workflow that does with the LoRA what the large one did. The original is never touched.",
        epilog=_EPILOG,
    )
    distil.add_argument("datasets", nargs="+", type=Path, metavar="DATASET", help="folder of pairs; several are joined")
    distil.add_argument("-m", "--model", default=None, metavar="FOLDER", help="folder of the base model, or its name")
    distil.add_argument("-n", "--name", default=None, help="of LoRA and workflow (default: that of the dataset)")
    distil.add_argument(
        "-o", "--output", type=Path, default=None, metavar="FOLDER", help="of the run (default: output/distil/NAME)"
    )
    distil.add_argument(
        "--steps",
        type=_steps,
        metavar="N|auto",
        help="optimiser steps; auto: until the pictures on held-out pairs come no nearer to the teacher's, and the best of "
        "them are taken",
    )
    distil.add_argument(
        "--max-steps", type=bounded_int(1), metavar="N", help="with --steps auto: the most (default: 3 times the usual)"
    )
    distil.add_argument("--rank", type=bounded_int(1), help="of the LoRA")
    distil.add_argument("--learning-rate", type=bounded_float(0), metavar="RATE", help="at its highest")
    distil.add_argument("--batch-size", type=bounded_int(1), metavar="N", help="pairs in one forward pass")
    distil.add_argument("--seed", type=bounded_int(0), help="decides starting weights, order and noise")
    distil.add_argument(
        "--config", type=Path, metavar="FILE.toml", help="everything else (default: training/configs/distil-lora.toml)"
    )
    distil.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a single setting of it, such as lora.adapter=dora; repeatable",
    )
    distil.add_argument("--device", choices=("auto", "cpu"), default="auto")
    distil.add_argument(
        "--inputs", type=Path, metavar="FOLDER", help="where to put the workflow's example pictures (ComfyUI's input)"
    )
    _add_evaluation_arguments(distil)
    distil.add_argument(
        "--learning-curve",
        action="store_true",
        help="also train on each half of the pairs, and say what more pairs would bring; takes twice as long again",
    )
    distil.add_argument("--json", action="store_true", help="report by one JSON object a line on standard output")
    distil.set_defaults(run=run_distil)


def _add_evaluation_arguments(distil: argparse.ArgumentParser) -> None:
    """How the student is measured, and what follows from that for the workflow."""
    distil.add_argument(
        "--pairs",
        type=bounded_int(0),
        default=16,
        metavar="N",
        help="to evaluate on; 0: do not evaluate (default: %(default)s)",
    )
    distil.add_argument(
        "--train-only", action="store_true", help="only train; the whole model, too, if --config says so"
    )
    add_judge_arguments(distil, "the student's and the teacher's results")
    distil.add_argument(
        "--keep-detail",
        choices=("auto", "on", "off"),
        default="auto",
        help="in the workflow, give back what the VAE took of the source: where held-out pairs come out better, always, or "
        "never (default: %(default)s)",
    )
    distil.add_argument(
        "--speed-loss",
        type=bounded_float(0, 0.5),
        default=0.05,
        metavar="SHARE",
        help="of the score that may be given up for fewer steps and no guidance, as measured on held-out pairs; 0: sample "
        "as the model does (default: %(default)s)",
    )


def _steps(text: str) -> int | str:
    try:
        return text if text == "auto" else bounded_int(1)(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}; or auto") from None


def run_distil(arguments: argparse.Namespace) -> int:
    """Distils, or goes on with it; returns the exit code."""
    from ..training.dataset.disk.names import check_dataset_name
    from ..training.distil import distil
    from ..training.distil_config import DistilSettings
    from ..training.trainer.config_file import parse_overrides
    from ..training.trainer.errors import ConfigError

    automatic = arguments.steps == "auto"
    if arguments.max_steps is not None and not automatic:
        raise ConfigError(
            f"--max-steps is {arguments.max_steps}, which belongs to --steps auto; say --steps {arguments.max_steps} for as "
            "many, or --steps auto"
        )
    name = check_dataset_name(arguments.name or arguments.datasets[0].resolve().name, "name")
    settings = DistilSettings(
        datasets=arguments.datasets,
        bundle=choose_bundle(arguments.model).folder,
        output=arguments.output or Path("output/distil") / name,
        name=name,
        steps=arguments.max_steps if automatic else arguments.steps,
        automatic_length=automatic,
        learning_curve=arguments.learning_curve,
        rank=arguments.rank,
        learning_rate=arguments.learning_rate,
        batch_size=arguments.batch_size,
        seed=arguments.seed,
        config=arguments.config,
        overrides=parse_overrides(arguments.set),
        device=arguments.device,
        inputs=arguments.inputs,
        pairs=arguments.pairs,
        keep_detail=arguments.keep_detail,
        train_only=arguments.train_only,
        judge_server=arguments.judge_server,
        judge_model=arguments.judge_model,
        speed_loss=arguments.speed_loss,
    )
    display = JsonDisplay() if arguments.json else DistilDisplay()
    try:
        with StopOnSignal() as stop:
            distil(settings, on_event=display, should_stop=stop.requested)
    finally:
        display.close()
    return 0


class DistilDisplay(TextDisplay):
    """As of training, and where everything is in the end."""

    def _on_end(self, event) -> None:
        self.close()
        if not event["finished"]:
            print(f"stopped at step {event['step']}; the same command goes on from there", file=sys.stderr)
        self._print_datasets(event)

    def _on_distilled(self, event) -> None:
        self.close()
        if event["verdict"]:
            print(event["verdict"], file=sys.stderr)
        for what in ("trained", "workflow", "report"):
            if event[what]:
                print(f"{what}: {event[what]}")
