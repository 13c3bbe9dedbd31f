"""``comfyui-ace benchmark``."""

from __future__ import annotations

import argparse
import json
import sys

from .common import DTYPES, parse_device, parse_dtype

# Named here, too, so that `--help` does not import what measures.
_NAMES = (
    *("forward", "batch", "compiled", "edit", "pixart", "growth", "batching", "prepare", "import"),
    *("training", "training-memory", "training-speed"),
)
_ON_A_GPU = ("training-speed",)


def add_parsers(subparsers) -> None:
    """Adds ``comfyui-ace benchmark``."""
    benchmark = subparsers.add_parser(
        "benchmark",
        help="measure speed and memory on this machine",
        description="Measure a model of the published size with random weights: forward passes and a 20-step run, memory, "
        "rates against the machine's plain matrix product, and ratios to alternatives timed in turns. Takes about ten "
        "minutes on a small CPU. Prints Markdown.",
    )
    benchmark.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"which: {', '.join(_NAMES)} (default: all; training-speed needs a GPU)",
    )
    benchmark.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps (default: the best there is)")
    benchmark.add_argument("--dtype", choices=DTYPES, default="auto")
    benchmark.add_argument(
        "--threads", type=int, metavar="N", help="CPU threads; with 1, CPU time is taken: for a machine in use"
    )
    benchmark.add_argument("--quick", action="store_true", help="a shallow model and small pictures, within a minute")
    benchmark.add_argument("--json", action="store_true", help="print JSON instead")
    benchmark.set_defaults(run=run_benchmark)


def run_benchmark(arguments: argparse.Namespace) -> int:
    """Measures and prints the tables; returns the exit code."""
    if unknown := [name for name in arguments.names if name not in _NAMES]:
        raise ValueError(f"there is no benchmark {', '.join(unknown)}; choose from {', '.join(_NAMES)}")
    import torch

    try:
        from ..benchmarks.suite import BENCHMARKS, describe_machine
        from ..benchmarks.workload import Setting
    except ModuleNotFoundError as error:
        if not (error.name or "").endswith(".benchmarks"):
            raise
        raise ValueError(
            "the benchmarks are not part of what ComfyUI-Manager installs; clone https://github.com/ace-edit/ace-edit and "
            "run this command there"
        ) from None

    device = parse_device(arguments.device)
    setting = Setting(device, parse_dtype(arguments.dtype, device), arguments.quick)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    machine, tables = describe_machine(setting), []
    if not arguments.json:
        print(f"{machine}\n", flush=True)
    for name in arguments.names or [name for name in _NAMES if device.type == "cuda" or name not in _ON_A_GPU]:
        print(f"measuring {name} …", file=sys.stderr)
        table = BENCHMARKS[name](setting)
        tables.append(table.as_dict())
        if not arguments.json:
            print(table.markdown(), flush=True)
    if arguments.json:
        print(json.dumps({"machine": machine, "quick": arguments.quick, "results": tables}, indent=2))
    return 0
