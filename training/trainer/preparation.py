"""What happens before a model is opened: devices, files, plan and cache."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

import torch

from .config import TrainConfig
from .data.cache import Cache
from .data.encoding import drop_uncached, fill_cache
from .data.examples import Plan, PlanSettings, make_plan
from .data.file_index import FileIndex
from .engine.processes import Company
from .errors import ConfigError, TrainError
from .export import DTYPES
from .progress import Progress
from .reporting import OnEvent, silent_event
from .start import StartFiles, find_files, make_resolution

_TIMEOUT = timedelta(hours=12)  # other processes wait while one of them reads all files or draws samples


@dataclass(frozen=True, eq=False)
class Prepared:
    """What is known before a model is opened.

    Attributes:
        files: of the base model.
        plan: the examples.
        cache: with everything the plan needs.
        base_sha256: hash of the base model's weights, or empty.
    """

    files: StartFiles
    plan: Plan
    cache: Cache
    base_sha256: str


def never() -> bool:
    return False


def prepare(
    config: TrainConfig, accelerator: Any, on_event: OnEvent = silent_event, should_stop: Callable[[], bool] = never
) -> Prepared:
    """Plans the examples and fills the cache.

    Raises:
        TrainError: see :func:`plan_run` and :func:`fill_cache`; or somebody asked to stop.
    """
    planned = plan_run(config, accelerator, on_event, should_stop)
    fill = partial(
        fill_cache,
        planned.cache,
        planned.plan,
        planned.files.encoders,
        device=accelerator.device,
        share=(accelerator.process_index, accelerator.num_processes),
        skip_bad=config.data.on_bad_pair == "skip",
        progress=_progress(accelerator, on_event, should_stop),
    )
    Company(accelerator).together(fill)
    plan = drop_uncached(planned.plan, planned.cache)
    _require_same_plan(plan, accelerator)
    return replace(planned, plan=plan)


def plan_run(
    config: TrainConfig, accelerator: Any, on_event: OnEvent = silent_event, should_stop: Callable[[], bool] = never
) -> Prepared:
    """Finds the files and plans the examples; nothing is encoded.

    Raises:
        DataError: pairs cannot be used, or none is left.
        ConfigError, BundleError: parts of the base model are missing.
    """
    data = config.data
    files = find_files(config.model)
    resolution = make_resolution(config.resolution, files.defaults)
    settings = PlanSettings(
        max_images=data.max_images,
        max_rounds=data.max_rounds,
        weights=data.weights,
        weight_threshold=data.weight_threshold,
        fill=data.fill,
        skip_bad=data.on_bad_pair == "skip",
    )
    dtype = data.cache_dtype
    if dtype == "auto":
        dtype = "fp32" if accelerator.device.type == "cpu" else "bf16"

    def read() -> Prepared:
        index = FileIndex(data.cache / "files.jsonl")
        plan = make_plan(data.datasets, resolution, index, settings, _progress(accelerator, on_event, should_stop))
        cache = Cache(data.cache, files.encoders.identity(index, DTYPES[dtype], accelerator.device))
        base = "" if files.weights is None else index.weights(files.weights)
        if accelerator.is_main_process:
            index.save()
        return Prepared(files, plan, cache, base)

    company = Company(accelerator)
    prepared = company.on_first(read)  # the others then find the hashes of all files in the index
    return company.together(lambda: prepared or read())


def _progress(accelerator: Any, on_event: OnEvent, should_stop: Callable[[], bool]) -> Progress:
    def report(what: str, done: int, total: int) -> None:
        if accelerator.is_main_process:
            on_event({"event": "progress", "what": what, "done": done, "total": total})
        if should_stop():
            raise TrainError(f"stopped while {what}, {done} of {total} done. They are kept; the same command goes on")

    return report


def _require_same_plan(plan: Plan, accelerator: Any) -> None:
    """Pairs that are being written while a run starts may be seen by one process and not by another."""
    if accelerator.num_processes == 1:
        return
    numbers = accelerator.gather(torch.tensor([int(plan.digest[:12], 16)], device=accelerator.device))
    if (numbers != numbers[0]).any():
        raise TrainError("the datasets changed while the processes read them; run the same command again")


def check_sharding(plugin: Any) -> None:
    """Looks at accelerate's settings for FSDP, None where it is not used.

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


@contextlib.contextmanager
def accelerated(config: TrainConfig) -> Iterator[Any]:
    """accelerate's devices, precision and processes. Its process-wide state is taken back afterwards."""
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
