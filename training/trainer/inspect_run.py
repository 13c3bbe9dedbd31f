"""Inspects a run without training: what it would train on, its cache, and cached latents as pictures again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from ...ace.pictures.image_files import save_picture
from .config import TrainConfig
from .data.cache import Item
from .data.encoding import items_of
from .data.examples import Example
from .data.items import MaskItem, PictureItem
from .errors import DataError
from .preparation import open_accelerator, prepare, prepare_examples
from .reporting import OnEvent, silent_event


def describe(config: TrainConfig) -> Iterator[str]:
    """Says in lines what would be trained on; nothing is encoded.

    Raises:
        TrainError: see :func:`prepare_examples`.
    """
    with open_accelerator(config) as accelerator:
        prepared = prepare_examples(config, accelerator)
    examples = prepared.examples
    yield f"{len(examples.train)} pairs to train on, {len(examples.validation)} held out; base model: {prepared.files.name}"
    if config.data.source is not None:
        yield f"examples are drawn by {config.data.source.name}, each used {config.data.source.passes} times"
    for reason, number in examples.left_out.items():
        yield f"left out: {number} ({reason})"
    for layout, number in Counter(example.layout for example in examples.train).most_common():
        frames = ", ".join(f"{width * 8}x{height * 8}" for height, width in layout)
        yield f"{number} pairs of layout {frames} ({sum(h * w // 4 for h, w in layout)} tokens)"
    if examples.views:
        yield f"augmentation adds {len(examples.further_views)} views of them"
    items = {
        item
        for example in (*examples.train, *examples.further_views, *examples.validation)
        for item in items_of(example)
    }
    missing = sum(item not in prepared.cache for item in items)
    yield f"{len(items) - missing} of {len(items)} pictures and texts are encoded in {config.data.cache}"
    if not examples.train:
        return
    share = 1.0 if config.data.source is None else 1.0 - config.data.source.share
    seen = config.steps * config.accumulate * config.batch_size * share
    yield f"{config.steps} steps see every pair {seen / len(examples.train):.3g} times on one device"


def cache_only(config: TrainConfig, on_event: OnEvent = silent_event) -> None:
    """Encodes all pictures and texts of a run that are not cached yet.

    Raises:
        TrainError: see :func:`prepare`.
    """
    with open_accelerator(config) as accelerator:
        prepare(config, accelerator, on_event)


def decode_cache(
    config: TrainConfig, folder: Path, pairs: Sequence[str] | None = None, on_event: OnEvent = silent_event
) -> Iterator[Path]:
    """Decodes what is cached for pairs into pictures: ID-target.png, ID-image1.png … What is missing is encoded first.

    Args:
        config: of the run.
        folder: where the pictures go.
        pairs: their ids; None means all of the run.
        on_event: gets the progress of encoding.

    Yields:
        the pictures' paths.

    Raises:
        DataError: an id is not among the run's pairs.
    """
    with open_accelerator(config) as accelerator:
        prepared = prepare(config, accelerator, on_event)
        examples = {example.id: example for example in (*prepared.examples.train, *prepared.examples.validation)}
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
    """A cached tensor (C, h, w) as a picture (H, W, 3); a mask is enlarged eight times, one square a latent pixel."""
    if isinstance(item, PictureItem):
        return vae.decode(tensor[None])[0].cpu()
    return tensor.repeat_interleave(8, 1).repeat_interleave(8, 2)[0, :, :, None].expand(-1, -1, 3)
