"""What happens before a model is opened: devices, files, examples and cache."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

import torch

from ...ace.devices import half_precision
from .base_model import BaseModelFiles, find_base_model, make_resolution
from .config import TrainConfig
from .data.augmentation import with_views
from .data.cache import Cache
from .data.encoding import drop_uncached, fill_cache
from .data.examples import Examples, ExampleSettings, make_examples
from .data.file_index import FileIndex
from .data.source import ExampleSource, open_source
from .engine.processes import Processes
from .errors import ConfigError, TrainError
from .export import DTYPES
from .progress import Progress
from .reporting import OnEvent, silent_event

_TIMEOUT = timedelta(hours=12)  # other processes wait while one of them reads all files or draws samples


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a run has before a model is opened.

    Attributes:
        files: of the base model.
        examples: to train on and to measure on.
        cache: with everything the examples need.
        base_sha256: hash of the base model's weights and of a LoRA merged into them, or empty.
        source: draws examples while training, or None.
    """

    files: BaseModelFiles
    examples: Examples
    cache: Cache
    base_sha256: str
    source: ExampleSource | None = None


def never_stop() -> bool:
    """For callers who do not ask to stop."""
    return False


def prepare(
    config: TrainConfig,
    accelerator: Any,
    on_event: OnEvent = silent_event,
    should_stop: Callable[[], bool] = never_stop,
) -> Prepared:
    """Makes the examples and fills the cache.

    Args:
        config: of the run.
        accelerator: of :func:`open_accelerator`.
        on_event: gets the progress.
        should_stop: asked whenever a bit is done.

    Raises:
        TrainError: see :func:`prepare_examples` and :func:`fill_cache`; or somebody asked to stop.
    """
    prepared = prepare_examples(config, accelerator, on_event, should_stop)
    fill = partial(
        fill_cache,
        prepared.cache,
        prepared.examples,
        prepared.files.encoders,
        device=accelerator.device,
        process_index=accelerator.process_index,
        num_processes=accelerator.num_processes,
        skip_bad=config.data.on_bad_pair == "skip",
        progress=_progress(accelerator, on_event, should_stop),
    )
    Processes(accelerator).on_all(fill)
    examples = drop_uncached(prepared.examples, prepared.cache)
    _require_same_examples(examples, accelerator)
    return replace(prepared, examples=examples)


def prepare_examples(
    config: TrainConfig,
    accelerator: Any,
    on_event: OnEvent = silent_event,
    should_stop: Callable[[], bool] = never_stop,
) -> Prepared:
    """Finds the files and makes the examples; nothing is encoded.

    Raises:
        DataError: pairs cannot be used, or none is left.
        ConfigError, BundleError: parts of the base model are missing, or there is no such source.
    """
    data = config.data
    files = find_base_model(config.model)
    resolution = make_resolution(config.resolution, files.defaults)
    settings = ExampleSettings(
        max_images=data.max_images,
        max_rounds=data.max_rounds,
        weights=data.weights,
        weight_threshold=data.weight_threshold,
        fill=data.fill,
        subset=data.subset,
        skip_bad=data.on_bad_pair == "skip",
    )
    source = None if data.source is None else open_source(data.source.name, data.source.options)
    dtype = data.cache_dtype
    if dtype == "auto":
        dtype = "fp32" if accelerator.device.type == "cpu" else "bf16"

    def read() -> Prepared:
        index = FileIndex(data.cache / "files.jsonl")
        examples = Examples((), ())
        if data.datasets:
            examples = make_examples(
                data.datasets, resolution, index, settings, _progress(accelerator, on_event, should_stop)
            )
            examples, notes = with_views(examples, data.augment)
            for note in notes if accelerator.is_main_process else ():
                on_event({"event": "notice", "text": note})
        cache = Cache(data.cache, files.encoders.identity(index, DTYPES[dtype], accelerator.device))
        base = "" if files.weights is None else index.checksum(files.weights)
        if files.lora is not None:
            base = hashlib.sha256(f"{base}|{index.checksum(files.lora)}".encode()).hexdigest()
        if accelerator.is_main_process:
            index.save()
        return Prepared(files, examples, cache, base, source)

    processes = Processes(accelerator)
    prepared = processes.on_main(read)  # the others then find the hashes of all files in the index
    return processes.on_all(lambda: prepared or read())


def _progress(accelerator: Any, on_event: OnEvent, should_stop: Callable[[], bool]) -> Progress:
    def report(what: str, done: int, total: int) -> None:
        if accelerator.is_main_process:
            on_event({"event": "progress", "what": what, "done": done, "total": total})
        if should_stop():
            raise TrainError(f"stopped while {what}, {done} of {total} done. They are kept; the same command goes on")

    return report


def _require_same_examples(examples: Examples, accelerator: Any) -> None:
    """Pairs that are being written while a run starts may be seen by one process and not by another."""
    if accelerator.num_processes == 1:
        return
    numbers = accelerator.gather(torch.tensor([int(examples.digest[:12], 16)], device=accelerator.device))
    if (numbers != numbers[0]).any():
        raise TrainError("the datasets changed while the processes read them; run the same command again")


def check_sharding(plugin: Any) -> None:
    """Checks accelerate's settings for sharding.

    Args:
        plugin: for FSDP; None where it is not used.

    Raises:
        ConfigError: it is FSDP's first version, which flattens many parameters into one: a LoRA's cannot be, and
            checkpoints by name cannot be put back.
    """
    version = getattr(plugin, "fsdp_version", 1)
    if plugin is not None and version != 2:
        raise ConfigError(
            f"FSDP version {version} cannot hold this trainer's models. Give accelerate version 2: accelerate launch "
            "--use_fsdp --fsdp_version 2 … (or fsdp_version: 2 in its configuration file)"
        )


def _check_precision(config: TrainConfig) -> None:
    if config.precision != "bf16" or config.device == "cpu" or not torch.accelerator.is_available():
        return
    device = torch.accelerator.current_accelerator()
    if half_precision(device) != torch.bfloat16:
        raise ConfigError(
            f'precision is "bf16", and this device ({device.type}) cannot compute in bfloat16 (on a Mac macOS 14 can); set '
            'precision = "fp32"'
        )


@contextlib.contextmanager
def open_accelerator(config: TrainConfig) -> Iterator[Any]:
    """accelerate's ``Accelerator`` for a run; its process-wide state is reset at the end of the block.

    Raises:
        TrainError: accelerate is not installed.
        ConfigError: the device lacks the precision; or see :func:`check_sharding`.
    """
    _check_precision(config)
    try:
        from accelerate import Accelerator, InitProcessGroupKwargs
        from accelerate.state import AcceleratorState, GradientState
    except ImportError as error:
        raise TrainError(
            f"training needs the package accelerate, and peft for LoRAs: pip install them ({error})"
        ) from error

    accelerator = Accelerator(
        cpu=config.device == "cpu",
        mixed_precision="bf16" if config.precision == "bf16" else "no",
        kwargs_handlers=[InitProcessGroupKwargs(timeout=_TIMEOUT)],
    )
    try:
        check_sharding(getattr(accelerator.state, "fsdp_plugin", None))
        yield accelerator
    finally:
        accelerator.free_memory()
        AcceleratorState._reset_state(reset_partial_state=accelerator.num_processes == 1)
        GradientState._reset_state()
