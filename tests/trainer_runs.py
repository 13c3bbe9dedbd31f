"""A small bundle, a dataset and configurations for the tests of the trainer.

Import ``workshop_fixture`` into a test module to use ``workshop`` there.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from comfyui_ace.ace.bundles.random_bundle import make_random_bundle
from comfyui_ace.training.dataset.store import Dataset, Pair
from comfyui_ace.training.distil_config import DistilSettings
from comfyui_ace.training.trainer.config import TrainConfig
from comfyui_ace.training.trainer.config_file import make_config
from comfyui_ace.training.trainer.run import train
from pair_factory import half_mask, picture
from safetensors.torch import load_file

# Children start as forks of a server that has the libraries loaded: seconds less for each.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["comfyui_ace.training.trainer.run", "comfyui_ace.cli", "accelerate", "trainer_runs"])
SCRATCH = {"hidden_size": 32, "depth": 2, "num_heads": 2, "max_seq_len": 64}


@dataclass(frozen=True)
class Workshop:
    """Everything a run needs; the cache is shared by all tests of a module.

    The dataset has eight one-image pairs to train on in two sizes, one with a mask, one with two images and one with
    a history, and two held-out ones.
    """

    folder: Path
    bundle: Path
    dataset: Path
    cache: Path

    def table(self, output: Path, **changes: Any) -> dict[str, Any]:
        """A configuration as TOML would give it: two blocks from scratch, fp32, nothing drawn."""
        table = {
            "output": str(output),
            "method": "full",
            "steps": 4,
            "batch_size": 2,
            "precision": "fp32",
            "device": "cpu",
            "tensorboard": False,
            "plot": False,
            "model": {"bundle": str(self.bundle), "scratch": dict(SCRATCH)},
            "data": {"datasets": [str(self.dataset)], "cache": str(self.cache)},
            "optimizer": {"learning_rate": 1e-2},
            "validation": {"every": 0},
            "samples": {"every": 0},
        }
        for name, value in changes.items():
            section, _, key = name.rpartition("__")
            place = table.setdefault(section, {}) if section else table
            place[key] = value
        return table

    def config(self, output: Path, **changes: Any) -> TrainConfig:
        """As :meth:`table`; `section__key=value` sets one value of a section."""
        return make_config(self.table(output, **changes))


@pytest.fixture(scope="session", name="workshop")
def workshop_fixture(tmp_path_factory) -> Workshop:
    folder = tmp_path_factory.mktemp("workshop")
    bundle = make_random_bundle(folder / "bundle")
    vae = torch.load(bundle.vae, weights_only=True)
    vae["quant_conv.weight"] *= 30.0  # latents of a spread of about 1, as a trained VAE gives
    torch.save(vae, bundle.vae)
    description = bundle.folder / "ace_bundle.json"
    few = json.loads(description.read_text()) | {"steps": 3}  # random weights make nothing better with more
    description.write_text(json.dumps(few))
    fill_dataset(folder / "pairs")
    return Workshop(folder, folder / "bundle", folder / "pairs", folder / "cache")


def fill_dataset(folder: Path) -> Dataset:
    """Ten pairs: see :class:`Workshop`."""
    dataset = Dataset.open_or_create(folder.parent, folder.name)

    def add(seed: int, size: tuple[int, int], split: str, **changes: Any) -> str:
        source = picture(seed, *size)
        values = {"source": source, "target": 255 - source, "instruction": "{image} as a negative"} | changes
        result = dataset.append(Pair(name=f"{split}-{seed}", **values))
        assert result.stored, result
        return result.id

    wide, square = (16, 32), (32, 32)
    splits = {add(seed, square if seed % 2 else wide, "train"): "train" for seed in range(5)}
    splits[add(5, square, "train", masks=[half_mask(*square)], weight=0.25)] = "train"
    first = add(6, square, "train", references=[picture(60, *wide)], instruction="put {image1} into {image}")
    later = add(7, square, "train", history=[first], instruction="{image} darker")
    splits |= {first: "train", later: "train"}
    splits |= {add(seed, square, "held"): "validation" for seed in (8, 9)}
    dataset.rewrite(lambda row: _with_split(row, splits[row.id]))
    return dataset


def _with_split(row, split: str):
    from dataclasses import replace

    return replace(row, split=split)


def run(config: TrainConfig, *, stop_at: int | None = None) -> list[dict[str, Any]]:
    """Trains and returns the events; with ``stop_at``, asks to stop before that step would begin."""
    events: list[dict[str, Any]] = []

    def stop() -> bool:
        return stop_at is not None and sum(event["event"] == "step" for event in events) >= stop_at

    train(config, on_event=events.append, should_stop=stop)
    return events


def losses(events: list[dict[str, Any]], kind: str = "step") -> list[float]:
    return [event["loss"] for event in events if event["event"] == kind]


def checkpoint(output: Path, step: int) -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint."""
    folder = output / "checkpoints" / f"step-{step:08d}"
    return {f"{path.stem}:{k}": v for path in sorted(folder.glob("*.safetensors")) for k, v in load_file(path).items()}


