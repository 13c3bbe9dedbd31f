"""Peak memory of a training step: a calculation from shallow models, checked by measuring deeper ones.

The calculation. What the shapes say: weights in the precision they are stored in, float32 gradients and two float32
moments of AdamW for whatever is trained. What has to be measured: the activations that a forward pass keeps (and, under
bf16, the converted weights). They are measured at two depths and two batch sizes and taken to be linear in both,

    kept(depth, pairs) = a + b · depth + pairs · (c + d · depth)

and the peak is that of the step's two highest places: the start of the backward pass (weights, moments, activations) and
the optimiser (weights, moments, gradients), plus what is there for a moment, measured and extrapolated likewise.

The measurement. All tensors that operations make are followed until they are freed. This needs shapes and no numbers, so
it runs on PyTorch's fake tensors, at any depth, in a second. That it tells the truth is checked by real steps in a process
of their own, by the most memory that the operating system gave it.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import weakref
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ...ace.model.config import ACEConfig
from ...ace.model.transformer import ACEModel
from ...training.evaluate.memory import resident_bytes
from ..memory import peak_bytes
from ..report import Table
from ..workload import (
    Job,
    Setting,
    build_conditioning,
    build_noise,
)

_GB = 1e9
_FULL_DEPTH = ACEConfig().depth
_FITTED = (2, 4)  # depths
_CHECKED = 5
_STEPS = 2  # the first one makes AdamW's moments


@dataclass(frozen=True)
class Case:
    """A way to train the published model with one reference.

    Attributes:
        method: "lora" (of rank 32 in all layers of all blocks) or "full".
        precision: "fp32" or "bf16".
        gradient_checkpointing: whether blocks are computed again in the backward pass.
        depth: blocks.
        pairs: in a batch.
        side: of the pictures.
    """

    method: str
    precision: str
    gradient_checkpointing: bool
    depth: int = _FULL_DEPTH
    pairs: int = 1
    side: int = 512

    def __str__(self) -> str:
        return f"{self.method}, {self.precision}{', checkpointing' if self.gradient_checkpointing else ''}"


@dataclass(frozen=True)
class Peak:
    """Bytes.

    Attributes:
        weights: all of them.
        trained: gradients and moments of what is trained: 4 + 8 bytes a number.
        kept: what the forward pass keeps for the backward pass.
        total: the most at any moment of a step.
    """

    weights: float
    trained: float
    kept: float
    total: float


def run(setting: Setting) -> Table:
    """The 0.6B model at 512 px with one reference: calculated, counted at full depth, and checked on a shallow one."""
    cases = [
        Case(method, precision, checkpointing)
        for method in ("lora", "full")
        for precision in ("fp32", "bf16")
        for checkpointing in (False, True)
    ]
    if setting.quick:
        cases = [replace(case, side=128) for case in cases if case.precision == "fp32"]
    table = []
    for case in cases:
        one, four, counted = calculate(case), calculate(replace(case, pairs=4)), count(case)
        shallow = replace(case, depth=_CHECKED)
        possible = setting.device.type == "cuda" or case.precision == "fp32"  # many CPUs take minutes a step in bf16
        real = measure(shallow, setting.device) if possible and not setting.quick else None
        table.append(
            (
                str(case),
                *(part / _GB for part in (one.weights, one.trained, one.kept, one.total, counted.total, four.total)),
                calculate(shallow).total / _GB,
                None if real is None else real / _GB,
            )
        )
    side = cases[0].side
    return Table(
        f"Memory of training, {side} px, one reference (GB = 10⁹ bytes)",
        (
            *("what", "weights", "gradients + AdamW", "kept by forward", "peak, 1 pair", "counted at depth 28"),
            *("peak, 4 pairs", f"peak, 1 pair, depth {_CHECKED}", f"measured at depth {_CHECKED}"),
        ),
        table,
        (
            f"Calculated from depths {_FITTED[0]} and {_FITTED[1]} but for the columns that say otherwise. Measured is the "
            "resident memory of a process that trains, less what it had before the model came. On a GPU add its context "
            "and libraries (0.5 to 1 GB) and what the allocator cannot use of what it holds (5 to 10 %).",
        ),
    )


def calculate(case: Case) -> Peak:
    """Peak from counts at two shallow depths and two batch sizes."""
    return Peak(*(_extrapolated(case, part) for part in ("weights", "trained", "kept", "total")))


def _extrapolated(case: Case, part: str) -> float:
    low, high = _FITTED
    counts = {
        (depth, pairs): getattr(count(replace(case, depth=depth, pairs=pairs)), part)
        for depth in _FITTED
        for pairs in (1, 2)
    }

    def at_depth(pairs: int) -> float:
        slope = (counts[high, pairs] - counts[low, pairs]) / (high - low)
        return counts[low, pairs] + slope * (case.depth - low)

    return at_depth(1) + (at_depth(2) - at_depth(1)) * (case.pairs - 1)


_counted: dict[Case, Peak] = {}


def count(case: Case) -> Peak:
    """Counts the tensors of two steps on fake tensors; nothing is computed."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    if case not in _counted:
        model = _meta_model(case)
        with FakeTensorMode():
            _counted[case] = _steps(case, model, torch.device("cpu"))
    return _counted[case]


