"""Examples -> batches of tensors, from the cache or from main memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ....ace.model.conditioning import Conditioning
from ..errors import DataError
from .cache import Cache, IndicatorItem, Item, TextItem
from .examples import Example, PictureItem

Texts = tuple[torch.Tensor, ...]


@dataclass(frozen=True, eq=False)
class Sample:
    """An example's tensors on the CPU, float32.

    Attributes:
        target: (4, H, W).
        references: N of (4, h, w).
        masks: N of (1, h, w), or None where everything may change.
        target_mask: (1, H, W) or None.
        texts, negative_texts: N+1 of (L, Y).
    """

    target: torch.Tensor
    references: tuple[torch.Tensor, ...]
    masks: tuple[torch.Tensor | None, ...]
    target_mask: torch.Tensor | None
    texts: Texts
    negative_texts: Texts


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


class SampleStore:
    """Samples by number.

    Args:
        memory: bytes; if all tensors together are smaller, each is read once and kept.
    """

    def __init__(self, examples: Sequence[Example], cache: Cache, memory: int) -> None:
        self.examples, self.cache = examples, cache
        self.resident = _size(examples, cache, memory) <= memory
        self._items: dict[Item, torch.Tensor] = {}
        self._samples: dict[int, Sample] = {}
        self.indicators = cache.read(IndicatorItem())  # (rows, Y)

    def __getitem__(self, index: int) -> Sample:
        """
        Raises:
            DataError: a cached file is gone or damaged; the pair is named.
        """
        sample = self._samples.get(index)
        if sample is None:
            sample = self._read(self.examples[index])
            if self.resident:
                self._samples[index] = sample
        return sample

    def batch(self, indices: Sequence[int], dropped: Sequence[bool]) -> Batch:
        """Collates examples of one layout; those that are ``dropped`` get the texts of the negative branch."""
        samples = [self[index] for index in indices]
        texts = [s.negative_texts if drop else s.texts for s, drop in zip(samples, dropped, strict=True)]
        weights = torch.tensor([self.examples[index].weight for index in indices])
        return collate(samples, texts, weights, self.indicators)

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


def collate(
    samples: Sequence[Sample], texts: Sequence[Texts], weights: torch.Tensor, indicators: torch.Tensor
) -> Batch:
    """Stacks samples of one layout; texts are padded to the longest and the padding is masked.

    Args:
        texts: for each sample those of the branch it is trained in.
        weights: (B,).
        indicators: the I-Emb table.
    """
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
    """(B, 1, h, w), a missing mask being all ones; None if all are missing."""
    known = next((mask for mask in masks if mask is not None), None)
    if known is None:
        return None
    ones = torch.ones_like(known)
    return torch.stack([ones if mask is None else mask for mask in masks])


def _size(examples: Sequence[Example], cache: Cache, enough: int) -> int:
    """Bytes of all tensors in float32, each item once; stops counting past ``enough``."""
    seen: set[Item] = set()
    total = 0
    for example in examples:
        items: list[Item] = [example.target, *example.references, *(m for m in example.masks if m is not None)]
        items += [TextItem(text) for text in (*example.texts, *example.negative_texts)]
        for item in items:
            if item in seen:
                continue
            seen.add(item)
            total += _bytes(item, cache)
        if total > enough:
            break
    return total


def _bytes(item: Item, cache: Cache) -> int:
    if isinstance(item, TextItem):
        path = cache.path(item)
        return 2 * path.stat().st_size if path.is_file() else 0
    height, width = item.fit.height // 8, item.fit.width // 8
    return height * width * (16 if isinstance(item, PictureItem) else 4)
