"""``comfyui-ace demo``: the whole loop on what comes with the pack."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ...ace.bundles.bundle import SHIPPED_BUNDLES
from ...ace.files import atomic_write
from ...training.arguments import bounded_int

_NAME = "cyanotype"


def add_parsers(subparsers) -> None:
    """Adds ``comfyui-ace demo``."""
    demo = subparsers.add_parser(
        "demo",
        help="the whole loop on a small model: pairs, training, evaluation, report",
        description="Shows a few photographs to a teacher made of several image operations, keeps the pairs, trains a LoRA "
        "on the small model that comes with the pack, and leaves a page with source, teacher, student and the score. A few "
        "minutes on two CPU cores, no download. The small model is a proof that everything works together; its pictures "
        "are 128 pixels wide and soft.",
    )
    demo.add_argument("-o", "--output", type=Path, default=Path("output/demo"), help="folder (default: %(default)s)")
    demo.add_argument("--photos", type=Path, metavar="FOLDER", help="your own photographs (default: embedded ones)")
    demo.add_argument(
        "--pairs", type=bounded_int(2), default=48, metavar="N", help="to train on (default: %(default)s)"
    )
    demo.add_argument(
        "--held-out", type=bounded_int(1), default=8, metavar="N", help="to evaluate on (default: %(default)s)"
    )
    demo.add_argument("--steps", type=bounded_int(1), default=200, help="of the training (default: %(default)s)")
    demo.set_defaults(run=run_demo)


def run_demo(arguments: argparse.Namespace) -> int:
    """Captures pairs, distils, edits a picture; returns the exit code."""
    from ...cli import main
    from ...training.packages import require_packages
    from .pairs import EMBEDDED, INSTRUCTION

    require_packages()
    dataset = _pairs(arguments)
    result = _distil(arguments, dataset)
    if not result.finished:
        return 1
    edited = arguments.output / "edited.png"
    edit = ["edit", INSTRUCTION, str(EMBEDDED), "-o", str(edited), "--seed", "1", "-q"]
    failed = main([*edit, "--model", str(SHIPPED_BUNDLES / "ace-tiny"), "--lora", str(result.trained)])
    if not failed:
        print(
            f"\nThe page with sources, teacher and student: {result.report}\n"
            f"The pairs: {dataset}\nThe LoRA: {result.trained}\n"
            f"The workflow that replaces the teacher, for ComfyUI: {result.workflow}\n"
            "For real work get a published model: comfyui-ace download ACE-0.6B-512px"
        )
    return failed


def _check_same_demo(arguments: argparse.Namespace) -> None:
    """A folder holds one demo: with other photographs the pairs would be mixed, and the LoRA would be that of the first.

    Raises:
        ValueError: the folder holds another one.
    """
    settings = {
        "photos": None if arguments.photos is None else str(arguments.photos.resolve()),
        "pairs": arguments.pairs,
        "held_out": arguments.held_out,
    }
    record = arguments.output / "demo.json"
    try:
        stored = json.loads(record.read_text(encoding="utf-8"))
    except FileNotFoundError:
        with atomic_write(record) as temporary:
            temporary.write_text(json.dumps(settings) + "\n", encoding="utf-8", newline="\n")
        return
    if stored != settings:
        differing = ", ".join(
            f"{key} {stored.get(key)} (now {value})" for key, value in settings.items() if stored.get(key) != value
        )
        raise ValueError(
            f"{arguments.output} holds a demo made with other settings: {differing}. Choose another folder with -o, or "
            "remove that one"
        )


def _pairs(arguments: argparse.Namespace) -> Path:
    """The dataset's folder; what is there from an earlier demo stays."""
    from ...training.dataset.store import Dataset
    from .pairs import capture, photographs

    pictures = photographs(arguments.photos)
    _check_same_demo(arguments)
    dataset = Dataset.open_or_create(arguments.output / "datasets", _NAME)
    capture(pictures, dataset, arguments.pairs, arguments.held_out)
    counts = dataset.counts()
    print(
        f"the teacher has been shown squares of {len(pictures)} photographs: {counts.train} pairs to train on, "
        f"{counts.validation} held out",
        file=sys.stderr,
    )
    return dataset.folder


def _distil(arguments: argparse.Namespace, dataset: Path):
    from ...training.distil import distil
    from ...training.distil_config import small_model_settings
    from ..common import StopOnSignal
    from ..distil import DistilDisplay

    settings = small_model_settings(
        [dataset],
        arguments.output / "run",
        _NAME,
        steps=arguments.steps,
        pairs=arguments.held_out,
        validate_every=max(1, arguments.steps // 5),
    )
    display = DistilDisplay()
    try:
        with StopOnSignal() as stop:
            return distil(settings, on_event=display, should_stop=stop.requested)
    finally:
        display.close()
