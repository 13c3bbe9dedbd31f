"""Examples -> batches of tensors, from the cache or from main memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F

from ....ace.model.conditioning import Conditioning
from ...errors import DatasetError
from ..errors import DataError
from .batch_sampler import BatchSampler
from .cache import Cache, IndicatorItem, Item, TextItem
from .encoding import fitted_pixels
from .examples import Example
from .items import PictureItem, Size

Texts = tuple[torch.Tensor, ...]
_PHRASINGS = 3  # tells this draw from other uses of the seed


@dataclass(frozen=True, eq=False)
class Sample:
    """An example's tensors on the CPU, float32.

    Attributes:
        target: (4, H, W).
        references: N of (4, h, w).
        masks: N of (1, h, w), or None where everything may change.
        target_mask: (1, H, W) or None.
        texts, negative_texts: N+1 of (L, Y).
        weight: importance.
    """

    target: torch.Tensor
    references: tuple[torch.Tensor, ...]
    masks: tuple[torch.Tensor | None, ...]
    target_mask: torch.Tensor | None
    texts: Texts
    negative_texts: Texts
    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class Batch:
    """What one forward pass learns from.

    Attributes:
        latents: (B, 4, H, W), the clean targets.
        conditioning: of batch B.
        weights: (B,), importance of each sample.
    """

    latents: torch.Tensor
    conditioning: Conditioning
    weights: torch.Tensor


class Named(Protocol):
    """An example's name, the dataset it is from, and the latent sizes of its frames, the target first."""

    id: str
    dataset: str
    layout: tuple[Size, ...]


class HeldOut(Protocol):
    """What is measured on: samples by the number of their example."""

    examples: Sequence[Named]
    indicators: torch.Tensor

    def __getitem__(self, index: int) -> Sample: ...

    def given(self, index: int) -> list[tuple[str, torch.Tensor]]:
        """Condition images and target as the model sees them, each with a label: (1, H, W, 3)."""
        ...


class SampleStore:
    """Samples by number.

    Args:
        examples: what the numbers mean.
        cache: with everything the examples need.
        memory: bytes; if all tensors together are smaller, each is read once and kept.

    Attributes:
        resident: whether they are kept.
        indicators: (rows, Y), the I-Emb table.

    Raises:
        DataError: the I-Emb table is not in the cache.
    """

    def __init__(self, examples: Sequence[Example], cache: Cache, memory: int) -> None:
        self.examples, self.cache = examples, cache
        self.resident = _size(examples, cache, memory) <= memory
        self._items: dict[Item, torch.Tensor] = {}
        self._samples: dict[int, Sample] = {}
        self.indicators = cache.read(IndicatorItem())  # (rows, Y)

    def __getitem__(self, index: int) -> Sample:
        """The tensors of one example.

        Raises:
            DataError: a cached file is gone or damaged; the pair is named.
        """
        sample = self._samples.get(index)
        if sample is None:
            sample = self._read(self.examples[index])
            if self.resident:
                self._samples[index] = sample
        return sample

    def phrased(self, index: int, draw: float) -> Sample:
        """The tensors of one example in one of its phrasings.

        Args:
            draw: 0 <= draw < 1, which of them, all being equally likely.

        Raises:
            DataError: as for ``store[index]``.
        """
        example, sample = self.examples[index], self[index]
        number = int(draw * (len(example.phrasings) + 1))
        if number == 0:
            return sample
        try:
            texts = tuple(self._tensor(TextItem(text)) for text in example.phrasings[number - 1])
        except DataError as error:
            raise DataError(f"{example.place}: {error}") from error
        return replace(sample, texts=texts)

    def given(self, index: int) -> list[tuple[str, torch.Tensor]]:
        """An example's condition images and target as the model sees them, each with a label: (1, H, W, 3).

        Raises:
            DataError: a picture cannot be read; the pair is named.
        """
        example = self.examples[index]
        try:
            shown = [(f"image {k + 1}", fitted_pixels(item)) for k, item in enumerate(example.references)]
            return [*shown, ("teacher", fitted_pixels(example.target))]
        except (OSError, ValueError, DatasetError) as error:
            raise DataError(f"{example.place} cannot be drawn: {error}") from error

    def _read(self, example: Example) -> Sample:
        try:
            masks = tuple(None if mask is None else self._tensor(mask) for mask in example.masks)
            return Sample(
                target=self._tensor(example.target),
                references=tuple(self._tensor(picture) for picture in example.references),
                masks=masks,
                target_mask=None if example.edited is None else masks[example.edited],
                texts=tuple(self._tensor(TextItem(text)) for text in example.texts),
                negative_texts=tuple(self._tensor(TextItem(text)) for text in example.negative_texts),
                weight=example.weight,
            )
        except DataError as error:
            raise DataError(f"{example.place}: {error}") from error

    def _tensor(self, item: Item) -> torch.Tensor:
        # Texts are few and shared by many pairs, so they are kept even where pictures are not.
        if not self.resident and not isinstance(item, TextItem):
            return self.cache.read(item)
        tensor = self._items.get(item)
        if tensor is None:
            tensor = self._items[item] = self.cache.read(item)
        return tensor


