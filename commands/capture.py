"""``comfyui-ace capture``: training pairs from any ComfyUI workflow, run over a folder of pictures."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ..training.arguments import add_mask_from, bounded_float
from .common import call_on_stop

_MAX_PICTURES = 10


def add_parsers(subparsers) -> None:
    """Adds the command ``capture``."""
    parser = subparsers.add_parser(
        "capture",
        help="run a workflow over a folder and keep (source, mask, instruction, result) as training pairs",
        description="Runs a ComfyUI workflow over every picture of a folder, on one or many running ComfyUI servers, and "
        "keeps sources, masks, instruction and result as pairs of a dataset. Stopped at any moment, the same command "
        "goes on where it was and repeats nothing. Which nodes load the source and show the result is taken from Capture "
        "Source and Capture Result nodes, else found by a search; where that leaves a choice you are asked.",
        epilog="What a job gave is not made again, unless a pair of it is gone from the dataset or other checks may let "
        "pass what was rejected. Pictures are sent to the servers' input/ace-capture, results are fetched from their "
        "temp folder: ComfyUI empties the second when it starts, the first can be deleted between captures. "
        "Exit code 0: every input was captured, or rejected by a check. 1: stopped, or some inputs were set aside "
        "(each with its reason). 2: a question about the workflow needs an answer, or bad usage.",
    )
    parser.add_argument(
        "workflow", type=Path, metavar="WORKFLOW.json", help="UI format or API format, or a picture with its workflow"
    )
    _add_inputs(parser)
    _add_roles(parser)
    _add_running(parser)
    parser.set_defaults(run=run_capture)


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("inputs and dataset")
    group.add_argument("--inputs", type=Path, required=True, metavar="DIR", help="the pictures to edit, {image}")
    group.add_argument("--masks", type=Path, metavar="DIR", help="their masks, white = may change; same file stems")
    group.add_argument(
        "--subfolders", action="store_true", help="pictures in subfolders count, too; matched by their paths"
    )
    add_mask_from(group)
    for index in range(1, _MAX_PICTURES):
        help_ = "pictures for {image1} … {image9} and their masks; same file stems" if index == 1 else argparse.SUPPRESS
        group.add_argument(f"--inputs-{index}", type=Path, metavar="DIR", help=help_)
        group.add_argument(f"--masks-{index}", type=Path, metavar="DIR", help=argparse.SUPPRESS)
    group.add_argument("--dataset", default="", metavar="NAME", help="the dataset (default: the marker's)")
    group.add_argument(
        "--root",
        type=Path,
        default=Path(os.environ.get("ACE_DATASETS", "datasets")),
        metavar="DIR",
        help="folder of the datasets (default: $ACE_DATASETS, else %(default)s)",
    )
    group.add_argument(
        "--instruction",
        metavar="TEXT",
        help="of all pairs (default: the marker's, else a trigger word: the dataset's name)",
    )
    group.add_argument(
        "--tag",
        action="append",
        default=[],
        metavar="TAG",
        help="kept with every pair; repeatable (default: the marker's)",
    )
    group.add_argument(
        "--check",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a quality check, for example size=off or near_duplicate_bits=4; repeatable (default: the marker's)",
    )


def _add_roles(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("roles of nodes (each given by number, title or type)")
    group.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="NODE",
        help="loader of --inputs, then of --inputs-1, …; pairs show what is marked, where something is",
    )
    group.add_argument(
        "--mask", action="append", default=[], metavar="NODE", help="loader of --masks, then of --masks-1, …"
    )
    group.add_argument("--result", metavar="NODE", help="what shows or makes the result")
    group.add_argument(
        "--seed", action="append", default=[], metavar="NODE.INPUT", help="a seed that varies; repeatable"
    )
    group.add_argument("--seeds", type=int, default=1, metavar="N", help="results an input (default: %(default)s)")
    group.add_argument(
        "--first-seed", type=int, metavar="N", help="the same seeds for every input, from N on (default: by the input)"
    )


def _add_running(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("running")
    group.add_argument(
        "--server", action="append", default=[], metavar="URL", help="repeatable (default: http://127.0.0.1:8188)"
    )
    group.add_argument(
        "--in-flight", type=int, default=2, metavar="N", help="prompts queued a server (default: %(default)s)"
    )
    group.add_argument("--retries", type=int, default=3, metavar="N", help="further attempts (default: %(default)s)")
    group.add_argument(
        "--wait",
        type=bounded_float(0),
        default=600.0,
        metavar="SECONDS",
        help="without any server (default: %(default)s)",
    )
    group.add_argument("--retry-quarantined", action="store_true", help="try inputs again that were set aside earlier")
    group.add_argument("--dry-run", action="store_true", help="say what would be run; nothing is written or queued")
    group.add_argument("--json", action="store_true", help="one JSON object a line and an event")


def run_capture(arguments: argparse.Namespace) -> int:
    """Runs a capture and returns the exit code."""
    import asyncio

    from ..training.capture.errors import AmbiguousRoleError, CaptureError
    from ..training.capture.report import JsonReport, ProgressBarReport
    from ..training.errors import DatasetError

    try:
        settings = _settings(arguments)
    except ValueError as error:
        print(f"comfyui-ace capture: {error}", file=sys.stderr)
        return 2
    report = JsonReport() if arguments.json else ProgressBarReport()
    try:
        progress = asyncio.run(_run(settings, report, can_ask=not arguments.json))
    except (CaptureError, DatasetError) as error:
        if arguments.json:
            report("error", {"message": str(error)})
        print(f"comfyui-ace capture: {error}", file=sys.stderr)
        return 2 if isinstance(error, AmbiguousRoleError) else 1
    finally:
        report.close()
    report("summary", progress.counts())
    if not arguments.json:
        _print_summary(progress, arguments.dry_run)
    return 0 if arguments.dry_run or progress.complete else 1


async def _run(settings, report, *, can_ask: bool):
    import asyncio

    from ..training.capture.roles import never_ask
    from ..training.capture.sweep import capture

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_event(event: str, data: dict) -> None:
        if event == "start" and not settings.dry_run:  # until then an interrupt ends the program at once
            call_on_stop(loop, stop.set)
        report(event, data)

    can_ask = can_ask and sys.stdin.isatty() and sys.stderr.isatty()
    return await capture(settings, on_event, ask=_ask if can_ask else never_ask, stop=stop)


def _settings(arguments: argparse.Namespace):
    from ..training.capture.client import DEFAULT_URL
    from ..training.capture.roles import RoleChoices
    from ..training.capture.scheduler import Limits
    from ..training.capture.sweep import CaptureSettings

    inputs, masks = _folders(arguments)
    if arguments.seeds < 1:
        raise ValueError(f"--seeds is at least 1, got {arguments.seeds}.")
    return CaptureSettings(
        workflow=arguments.workflow,
        inputs=inputs,
        masks=masks,
        root=arguments.root,
        dataset=arguments.dataset,
        servers=tuple(arguments.server) or (DEFAULT_URL,),
        choices=RoleChoices(
            sources=tuple(arguments.source),
            masks=tuple(arguments.mask),
            result=arguments.result,
            seeds=tuple(arguments.seed),
            folders=len(inputs),
            mask_folders=tuple(masks),
        ),
        instruction=arguments.instruction,
        tags=tuple(arguments.tag),
        seeds=arguments.seeds,
        first_seed=arguments.first_seed,
        in_flight=max(1, arguments.in_flight),
        checks=_checks(arguments.check),
        mask_from=arguments.mask_from,
        subfolders=arguments.subfolders,
        limits=Limits(retries=max(0, arguments.retries), wait=arguments.wait),
        retry_quarantined=arguments.retry_quarantined,
        dry_run=arguments.dry_run,
    )


def _folders(arguments: argparse.Namespace) -> tuple[tuple[Path, ...], dict[int, Path]]:
    """Input folders in order, and mask folders by the index of theirs."""
    inputs = [arguments.inputs, *(getattr(arguments, f"inputs_{index}") for index in range(1, _MAX_PICTURES))]
    masks = [arguments.masks, *(getattr(arguments, f"masks_{index}") for index in range(1, _MAX_PICTURES))]
    count = next((index for index, folder in enumerate(inputs) if folder is None), _MAX_PICTURES)
    for index in range(_MAX_PICTURES):
        for name, folder in (("inputs", inputs[index]), ("masks", masks[index])):
            if folder is not None and index >= count:
                raise ValueError(
                    f"--{name}-{index} is given, but --inputs-{count} is not. Number the folders without gaps."
                )
    return tuple(inputs[:count]), {index: folder for index, folder in enumerate(masks) if folder is not None}


def _checks(given: list[str]):
    from ..training.dataset.intake.checks import parse_checks
    from ..training.errors import CheckError

    try:
        return parse_checks(given)
    except CheckError as error:
        raise ValueError(f"--check: {error}") from None


def _ask(question) -> int:
    """A numbered list on the terminal."""
    print(str(question).rpartition("\n")[0], file=sys.stderr)
    while True:
        print(f"Number (or start again with {question.flag}): ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline()
        if not answer:
            raise question
        if answer.strip().isdecimal() and 1 <= int(answer) <= len(question.choices):
            return int(answer) - 1


def _print_summary(progress, dry_run: bool) -> None:
    if dry_run:
        print(
            f"Jobs: {progress.left} of {progress.total} would run. Inputs that would be set aside: {progress.unusable}."
        )
        return
    print(
        f"Pairs: {progress.stored} stored, {progress.duplicates} known already, {progress.rejected} rejected. Jobs: "
        f"{progress.earlier} done earlier, {progress.quarantined + progress.unusable} set aside, {progress.failed} failed."
    )
    if progress.left or progress.failed:
        print("Not all is done; the same command goes on from here.")