def assert_equal_tensors(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    """The same names and the same bits."""
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert not different


def join_run(rank: int, processes: int, port: int) -> None:
    """Makes this process one of several, as `accelerate launch` starts them on CPUs."""
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in names.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "ACCELERATE_USE_CPU": "true"}
    torch.set_num_threads(1)
    gc.freeze()  # what the server of forks has loaded stays for good


def start_processes(worker: Callable[..., None], processes: int, *arguments: Any) -> list[Any]:
    """Starts `worker(rank, processes, port, *arguments)` in each of some processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = [PROCESSES.Process(target=worker, args=(rank, processes, port, *arguments)) for rank in range(processes)]
    for child in children:
        child.start()
    return children


def finish_processes(worker: Callable[..., None], processes: int, *arguments: Any) -> None:
    """Starts processes and waits until all have ended well."""
    children = start_processes(worker, processes, *arguments)
    for child in children:
        child.join(120)
    assert [child.exitcode for child in children] == [0] * processes


def command(arguments: list[str]) -> None:
    """Runs the command line in a child process, with one thread so that busy machines stay usable."""
    from comfyui_ace.cli import main

    torch.set_num_threads(1)
    gc.freeze()
    raise SystemExit(main(arguments))


def write_toml(table: dict[str, Any], path: Path) -> Path:
    """A nested table of texts, numbers, switches and lists as TOML."""
    plain = [f"{key} = {json.dumps(value)}" for key, value in table.items() if not isinstance(value, dict)]
    lines = [*plain, *_sections(table, "")]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _sections(table: dict[str, Any], prefix: str):
    for name, section in table.items():
        if isinstance(section, dict):
            yield f"[{prefix}{name}]"
            yield from (f"{key} = {json.dumps(value)}" for key, value in section.items() if not isinstance(value, dict))
            yield from _sections(section, f"{prefix}{name}.")


def metrics(output: Path) -> list[dict[str, Any]]:
    """Whole lines of a run's metrics so far."""
    path = output / "metrics.jsonl"
    return (
        [json.loads(line) for line in path.read_text().splitlines(True) if line.endswith("\n")] if path.exists() else []
    )


def two_steps_of_distil(workshop: Workshop, folder: Path) -> DistilSettings:
    """Two steps of a distillation on a random bundle."""
    return DistilSettings(
        datasets=[workshop.dataset],
        bundle=workshop.bundle,
        output=folder / "run",
        name="ink",
        steps=2,
        rank=2,
        batch_size=2,
        overrides={
            "tensorboard": False,
            "plot": False,
            "samples": {"every": 0},
            "data": {"cache": str(workshop.cache)},
        },
        device="cpu",
        pairs=1,
    )