class JoinedHeldOut:
    """What two stores hold out, one after the other."""

    def __init__(self, first: HeldOut, second: HeldOut) -> None:
        self.first, self.second, self.indicators = first, second, first.indicators
        self.examples = [*first.examples, *second.examples]

    def __getitem__(self, index: int) -> Sample:
        store, own = self._place(index)
        return store[own]

    def given(self, index: int) -> list[tuple[str, torch.Tensor]]:
        store, own = self._place(index)
        return store.given(own)

    def _place(self, index: int) -> tuple[HeldOut, int]:
        count = len(self.first.examples)
        return (self.first, index) if index < count else (self.second, index - count)


class StoredBatches:
    """Batches of stored examples by number.

    Args:
        store: of the examples.
        batch_sampler: which of them make up a batch.
        seed: draws the phrasing in which a pair is learnt this time, the same on every machine.
    """

    def __init__(self, store: SampleStore, batch_sampler: BatchSampler, seed: int = 0) -> None:
        self.store, self.batch_sampler, self.seed = store, batch_sampler, seed

    def part(self, number: int, rows: slice) -> list[Sample]:
        """Some of a batch's samples, each in one of its phrasings.

        Raises:
            DataError: a cached file is gone or damaged; the pair is named.
        """
        indices = self.batch_sampler.batch(number)
        draws = np.random.default_rng([self.seed, _PHRASINGS, number]).random(len(indices))
        return [self.store.phrased(*chosen) for chosen in zip(indices[rows], draws[rows].tolist(), strict=True)]

    def epoch_of(self, number: int) -> float:
        """Passes over the data before batch ``number``."""
        return self.batch_sampler.epoch_of(number)


def collate(samples: Sequence[Sample], dropped: Sequence[bool], indicators: torch.Tensor) -> Batch:
    """Stacks samples of one layout; texts are padded to the longest and the padding is masked.

    Args:
        samples: B of them.
        dropped: which samples get the texts of the negative branch.
        indicators: (rows, Y), the I-Emb table.
    """
    texts = [s.negative_texts if drop else s.texts for s, drop in zip(samples, dropped, strict=True)]
    frames = range(len(samples[0].references))
    context, context_masks = zip(*(_pad([given[k] for given in texts]) for k in range(len(frames) + 1)), strict=True)
    conditioning = Conditioning(
        context=context,
        indicator_embeddings=indicators,
        target_mask=_stack_masks([sample.target_mask for sample in samples]),
        references=[torch.stack([sample.references[k] for sample in samples]) for k in frames],
        reference_masks=[_stack_masks([sample.masks[k] for sample in samples]) for k in frames],
        context_masks=() if all(mask is None for mask in context_masks) else context_masks,
    )
    weights = torch.tensor([sample.weight for sample in samples])
    return Batch(torch.stack([sample.target for sample in samples]), conditioning, weights)


def _pad(texts: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """B texts (L_i, Y) -> (B, L, Y) and a mask (B, L) of what is text, or None if all is."""
    lengths = [text.shape[0] for text in texts]
    longest = max(lengths)
    if min(lengths) == longest:
        return torch.stack(list(texts)), None
    padded = torch.stack([F.pad(text, (0, 0, 0, longest - text.shape[0])) for text in texts])
    return padded, torch.arange(longest) < torch.tensor(lengths)[:, None]


def _stack_masks(masks: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    """B masks (1, h, w) -> (B, 1, h, w), a missing one being all ones; None if all are missing."""
    known = next((mask for mask in masks if mask is not None), None)
    if known is None:
        return None
    ones = torch.ones_like(known)
    return torch.stack([ones if mask is None else mask for mask in masks])


def _size(examples: Sequence[Example], cache: Cache, limit: int) -> int:
    """Bytes of all tensors in float32, each item once; stops counting past ``limit``."""
    seen: set[Item] = set()
    total = 0
    for example in examples:
        items: list[Item] = [example.target, *example.references, *(m for m in example.masks if m is not None)]
        items += [TextItem(text) for texts in example.all_texts for text in texts]
        for item in items:
            if item in seen:
                continue
            seen.add(item)
            total += _bytes(item, cache)
        if total > limit:
            break
    return total


def _bytes(item: Item, cache: Cache) -> int:
    """Of an item's tensor in float32; 0 for a text that is not cached."""
    if isinstance(item, TextItem):
        path = cache.path(item)
        return 2 * path.stat().st_size if path.is_file() else 0
    height, width = item.fit.height // 8, item.fit.width // 8
    return height * width * (16 if isinstance(item, PictureItem) else 4)
