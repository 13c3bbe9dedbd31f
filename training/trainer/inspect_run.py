"""Looks at a run without training: what it would train on, its cache, and cached latents as pictures again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from ...ace.pictures.image_files import save_picture
from .config import TrainConfig
from .data.cache import Item
from .data.encoding import items_of
from .data.examples import Example, MaskItem, PictureItem
from .errors import DataError
from .preparation import accelerated, plan_run, prepare
from .reporting import OnEvent, silent_event


def describe(config: TrainConfig) -> Iterator[str]:
    """Lines about what would be trained on; nothing is encoded."""
    with accelerated(config) as accelerator:
        prepared = plan_run(config, accelerator)
    plan = prepared.plan
    yield f"{len(plan.train)} pairs to train on, {len(plan.validation)} held out; base model: {prepared.files.name}"
    for reason, number in plan.left_out.items():
        yield f"left out: {number} ({reason})"
    for layout, number in Counter(example.layout for example in plan.train).most_common():
        frames = ", ".join(f"{width * 8}x{height * 8}" for height, width in layout)
        yield f"{number} pairs of layout {frames} ({sum(h * w // 4 for h, w in layout)} tokens)"
    items = {item for example in (*plan.train, *plan.validation) for item in items_of(example)}
    missing = sum(item not in prepared.cache for item in items)
    yield f"{len(items) - missing} of {len(items)} pictures and texts are encoded in {config.data.cache}"
    seen = config.steps * config.accumulate * config.batch_size
    yield f"{config.steps} steps see every pair {seen / len(plan.train):.3g} times on one device"


def cache_only(config: TrainConfig, on_event: OnEvent = silent_event) -> None:
    """Fills the cache."""
    with accelerated(config) as accelerator:
        prepare(config, accelerator, on_event)


def decode_cache(
    config: TrainConfig, folder: Path, pairs: Sequence[str] | None = None, on_event: OnEvent = silent_event
) -> Iterator[Path]:
    """Turns what is cached for some pairs (all of them if None) back into pictures: ID-target.png, ID-image1.png …

    Raises:
        DataError: an id is not among the run's pairs.
    """
    with accelerated(config) as accelerator:
        prepared = prepare(config, accelerator, on_event)
        examples = {example.id: example for example in (*prepared.plan.train, *prepared.plan.validation)}
        unknown = [pair for pair in pairs or () if pair not in examples]
        if unknown:
            raise DataError(f"{', '.join(unknown)} is none of this run's {len(examples)} pairs")
        vae = prepared.files.encoders.load_vae(accelerator.device)
        for pair in pairs or examples:
            for name, item in _named(examples[pair]):
                tensor = prepared.cache.read(item)
                yield save_picture(_picture(item, tensor, vae), folder / f"{pair}-{name}.png")


def _named(example: Example) -> Iterator[tuple[str, Item]]:
    yield "target", example.target
    for number, (picture, mask) in enumerate(zip(example.references, example.masks, strict=True), 1):
        yield f"image{number}", picture
        if mask is not None:
            yield f"mask{number}", mask


def _picture(item: PictureItem | MaskItem, tensor: torch.Tensor, vae) -> torch.Tensor:
    """(H, W, 3); a mask is shown one pixel a latent pixel, eight times enlarged."""
    if isinstance(item, PictureItem):
        return vae.decode(tensor[None])[0].cpu()
    return tensor.repeat_interleave(8, 1).repeat_interleave(8, 2)[0, :, :, None].expand(-1, -1, 3)
