"""Resuming a run: what its checkpoints say of it, and what may change when the same command goes on with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from .config import TrainConfig
from .errors import ConfigError, FinishedRunError, TrainError

# Part of what is trained: with another value the stored numbers would mean something else.
_LORA = ("lora.adapter", "lora.rank", "lora.alpha", "lora.targets", "lora.factor")
_FIXED = ("method", "optimizer.name", "model.scratch", "editnet", *_LORA)
# No part of what is learnt: where things lie, how they are computed, and what is shown. The rest of the model and the
# data are told by their hashes.
_IGNORED = (
    *("output", "steps", "model", "data.datasets", "data.cache", "data.cache_dtype", "data.keep_in_memory_mb"),
    *("data.on_bad_pair", "gradient_checkpointing", "precision", "device", "validation", "samples", "checkpoints"),
    *("early_stopping", "export", "tensorboard", "plot"),
)


@dataclass(frozen=True)
class Provenance:
    """Where a trained file comes from.

    Attributes:
        base_model, base_model_sha256: what training started from.
        encoders_sha256: VAE, text encoder and tokenizer.
        dataset_sha256: over all pairs as they were used.
        pairs: number of training pairs.
        instruction: the most frequent one of the training pairs.
        triggers: the same within each dataset.
        max_tokens: patches in the largest picture, where the rule for sizes sets a limit.
    """

    base_model: str
    base_model_sha256: str
    encoders_sha256: str
    dataset_sha256: str
    pairs: int
    instruction: str
    max_tokens: int | None = None
    triggers: Mapping[str, str] = field(default_factory=dict)

    def metadata(self, config: TrainConfig, step: int) -> dict[str, str]:
        """Entries of a safetensors header.

        Args:
            config: of the run.
            step: optimiser steps done.
        """
        entries = {
            "architecture": "ACE",
            "title": config.name,
            "base_model": self.base_model,
            "base_model_sha256": self.base_model_sha256,
            "dataset_sha256": self.dataset_sha256,
            "pairs": self.pairs,
            "trigger": config.export.trigger or self.instruction,
            "steps": step,
            "method": config.method,
            "license": config.export.licence,
            "description": config.export.description,
            "software": "ACE Edit",
        }
        if len(set(self.triggers.values())) > 1:
            entries["triggers"] = json.dumps(dict(self.triggers), ensure_ascii=False)
        if config.method == "lora":
            entries |= {"adapter": config.lora.adapter, "rank": config.lora.rank, "alpha": config.lora_alpha}
            if config.lora.adapter == "lokr":
                entries["factor"] = config.lora.factor
        elif config.method == "full" and self.max_tokens is not None:
            entries["max_tokens"] = self.max_tokens
        return {name: str(value) for name, value in entries.items() if value != ""}


def checkpoint_metadata(config: TrainConfig, provenance: Provenance) -> dict[str, Any]:
    """What a checkpoint keeps beside the tensors and the step."""
    return {"config": json.loads(config.model_dump_json()), **asdict(provenance)}


def stored_provenance(metadata: Mapping[str, Any], current: Provenance) -> Provenance:
    """Where a checkpoint's weights come from; ``current`` fills in what older checkpoints do not say."""
    return Provenance(
        **{entry.name: metadata.get(entry.name, getattr(current, entry.name)) for entry in fields(Provenance)}
    )


