"""``comfyui-ace match``: training pairs from a collection of pictures."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

from ..training.arguments import bounded_float, bounded_int

_REASONS = 10  # shown on a terminal
_WINDOW = re.compile(r"(-?\d*\.?\d+)(?:-(\d*\.?\d+))?")
_EPILOG = """Without --dataset nothing is written but a report with pages on which sets can be struck out; the same command
with --dataset NAME then writes the rest. Whatever is done is kept: a run that was stopped or killed goes on, and after
another threshold only what depends on it is done again. Pairs have no instruction, and are not trained on, until
`comfyui-ace label` or a person has written one, unless --instruction gives one to all. See docs/matching.md."""


def add_parsers(subparsers) -> None:
    parser = subparsers.add_parser(
        "match",
        help="find pictures of a collection that belong together, and keep them as training pairs",
        description="Looks for pictures that belong together in folders (or archives, or object stores), groups them by "
        "two turns of similarity, tests every pair of a group itself, and writes the pairs into a dataset.",
        epilog=_EPILOG,
    )
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="with pictures, or .tar archives of such")
    parser.add_argument(
        "--preset",
        default="scene",
        metavar="NAME",
        help="scene (default), face, aligned-face, style, series or rounds; what is given beside it wins",
    )
    parser.add_argument("-o", "--output", metavar="FOLDER", help="of the run (default: output/match/NAME)")
    _add_looking(parser)
    _add_emitting(parser)
    _add_running(parser)
    parser.set_defaults(run=run_match)


def _add_looking(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what belongs together")
    group.add_argument(
        "--descriptor",
        metavar="WHAT",
        help="what the first turn compares: layout (built in), style (built in), the path of a vision encoder (a file of "
        "models/clip_vision or a folder with config.json), or faces:DETECTOR.onnx,RECOGNISER.onnx",
    )
    group.add_argument(
        "--window",
        type=_window,
        metavar="LOW[-HIGH]",
        help="similarities that pass, such as 0.8-0.9 (default: by preset)",
    )
    group.add_argument(
        "--similarity",
        type=_similarity,
        metavar="WHAT:LOW[-HIGH]",
        help="a second turn: keypoints, style, faces:…, object:ENCODER, an encoder's path, or file.py:function of two "
        "pictures; and its window, such as keypoints:0.1",
    )
    group.add_argument(
        "--most-compared",
        type=bounded_int(1),
        metavar="N",
        help="pictures that the second turn compares each with (32)",
    )
    group.add_argument("--within-folders", action="store_true", default=None, help="pairs of one folder only")
    group.add_argument("--set-size", type=_span, metavar="LOW-HIGH", help="pictures of a set (2-200; style: 2-1000)")
    group.add_argument(
        "--keep-near-copies", action="store_true", help="set only equal files aside, not nearly equal ones"
    )


def _add_emitting(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("dataset")
    group.add_argument("--dataset", metavar="NAME", help="write the pairs into this dataset")
    group.add_argument(
        "--root",
        default=os.environ.get("ACE_DATASETS", "datasets"),
        metavar="DIR",
        help="folder of the datasets (default: $ACE_DATASETS, else %(default)s)",
    )
    group.add_argument(
        "--datasets", type=bounded_int(1), default=1, metavar="N", help="divide the sets among N datasets NAME-0000 …"
    )
    group.add_argument(
        "--choices",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="struck out on a page, beside choices*.json in the run's folder; of a page the newest counts; repeatable",
    )
    group.add_argument("--strike", action="append", default=[], metavar="SET", help="strike out a set; repeatable")
    group.add_argument(
        "--policy", choices=("all", "star", "chain", "series", "rounds"), help="which tested pairs (default: all)"
    )
    group.add_argument("--direction", choices=("balanced", "both"), help="of a pair (default: balanced)")
    group.add_argument("--per-set", type=bounded_int(1), metavar="N", help="pairs of a set (40)")
    group.add_argument("--per-picture", type=bounded_int(1), metavar="N", help="pairs of a picture (8)")
    group.add_argument("--references", type=_span, metavar="LOW-HIGH", help="of a series (3-8)")
    group.add_argument("--rounds", type=bounded_int(1), metavar="N", help="of a history (4)")
    group.add_argument("--seed", type=int, help="of what is left to chance (0)")
    group.add_argument("--instruction", default="", metavar="TEXT", help="words of all pairs (default: none yet)")
    group.add_argument("--tag", action="append", default=[], help="of all pairs; repeatable (always: match)")
    group.add_argument(
        "--megapixels",
        type=bounded_float(0.01),
        default=1.5,
        metavar="N",
        help="larger pictures are scaled down (%(default)s)",
    )
    group.add_argument(
        "--most-cut",
        type=bounded_float(0, 0.9),
        default=0.25,
        metavar="SHARE",
        help="of a source that may be cut off to give it the target's shape (%(default)s)",
    )


def _add_running(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("running")
    group.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="this machine (default), or Ray Data"
    )
    group.add_argument(
        "--address", metavar="ADDRESS", help="of a Ray cluster (default: one is started on this machine)"
    )
    group.add_argument("--device", default="auto", help="of models and products: auto (default), cpu, cuda, mps")
    group.add_argument(
        "--workers", type=bounded_int(1), metavar="N", help="processes that read pictures (default: all cores)"
    )
    group.add_argument(
        "--shard", type=bounded_int(1), default=1024, metavar="N", help="pictures of a shard (%(default)s)"
    )
    group.add_argument(
        "--exact-up-to",
        type=bounded_int(0),
        default=100_000,
        metavar="N",
        help="pictures up to which all are compared with all; above, by clusters (%(default)s)",
    )
    group.add_argument("--clusters", type=bounded_int(1), metavar="N", help="their number (default: what costs least)")
    group.add_argument(
        "--memberships", type=bounded_int(1), default=4, metavar="N", help="clusters of a picture (%(default)s)"
    )


def run_match(arguments: argparse.Namespace) -> int:
    from ..training.dataset.disk.names import check_dataset_name
    from ..training.dataset.disk.rows import UNLABELLED_ADVICE
    from ..training.match.report.choices import find_choices
    from ..training.match.report.statistics import as_text
    from ..training.match.run import emit, find_sets, report
    from ..training.match.steps.emitting import DatasetPlace

    settings = _settings(arguments)
    if arguments.dataset is not None:
        check_dataset_name(arguments.dataset)
    progress = _Progress()
    engine, device = _engine(arguments)
    try:
        found = find_sets(settings, engine, progress, device)
        page = report(found, settings, progress)
        progress.close()
        print(f"{as_text(found.counts, found.probe)}\nreport: {page or settings.output}", flush=True)
        if arguments.dataset is None:
            print("nothing else was written; look at the report, then give --dataset NAME")
            return 0
        choices = find_choices(settings.output, found.digest, arguments.choices, arguments.strike, print)
        place = DatasetPlace(str(Path(arguments.root).absolute()), arguments.dataset, arguments.datasets)
        written = emit(found, settings, engine, place, progress, choices)
    finally:
        progress.close()
        engine.close()
    struck = f" ({len(choices.sets)} sets and {len(choices.pictures)} pictures struck out)" if choices else ""
    print(f"{written.stored} pairs stored, {written.duplicates} there already, {written.rejected} rejected{struck}")
    for reason, count in written.reasons.most_common(_REASONS):
        print(f"left out: {count} x {reason}")
    if written.stored + written.duplicates and not settings.write.instruction:
        print(f"the pairs have no instruction yet and are not trained on until they have. {UNLABELLED_ADVICE}")
    return 0


def _settings(arguments: argparse.Namespace):
    from ..training.match.settings import Limits, WriteSettings, default_output, with_preset

    folders = tuple(arguments.folders)
    similarity, second = arguments.similarity or (None, None)
    given = {
        "folders": folders,
        "output": arguments.output or default_output(folders),
        "exclude": (arguments.root,),
        "descriptor": arguments.descriptor,
        "window": _as_window(arguments.window),
        "similarity": similarity,
        "second_window": _as_window(second),
        "most_compared": arguments.most_compared,
        "within_folders": arguments.within_folders,
        "limits": None if arguments.set_size is None else Limits(*arguments.set_size),
        "near_copies": not arguments.keep_near_copies,
        "exact_up_to": arguments.exact_up_to,
        "clusters": arguments.clusters,
        "memberships": arguments.memberships,
        "shard_pictures": arguments.shard,
        "write": WriteSettings(
            instruction=arguments.instruction,
            tags=("match", *arguments.tag),
            megapixels=arguments.megapixels,
            most_cut=arguments.most_cut,
        ),
    }
    emit = {
        name: getattr(arguments, name)
        for name in ("policy", "direction", "per_set", "per_picture", "references", "rounds", "seed")
    }
    return with_preset(arguments.preset, given, emit)


def _engine(arguments: argparse.Namespace):
    """The engine, and the device of this process."""
    from .common import parse_device

    device = parse_device(arguments.device).type if arguments.device != "cpu" else "cpu"
    if arguments.engine == "local":
        from ..training.match.engines.local import LocalEngine

        if arguments.address is not None:
            raise ValueError("--address is that of a Ray cluster: give --engine ray, too")
        return LocalEngine(device, arguments.workers), device
    from ..training.match.engines.ray_data import RayEngine

    return RayEngine(arguments.address), device


def _as_window(span: tuple[float, float | None] | None):
    from ..training.match.settings import Window

    return None if span is None else Window(*span)


def _window(text: str) -> tuple[float, float | None]:
    match = _WINDOW.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected LOW or LOW-HIGH, such as 0.8 or 0.8-0.9, got {text!r}")
    return float(match[1]), None if match[2] is None else float(match[2])


def _similarity(text: str) -> tuple[str, tuple[float, float | None]]:
    name, colon, window = text.rpartition(":")
    if not colon or not name:
        raise argparse.ArgumentTypeError(f"expected WHAT:LOW or WHAT:LOW-HIGH, such as keypoints:0.1, got {text!r}")
    return name, _window(window)


def _span(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)-(\d+)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected LOW-HIGH, such as 3-8, got {text!r}")
    return int(match[1]), int(match[2])


class _Progress:
    """One bar a step on a terminal, one line a step elsewhere."""

    def __init__(self) -> None:
        self._step, self._bar = "", None

    def __call__(self, step: str, done: int, total: int) -> None:
        if step != self._step:
            self.close()
            self._step = step
            if not sys.stderr.isatty():
                print(f"{step} …", file=sys.stderr, flush=True)
        if sys.stderr.isatty() and total:
            if self._bar is None:
                from tqdm import tqdm

                self._bar = tqdm(desc=step, total=total, leave=False)
            self._bar.total = total
            self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