def measure(case: Case, device: torch.device) -> int:
    """Most bytes that really are in use, on a GPU or by a process of its own on the CPU."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        _steps(case, _meta_model(case), device)
        return torch.cuda.max_memory_allocated() - before
    values = (case.method, case.precision, case.gradient_checkpointing, case.depth, case.pairs, case.side)
    command = [sys.executable, "-m", f"{__package__}.training_memory", json.dumps(values)]
    # Freed blocks go back to the system at once; else glibc keeps many of them, and its holes would be measured as well.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    return int(subprocess.run(command, check=True, capture_output=True, encoding="utf-8", env=environment).stdout)


def _steps(case: Case, model: ACEModel, device: torch.device) -> Peak:
    """Two optimiser steps as the trainer does them, on a model that gets its memory here."""
    with LiveMemory() as live:
        _materialize(model, device)
        weights = live.peak = live.now
        training = Training(case, model, device)
        for _ in range(_STEPS):
            before = live.now
            loss = training.forward()
            kept = live.now - before
            training.backward(loss)
            del loss
    return Peak(weights, 12.0 * sum(parameter.numel() for parameter in training.trained), kept, live.peak)


class Training:
    """Optimiser steps as the trainer does them, on random inputs.

    Args:
        case: what is trained, and on how much.
        model: of :func:`model_for`.
        device: of the model.
    """

    def __init__(self, case: Case, model: ACEModel, device: torch.device) -> None:
        from ...training.trainer.learning.optimizer import make_optimizers, trainable_parameters

        self.model, self.trained, self._settings = model, trainable_parameters(model), _configuration(case)
        self._precision = {"device_type": device.type, "dtype": torch.bfloat16, "enabled": case.precision == "bf16"}
        job, setting = Job(case.side, 1), Setting(device, torch.float32)
        self._noise = build_noise(job, setting).expand(case.pairs, -1, -1, -1)
        self._conditioning = build_conditioning(job, setting).map(
            lambda tensor: tensor.expand(case.pairs, *tensor.shape[1:]) if tensor.ndim > 2 else tensor
        )
        self._timesteps = torch.full((case.pairs,), 500, device=device)
        self._optimizers = make_optimizers(model, self._settings.optimizer)

    def forward(self) -> torch.Tensor:
        """The loss, ()."""
        from ...training.trainer.learning.objective import sample_losses, weighted_mean

        with torch.autocast(**self._precision):
            losses = sample_losses(self.model, self._noise, self._timesteps, self._noise, self._conditioning)
        return weighted_mean(losses, torch.ones_like(losses))

    def backward(self, loss: torch.Tensor) -> None:
        """Gradients of a loss, and the step along them."""
        from ...training.trainer.learning.optimizer import clip_gradients

        loss.backward()
        clip_gradients(self.trained, self._settings.optimizer.clip_norm)
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


def model_for(case: Case, device: torch.device) -> ACEModel:
    """The model as the trainer sets it up, with random weights."""
    model = _meta_model(case)
    _materialize(model, device)
    return model


def _configuration(case: Case) -> Any:
    from ...training.trainer.config_file import make_config

    return make_config(
        {
            "output": "unused",
            "steps": 1,
            "method": case.method,
            "precision": case.precision,
            "model": {"bundle": "unused"},
            "data": {"datasets": ["unused"]},
        }
    )


def _meta_model(case: Case) -> ACEModel:
    """The model as the trainer sets it up, without memory for its numbers."""
    from ...training.trainer.base_model import prepare_for_training, weight_dtype

    config = _configuration(case)
    model = ACEModel(ACEConfig(depth=case.depth), dtype=weight_dtype(config), device="meta")
    if case.precision == "bf16":
        for module in model.modules():
            if isinstance(module, (nn.LayerNorm, nn.RMSNorm)):
                module.forward = partial(_norm_in_float32, module)
    return prepare_for_training(model, config, gradient_checkpointing=case.gradient_checkpointing)


def _materialize(model: ACEModel, device: torch.device) -> None:
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            values = torch.empty(parameter.shape, dtype=parameter.dtype, device=device).normal_(0.0, 0.02)
            setattr(module, name, nn.Parameter(values, requires_grad=parameter.requires_grad))


def _norm_in_float32(norm: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """As autocast does on GPUs; on CPUs it leaves norms alone, which keeps less."""
    if isinstance(norm, nn.LayerNorm):
        return F.layer_norm(x.float(), norm.normalized_shape, eps=norm.eps)
    return F.rms_norm(x.float(), norm.normalized_shape, norm.weight.float(), norm.eps)


class LiveMemory(TorchDispatchMode):
    """Follows the bytes of all tensors made inside the block until they are freed; views share their tensor's.

    Attributes:
        now, peak: bytes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: dict[int, int] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._follow(leaf.untyped_storage())
        return result

    def _follow(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        self._known[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self.now -= self._known.pop(key)


def main() -> None:
    """In a process of its own: trains for real and prints the growth of resident memory."""
    torch.set_num_threads(1)
    case = Case(*json.loads(sys.argv[1]))
    device, small = torch.device("cpu"), replace(case, depth=1, side=64)
    _steps(small, _meta_model(small), device)  # libraries and their buffers
    model, before = _meta_model(case), resident_bytes()
    _steps(case, model, device)
    with contextlib.suppress(BrokenPipeError):
        print(peak_bytes() - before)


if __name__ == "__main__":
    main()