def check_resume(
    config: TrainConfig, current: Provenance, metadata: Mapping[str, Any], step: int, *, ended: bool = False
) -> tuple[str, ...]:
    """Compares a run with the checkpoint it is to go on from.

    Args:
        config, current: of this call.
        metadata, step: of the checkpoint.
        ended: early stopping has ended it.

    Returns:
        what has changed, in words.

    Raises:
        TrainError: it belongs to another base model.
        ConfigError: it does not fit the model that the configuration describes.
        FinishedRunError: it has all its steps or has stopped by itself, and what it is asked to learn has changed.
    """
    stored = stored_provenance(metadata, current)
    if stored.base_model_sha256 != current.base_model_sha256:
        raise TrainError(
            f"{config.output} holds a run on another base model ({stored.base_model}, not {current.base_model}); choose "
            "another output folder to start anew"
        )
    if config.method == metadata["config"]["method"] == "lora" and metadata["config"]["lora"].get("dora"):
        raise ConfigError(
            f"the run in {config.output} trains a DoRA as ACE Edit 0.1 did, with a magnitude for every row; today there is "
            "one for every column, as ComfyUI reads it rightly, and the run cannot go on. What it has written stays as it "
            "is; choose another output folder to start anew"
        )
    changed = list(_differences(*map(_complete, (metadata["config"], json.loads(config.model_dump_json())))))
    others = tuple(section for section in ("lora", "editnet") if section != config.method)
    changed = [change for change in changed if not _within(change[0], others)]
    fixed = [_describe_change(*change) for change in changed if _within(change[0], _FIXED)]
    if fixed:
        raise ConfigError(
            f"the run in {config.output} has done {step} steps and does not fit the model that the configuration "
            f"describes: {'; '.join(fixed)}. Change it back, or choose another output folder to start anew"
        )
    data = tuple(_data_changes(stored, current))
    learnt = [_describe_change(*change) for change in changed if not _within(change[0], _IGNORED)]
    if (ended or step >= config.steps) and (learnt or data):
        raise _finished_error(config, step, (*learnt, *data), ended)
    return (*(_describe_change(*change) for change in changed if change[0] != "output"), *data)


def _finished_error(config: TrainConfig, step: int, changes: tuple[str, ...], ended: bool) -> FinishedRunError:
    done = f"has stopped by itself at step {step}" if ended else f"has done all its {step} steps"
    more = "Raise early_stopping.patience" if ended else f"Set steps to more than {step}"
    return FinishedRunError(
        f"the run in {config.output} {done}, and since then {'; '.join(changes)}. "
        f"Nothing would be learnt of that. {more} to go on with it, or choose another output "
        "folder to start anew; the finished file stays as it is",
        step=step,
        changes=changes,
    )


def _data_changes(stored: Provenance, current: Provenance) -> Iterator[str]:
    if stored.dataset_sha256 != current.dataset_sha256:
        yield f"the training data changed ({stored.pairs} pairs then, {current.pairs} now)"
    if stored.encoders_sha256 != current.encoders_sha256:
        yield "the VAE, the text encoder or the tokenizer changed"


def _complete(table: Mapping[str, Any]) -> dict[str, Any]:
    """A plain configuration with what was used where nothing was given, be it that there was no such setting yet."""
    table = _with_defaults(table, _defaults())
    lora = dict(table["lora"])
    lora["alpha"] = float(lora["rank"] if lora["alpha"] is None else lora["alpha"])
    lora.pop("dora", None)
    if lora["adapter"] != "lokr":
        lora.pop("factor", None)
    return {**table, "lora": lora}


@cache
def _defaults() -> dict[str, Any]:
    made = TrainConfig(output=Path(), model={"bundle": Path()}, data={"datasets": [Path()]}, steps=1)
    return json.loads(made.model_dump_json())


def _with_defaults(table: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    inner = {
        name: _with_defaults(table[name], default)
        if isinstance(table.get(name), dict) and isinstance(default, dict)
        else table.get(name, default)
        for name, default in defaults.items()
    }
    return {**table, **inner}


def _describe_change(name: str, old: Any, new: Any) -> str:
    return f"{name} changed from {old!r} to {new!r}"


def _within(name: str, places: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of the places or in one of them."""
    return any(name == place or name.startswith(f"{place}.") for place in places)


def _differences(old: Any, new: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Settings that differ between two plain configurations."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in new:
            yield from _differences(old.get(key), new[key], f"{name}.{key}".lstrip("."))
    elif old != new:
        yield name, old, new
