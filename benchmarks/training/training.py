"""Speed of the trainer against a bare loop, against no caches, and against one-by-one batches."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from ..report import Table
from ..timing import clock, seconds
from ..workload import Setting

_SIDE, _BATCH, _PAIRS = 128, 16, 32
_SHAPE = {"hidden_size": 256, "depth": 8, "num_heads": 4, "max_seq_len": 64}


def run(setting: Setting) -> Table:
    """Time of a step of 16 pairs of 128 px, one source each, in fp32."""
    steps = 4 if setting.quick else 12
    with tempfile.TemporaryDirectory() as folder:
        table = _make_inputs(Path(folder), setting)
        trainer = _trainer_seconds(table, setting, steps, batch_size=_BATCH)
        single = _trainer_seconds(table, setting, steps, batch_size=1, accumulate=_BATCH)
        bare, uncached = _bare_seconds(table, setting, steps)
    rows = [
        (name, _BATCH / time, 1000 * time, time / bare)
        for name, time in (
            ("bare loop on one batch in memory", bare),
            ("trainer", trainer),
            ("trainer, batches of 1 x 16", single),
            ("bare loop, encoding every batch", uncached),
        )
    ]
    return Table(
        "Training",
        ("what", "pairs a second", "ms a step", "time / bare loop"),
        rows,
        (
            f"A model of width {_SHAPE['hidden_size']} and depth {_SHAPE['depth']}; its VAE and text encoder are small "
            "ones with random weights, so the published ones make the last line far worse. Medians.",
        ),
    )


def _make_inputs(folder: Path, setting: Setting) -> dict[str, Any]:
    """Writes a bundle and a dataset; returns a configuration."""
    import numpy as np

    from ...ace.bundles.random_bundle import make_random_bundle
    from ...training.dataset.intake.checks import CheckSettings
    from ...training.dataset.store import Dataset, Pair

    make_random_bundle(folder / "bundle")
    dataset = Dataset.create(folder, "pairs", checks=CheckSettings(near_duplicate=False))
    rng = np.random.default_rng(0)
    for _ in range(_PAIRS):
        source = rng.integers(0, 256, (_SIDE, _SIDE, 3), dtype=np.uint8)
        dataset.append(Pair(source=source, target=255 - source, instruction="{image} as a negative"))
    return {
        "method": "full",
        "precision": "fp32",
        "device": "cpu" if setting.device.type == "cpu" else "auto",
        "tensorboard": False,
        "plot": False,
        "model": {"bundle": str(folder / "bundle"), "scratch": _SHAPE},
        "data": {"datasets": [str(dataset.folder)], "cache": str(folder / "cache")},
        "validation": {"every": 0},
        "samples": {"every": 0},
        "checkpoints": {"every": 0},
        "output": str(folder / "run"),
    }


def _trainer_seconds(table: dict[str, Any], setting: Setting, steps: int, **changes: int) -> float:
    """Median time between the reports of two steps."""
    from ...training.trainer.config_file import make_config
    from ...training.trainer.run import train

    now, times = clock(setting.device), []
    output = f"{table['output']}-{changes['batch_size']}"
    config = make_config({**table, **changes, "steps": steps + 2, "output": output})
    train(config, on_event=lambda event: times.append(now()) if event["event"] == "step" else None)
    return statistics.median(after - before for before, after in pairwise(times[1:]))


def _bare_seconds(table: dict[str, Any], setting: Setting, steps: int) -> tuple[float, float]:
    """Median times of a step on a batch in memory, and of one that encodes its pictures and texts before."""
    from ...training.trainer import preparation
    from ...training.trainer.base_model import make_model
    from ...training.trainer.config_file import make_config
    from ...training.trainer.data.batches import SampleStore
    from ...training.trainer.data.encoding import fitted_pixels, items_of
    from ...training.trainer.data.items import PictureItem
    from ...training.trainer.learning.optimizer import trainable_parameters

    config = make_config({**table, "steps": 1})
    with preparation.open_accelerator(config) as accelerator:
        prepared = preparation.prepare(config, accelerator)
    store = SampleStore(prepared.examples.train, prepared.cache, 2**30)
    batch = store.batch(list(range(_BATCH)), [False] * _BATCH)
    noise = torch.randn(batch.latents.shape)
    model = make_model(config, prepared.files, store.indicators.shape[1], setting.device)
    trained = trainable_parameters(model)
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    noisy, noise, conditioning = (part.to(setting.device) for part in (batch.latents, noise, batch.conditioning))
    timesteps = torch.randint(1000, (_BATCH,)).to(setting.device)
    vae = prepared.files.encoders.load_vae(setting.device)
    text_encoder = prepared.files.encoders.load_text_encoder(setting.device)

    def step() -> None:
        (model(noisy, timesteps, conditioning) - noise).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def encode_and_step() -> None:
        from ...ace.text import encode_text

        for example in prepared.examples.train[:_BATCH]:
            pictures = [item for item in items_of(example) if isinstance(item, PictureItem)]
            vae.encode(torch.cat([fitted_pixels(item) for item in pictures]))
            for text in dict.fromkeys(example.texts):
                encode_text(text, text_encoder)
        step()

    def median(function: Callable[[], None]) -> float:
        function()
        return statistics.median(seconds(function, setting.device) for _ in range(steps))

    return median(step), median(encode_and_step)


def main() -> None:
    """Prints the table for one CPU thread."""
    torch.set_num_threads(1)
    print(run(Setting(torch.device("cpu"), torch.float32)).markdown())


if __name__ == "__main__":
    main()
