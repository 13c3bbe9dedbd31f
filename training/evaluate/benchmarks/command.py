"""``comfyui-ace evaluate --benchmark``: results of a model on a benchmark's data, measured, beside the papers' numbers."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from ..profiles.profile import Tools


def add_benchmark_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that go with --benchmark."""
    group = parser.add_argument_group(
        "benchmarks",
        "The data and the encoders are yours: nothing is downloaded. A stopped run goes on with the same command.",
    )
    group.add_argument(
        "--benchmark",
        metavar="NAME",
        help="magicbrush, emu, icebench or omniedit, with the folder of its data as DATASET; or a FOLDER of your own",
    )
    group.add_argument(
        "--setting",
        action="append",
        choices=("single", "multi", "history"),
        help="each turn on its own, chained, or chained with history; repeatable (default: all that the benchmark has)",
    )
    group.add_argument("--profile", help="measure as by magicbrush, emu, ip2p, icebench, anytext or face instead")
    group.add_argument(
        "--clip", type=Path, metavar="PATH", help="CLIP: a folder of transformers, or a clip_vision file"
    )
    group.add_argument("--dino", type=Path, metavar="PATH", help="DINO: a folder of transformers, or its own .pth file")
    group.add_argument("--yunet", type=Path, metavar="FILE", help="finds faces (.onnx)")
    group.add_argument("--sface", type=Path, metavar="FILE", help="names faces (.onnx)")
    group.add_argument("--masks", action="store_true", help="tell the model where the source may change")
    group.add_argument(
        "--shard", default="0/1", metavar="I/N", help="the I-th of N parts, from 0 (default: %(default)s)"
    )
    group.add_argument("--measure-only", action="store_true", help="make no results, measure those that are there")


def run_benchmark(
    arguments: argparse.Namespace, parse_device: Callable, load_pipeline: Callable, choose_judge: Callable
) -> int:
    """Makes what results are missing, measures, and writes the table.

    Args:
        arguments: of the command evaluate.
        parse_device: from an option's text to a device.
        load_pipeline: from the arguments and a device to a pipeline and the model's name.
        choose_judge: from the arguments to a judge, or None.

    Returns:
        The exit code.
    """
    from ..errors import EvaluationError
    from ..profiles.registry import find_profile
    from .page import describe_table, write_benchmark
    from .readers import find_benchmark
    from .scoring import score_results

    benchmark, folder = find_benchmark(arguments.benchmark, *(arguments.datasets[:1] or [Path(arguments.benchmark)]))
    settings = arguments.setting or benchmark.settings
    unknown = [setting for setting in settings if setting not in benchmark.settings]
    if unknown:
        raise EvaluationError(f"{benchmark.title} has no {' or '.join(unknown)} turns: its edits are independent")
    sessions = list(benchmark.read(folder))
    if not sessions:
        raise EvaluationError(f"{folder} has no test cases of {benchmark.title}")
    if arguments.masks and not any(turn.mask for session in sessions for turn in session.turns):
        raise EvaluationError(f"{benchmark.title} is read without masks: leave --masks out")
    profile_name = arguments.profile or benchmark.profile
    profile = find_profile(profile_name) if profile_name else None
    judge = choose_judge(arguments)
    if profile is None and judge is None:
        raise EvaluationError(f"{benchmark.title} is marked by a judge: give --judge-server, or another --profile")
    devices = [parse_device(device) for device in arguments.device.split(",")]
    tools = _tools(arguments, devices[0], judge)
    name = arguments.model or "the model"
    if not arguments.measure_only:
        name = _generate(arguments, sessions, settings, [load_pipeline(arguments, device) for device in devices])
    tables = []
    for setting in settings:
        with _bar(arguments, f"measuring {setting}") as bar:
            tables.append(score_results(sessions, setting, arguments.output, profile, tools, judge, progress=bar))
    page = write_benchmark(benchmark, name, tables, arguments.output)
    if arguments.json:
        print(json.dumps([table.as_dict() for table in tables], indent=2, ensure_ascii=False))
    else:
        print("\n".join([*map(describe_table, tables), str(page)]))
    return 0


def _generate(arguments: argparse.Namespace, sessions: list, settings: list[str], loaded: list) -> str:
    """Returns the model's name; ``loaded`` are the pipelines of the devices, each with it."""
    from ....ace.pictures.resolution import Resolution
    from ..run import SamplerSettings
    from .generation import begin_run, generate, pipeline_editor

    sampler = SamplerSettings(arguments.seed, arguments.steps, arguments.guidance, arguments.rescale)
    resolution = None if arguments.max_tokens is None else Resolution.published(arguments.max_tokens)
    name = loaded[0][1]
    description = {
        "model": name,
        "weights": str(arguments.weights or ""),
        "seed": arguments.seed,
        "steps": arguments.steps,
        "guidance": arguments.guidance,
        "rescale": arguments.rescale,
        "max_tokens": arguments.max_tokens,
        "masks": arguments.masks,
    }
    begin_run(arguments.output, description)
    editors = [pipeline_editor(lambda one=one: one, sampler, resolution) for one, _ in loaded]
    mine = _shard(arguments.shard).of(sessions)
    for setting in settings:
        with _bar(arguments, f"{setting} turns") as bar:
            generate(
                mine,
                setting,
                arguments.output,
                editors,
                seed=arguments.seed,
                masks=arguments.masks,
                progress=bar,
                notify=_say,
            )
    return name


def _say(message: str) -> None:
    """Beside the bar, and not on the numbers' way out."""
    from tqdm import tqdm

    tqdm.write(f"comfyui-ace evaluate: {message}", file=sys.stderr)


def _shard(text: str):
    from .generation import Shard

    index, slash, count = text.partition("/")
    if not (slash and index.isdigit() and count.isdigit()):
        raise ValueError(f"a shard is given as I/N, such as 0/4; got {text!r}")
    return Shard(int(index), int(count))


def _tools(arguments: argparse.Namespace, device: torch.device, judge) -> Tools:
    """What there is to measure with; OCR and faces only where they are asked for."""
    from ..metrics.encoders import load_clip, load_dino
    from ..metrics.faces import OpenCVFaces
    from ..metrics.lettering import RapidReader
    from ..profiles.profile import Tools

    return Tools(
        clip=None if arguments.clip is None else load_clip(arguments.clip, device),
        dino=None if arguments.dino is None else load_dino(arguments.dino, device),
        ocr=RapidReader() if arguments.profile == "anytext" else None,
        faces=None
        if arguments.yunet is None or arguments.sface is None
        else OpenCVFaces(arguments.yunet, arguments.sface),
        language_model=None if judge is None else judge.backend,
    )


class _bar:
    """A bar of progress; nothing with --json."""

    def __init__(self, arguments: argparse.Namespace, what: str) -> None:
        from tqdm import tqdm

        self._bar = tqdm(desc=what, unit="", disable=arguments.json)

    def __enter__(self) -> Callable[[int, int], None]:
        return self._show

    def __exit__(self, *_error: object) -> None:
        self._bar.close()

    def _show(self, done: int, total: int) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)
