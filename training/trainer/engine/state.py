"""Checkpoints of a run: a folder each, written under a temporary name and renamed, so that there is no half of one.

OUTPUT/checkpoints/step-00001000/
  model.safetensors       what is trained, float32, by parameter name
  optimizer.safetensors   the optimisers' moments, `NAME|exp_avg` …
  average.safetensors     the moving average, if there is one
  state.json              step, configuration, hashes of base model and data

Order, noise, timesteps and learning rate are functions of the seed and the step, so there is no more to keep. All names
and tensors are those of the whole model, gathered from however many processes, so a run can go on with another number
of devices.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ....ace.files import remove_folder, rename
from ..errors import TrainError

STATE_VERSION = 1
_NAME = re.compile(r"step-(\d{8})\Z")


@dataclass(frozen=True)
class RunState:
    """What a checkpoint holds.

    Attributes:
        step: optimiser steps done.
        model, optimizer, ema: tensors by name; ``ema`` is None without a moving average.
        best: the weights that had the best score so far; None without early stopping.
        metadata: configuration, and hashes of base model and data.
    """

    step: int
    model: Mapping[str, torch.Tensor]
    optimizer: Mapping[str, torch.Tensor]
    ema: Mapping[str, torch.Tensor] | None
    metadata: Mapping[str, Any]
    best: Mapping[str, torch.Tensor] | None = None


def save_state(folder: Path, state: RunState, keep: int) -> Path:
    """Writes a checkpoint below ``folder`` and then removes all but the latest ``keep``.

    Returns:
        the checkpoint's folder.

    Raises:
        TrainError: the disk is full or not writable; earlier checkpoints stay as they are.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    final = folder / f"step-{state.step:08d}"
    building = folder / f".{final.name}.part"
    files = {"model": state.model, "optimizer": state.optimizer, "average": state.ema, "best": state.best}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir()
        for name, tensors in files.items():
            if tensors is not None:
                path = building / f"{name}.safetensors"
                save_file({key: value.contiguous() for key, value in tensors.items()}, path)
                _sync(path)
        path = building / "state.json"
        metadata = {"version": STATE_VERSION, "step": state.step, **state.metadata}
        path.write_text(json.dumps(metadata, indent=2, default=str), encoding="utf-8", newline="\n")
        _sync(path)
        if final.exists():  # the same step again, from a run that was stopped and continued without a step
            remove_folder(final)
        rename(building, final)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(building, ignore_errors=True)
        last = latest_checkpoint(folder)
        raise TrainError(
            f"the checkpoint of step {state.step} cannot be written to {folder} ({error}). "
            + (f"{last.name} is kept" if last else "There is no earlier one")
            + "; free some space and run the same command again"
        ) from error
    for old in _checkpoints(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def latest_checkpoint(folder: Path) -> Path | None:
    """The folder of the last checkpoint below a folder; None where there is none."""
    return next(reversed(_checkpoints(folder)), None)


def load_state(path: Path) -> RunState:
    """Reads a checkpoint's folder.

    Raises:
        TrainError: it is damaged, or of a newer version.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        metadata = json.loads((path / "state.json").read_text(encoding="utf-8"))
        if metadata["version"] > STATE_VERSION:
            raise TrainError(f"{path} was written by a newer version of ACE Edit; update to go on from it")
        ema, best = path / "average.safetensors", path / "best.safetensors"
        return RunState(
            step=int(metadata["step"]),
            model=load_file(path / "model.safetensors"),
            optimizer=load_file(path / "optimizer.safetensors"),
            ema=load_file(ema) if ema.is_file() else None,
            metadata=metadata,
            best=load_file(best) if best.is_file() else None,
        )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise TrainError(
            f"the checkpoint {path} cannot be read ({error}); delete it to go on from the one before, or choose another "
            "output folder to start anew"
        ) from error


def gather_model(model: nn.Module, *, frozen: bool = False) -> dict[str, torch.Tensor]:
    """Full tensors of a model on the CPU, by the names they have without wrappers; a collective call.

    Args:
        model: plain or sharded.
        frozen: include parameters that are not trained.

    Returns:
        on the main process; others may get an empty dictionary.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=not frozen)
    tensors = get_model_state_dict(model, options=options)
    return {name: tensor.clone() for name, tensor in tensors.items()}


def gather_optimizers(model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, torch.Tensor]:
    """The optimisers' tensors as `NAME|exp_avg` and so on; a collective call."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
    state = get_optimizer_state_dict(model, optimizers, options=options).get("state", {})
    return {
        f"{name}|{kind}": torch.as_tensor(value).clone()
        for name, kinds in state.items()
        for kind, value in kinds.items()
    }


def restore_model(model: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Puts gathered tensors back; a collective call in which every process brings all tensors.

    Raises:
        TrainError: names or shapes differ from the model's.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

    expected = {name: tuple(p.shape) for name, p in model.named_parameters() if p.requires_grad}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    expected = {_unwrapped_name(name): shape for name, shape in expected.items()}
    if expected != given:
        odd = sorted(name for name in expected.keys() | given.keys() if expected.get(name) != given.get(name))
        raise TrainError(
            f"the checkpoint does not fit the model that the configuration describes: {len(odd)} tensors differ, such as "
            f"{odd[0]} ({given.get(odd[0])} stored, {expected.get(odd[0])} expected). Change the configuration back, or "
            "choose another output folder to start anew"
        )
    options = StateDictOptions(full_state_dict=True, strict=False)
    set_model_state_dict(model, dict(tensors), options=options)


def restore_optimizers(
    model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], tensors: Mapping[str, torch.Tensor]
) -> None:
    """Puts gathered moments back; a collective call in which every process brings all tensors.

    Raises:
        TrainError: they are another optimiser's.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_optimizer_state_dict

    names = {
        parameter: _unwrapped_name(name) for name, parameter in model.named_parameters() if parameter.requires_grad
    }
    groups = [
        {**group, "params": [names[parameter] for parameter in group["params"]]}
        for optimizer in optimizers
        for group in optimizer.param_groups
    ]
    state: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        name, _, kind = key.rpartition("|")
        state.setdefault(name, {})[kind] = tensor
    options = StateDictOptions(full_state_dict=True, ignore_frozen_params=True)
    set_optimizer_state_dict(model, optimizers, {"state": state, "param_groups": groups}, options=options)


def _unwrapped_name(name: str) -> str:
    """A parameter's name without what wrappers put into it."""
    return ".".join(part for part in name.split(".") if part not in {"module", "_fsdp_wrapped_module", "_orig_mod"})


def _checkpoints(folder: Path) -> list[Path]:
    """Oldest first."""
    found = [path for path in folder.iterdir() if _NAME.match(path.name)] if folder.is_dir() else []
    return sorted(found)


def _sync(path: Path) -> None:
    with open(path, "r+b") as file:
        os.fsync(file.fileno())
