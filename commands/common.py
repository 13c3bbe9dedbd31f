"""What several commands share."""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..ace.bundles.bundle import SHIPPED_BUNDLES, Bundle, find_bundle

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    import torch

    from ..ace.weights.editnet import EditNetFile
    from ..ace.weights.lora import Lora

_TORCH_NAMES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
DTYPES = ("auto", *_TORCH_NAMES)
"""What an option for the type of weights takes."""


def bundle_roots() -> list[Path]:
    """Folders that may hold ACE models: ``$ACE_MODELS``, else ``models/ace`` here and of a ComfyUI in the home folder."""
    if configured := os.environ.get("ACE_MODELS"):
        return [Path(folder) for folder in configured.split(os.pathsep)]
    hosts = (Path.home() / "ComfyUI", Path.home() / "comfy" / "ComfyUI")
    return [Path("models/ace"), *(host / "models" / "ace" for host in hosts)]


def _bundles_named(name: str | None, roots: Sequence[Path]) -> list[Path]:
    """Model folders of this name, or of any, complete or not."""
    folders = [folder for root in roots if root.is_dir() for folder in sorted(root.iterdir()) if folder.is_dir()]
    return [folder for folder in folders if name in (None, folder.name) and (folder / "models").is_dir()]


def choose_bundle(name: str | None) -> Bundle:
    """The bundle that a user means.

    Args:
        name: a folder, or the name of a bundle in a model folder or of the one that comes along; None means the only one
            in a model folder.

    Raises:
        BundleError: the folder is incomplete.
        ValueError: nothing fits, or several do.
    """
    if name is not None and Path(name).is_dir():
        return find_bundle(name)
    roots = bundle_roots()
    matches = _bundles_named(name, roots)
    if name is not None and not matches:
        matches = _bundles_named(name, [SHIPPED_BUNDLES])
    if len(matches) == 1:
        return find_bundle(matches[0])
    where = ", ".join(str(root) for root in roots)
    if matches:
        names = ", ".join(folder.name for folder in matches)
        raise ValueError(f"there are several models ({names}); choose one with --model NAME")
    raise ValueError(
        f"no ACE model {'' if name is None else f'named {name} '}in {where}. Give a folder with --model, get one with "
        "`comfyui-ace download ACE-0.6B-512px`, or try `--model ace-tiny`, the small one that comes along"
    )


def parse_adapter(text: str) -> tuple[Path, float]:
    """A file and its strength; what follows the last colon is a strength only if it is a number, unlike a drive's path."""
    file, colon, strength = text.rpartition(":")
    try:
        number = float(strength) if colon else 1.0
    except ValueError:
        return Path(text), 1.0
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"the strength must be a number such as 0.8, got {strength!r} in {text!r}")
    return Path(file) if colon else Path(text), number


def add_adapter_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds ``--lora`` and ``--editnet``, which :func:`read_adapters` opens."""
    options = {"action": "append", "type": parse_adapter, "default": [], "metavar": "FILE[:STRENGTH]"}
    parser.add_argument(
        "--lora", help="a LoRA to apply, as `comfyui-ace train` writes it; several may be given", **options
    )
    parser.add_argument(
        "--editnet", help="an EditNet to apply (experimental), likewise; several may be given", **options
    )


def read_adapters(arguments: argparse.Namespace) -> tuple[list[tuple[Lora, float]], list[tuple[EditNetFile, float]]]:
    """The LoRAs and EditNets that the options name, each with its strength.

    Raises:
        LoraError, EditNetError: a file is none.
    """
    from ..ace.weights.editnet import read_editnet
    from ..ace.weights.lora import read_lora

    loras = [(read_lora(path), strength) for path, strength in arguments.lora]
    return loras, [(read_editnet(path), strength) for path, strength in arguments.editnet]


def parse_device(name: str) -> torch.device:
    """A device by name; "auto" is the best one there is.

    Raises:
        ValueError: unknown, or not on this machine.
    """
    import torch

    from ..ace.devices import available_devices

    if name == "auto":
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device).fill_(0).item()
    except (RuntimeError, AssertionError):  # an unknown name, another machine's, or one that holds no data ("meta")
        raise ValueError(
            f"the device {name!r} cannot be used here; this machine and this PyTorch ({torch.__version__}) have "
            f"{', '.join(available_devices())}: leave --device out to take the best of them"
        ) from None
    return device


def parse_dtype(name: str, device: torch.device) -> torch.dtype:
    """A dtype by name; "auto" is float32 on the CPU and, where it can be computed in, bfloat16 elsewhere."""
    import torch

    from ..ace.devices import half_precision

    return half_precision(device) if name == "auto" else getattr(torch, _TORCH_NAMES[name])


def silence_libraries() -> None:
    """Takes away the bars that libraries draw while they load weights."""
    import diffusers.utils.logging
    import transformers.utils.logging

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()


def stop_signals() -> tuple[int, ...]:
    """The signals that ask a program to end: Ctrl+C, a service manager's stop, and Ctrl+Break where there is that."""
    names = ("SIGINT", "SIGTERM", "SIGBREAK")
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


def call_on_stop(loop: AbstractEventLoop, stop: Callable[[], None]) -> None:
    """Has ``stop`` called in a running loop at every such signal."""
    for number in stop_signals():
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda _number, _frame: loop.call_soon_threadsafe(stop))


class StopOnSignal:
    """Turns the first SIGINT or SIGTERM into a request to save and stop; a second SIGINT interrupts at once.

    On Windows, where nobody sends SIGTERM, Ctrl+Break does as it.
    """

    def __init__(self) -> None:
        self._requested = False
        self._before: dict[int, Any] = {}

    def requested(self) -> bool:
        """Whether a signal has come."""
        return self._requested

    def __enter__(self) -> StopOnSignal:
        for number in stop_signals():
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: object) -> None:
        print("stopping: the run is saved first (Ctrl+C again breaks off)", file=sys.stderr)
        self._requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
