"""Batches of examples that a source draws, encoded while training."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ....ace.encode import branch_texts
from ....ace.lcu.frames import FittedFrame, fit_frames
from ....ace.lcu.indicators import MAX_IMAGES
from ....ace.lcu.units import ResolvedContext, resolve
from ....ace.notices import silent
from ....ace.pictures.preprocess import fit_image
from ....ace.pictures.resolution import Resolution
from ....ace.text import TextEncoder, encode_indicators, tokenize
from ....ace.vae import ImageVAE
from ..errors import DataError
from .batches import Sample
from .examples import target_fit
from .items import Size
from .source import DrawnExample, ExampleSource

_log = logging.getLogger(__name__)
_WINDOW = 16  # batches among which repeated passes are mixed
_TOGETHER = 16  # pictures in one pass of the VAE


@dataclass(frozen=True, eq=False)
class FittedExample:
    """An example at the model's size, before it is encoded.

    Attributes:
        resolved: its frames and words.
        frames: the condition images with their sizes.
        target: (1, H, W, 3).
    """

    resolved: ResolvedContext
    frames: tuple[FittedFrame, ...]
    target: torch.Tensor

    @property
    def pictures(self) -> list[torch.Tensor]:
        """The target, then the condition images as the model sees them: (1, H, W, 3)."""
        return [self.target, *(frame.image() for frame in self.frames)]

    @property
    def masks(self) -> tuple[torch.Tensor | None, ...]:
        """(1, h, w) of each condition image, at the latent's size; None where everything may change."""
        return tuple(None if frame.mask is None else frame.mask[0] for frame in self.frames)

    @property
    def target_mask(self) -> torch.Tensor | None:
        """That of the edited image, or None."""
        return None if self.resolved.target is None else self.masks[self.resolved.target]


def fit_example(example: DrawnExample, resolution: Resolution) -> FittedExample:
    """The example in the sizes that the model is given.

    Raises:
        ValueError: the example makes no sense, such as an instruction that names an image which is not there.
    """
    resolved = resolve(example.context, silent)
    frames = fit_frames(resolved, resolution, silent)
    size = example.target.shape[1:3]
    edited = resolved.target
    fit = resolution.fit(*size) if edited is None else target_fit(*size, frames[edited].fit)
    return FittedExample(resolved, frames, fit_image(example.target, fit))


@dataclass(eq=False)
class ExampleEncoder:
    """Drawn examples -> samples.

    Attributes:
        vae, text_encoder: of the model; they stay in memory while training.
        resolution: the rule for sizes.
        memory: bytes of text embeddings to keep.
    """

    vae: ImageVAE
    text_encoder: TextEncoder
    resolution: Resolution
    memory: int
    _texts: OrderedDict[str, torch.Tensor] = field(default_factory=OrderedDict)
    _bytes: int = 0

    def __post_init__(self) -> None:
        self.indicators = encode_indicators(self.text_encoder, MAX_IMAGES + 1).cpu()  # (rows, Y)

    def encode(self, examples: Sequence[DrawnExample]) -> list[Sample]:
        """What the model is given for each example.

        Raises:
            ValueError: an example makes no sense, such as an instruction that names an image which is not there.
        """
        fitted = [fit_example(example, self.resolution) for example in examples]
        latents = iter(self._encode_pictures([picture for one in fitted for picture in one.pictures]))
        branches = [branch_texts(one.resolved) for one in fitted]
        embedded = self._embed([text for both in branches for texts in both for text in texts])
        samples = []
        for one, (texts, negative) in zip(fitted, branches, strict=True):
            target, *references = (next(latents) for _ in one.pictures)
            samples.append(
                Sample(
                    target=target,
                    references=tuple(references),
                    masks=one.masks,
                    target_mask=one.target_mask,
                    texts=tuple(embedded[text] for text in texts),
                    negative_texts=tuple(embedded[text] for text in negative),
                )
            )
        return samples

    def pictures(self, example: DrawnExample) -> list[torch.Tensor]:
        """Target and condition images as the model sees them, (1, H, W, 3) each."""
        return fit_example(example, self.resolution).pictures

    def _encode_pictures(self, pictures: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Those of one size together: (1, H, W, 3) each -> (4, h, w) each."""
        by_size: dict[Size, list[int]] = {}
        for index, picture in enumerate(pictures):
            by_size.setdefault(tuple(picture.shape[1:3]), []).append(index)
        latents: list[torch.Tensor] = [torch.empty(0)] * len(pictures)
        for indices in by_size.values():
            for start in range(0, len(indices), _TOGETHER):
                some = indices[start : start + _TOGETHER]
                encoded = self.vae.encode(torch.cat([pictures[index] for index in some])).cpu()
                for index, latent in zip(some, encoded, strict=True):
                    latents[index] = latent
        return latents

    def _embed(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """Embeddings (L, Y) by text; those of one length are made together, and kept as long as there is room."""
        found = {text: self._texts[text] for text in texts if text in self._texts}
        by_length: dict[int, list[tuple[str, list[int]]]] = {}
        for text in dict.fromkeys(texts):
            if text in found:
                self._texts.move_to_end(text)
            else:
                ids = tokenize(text, self.text_encoder.tokenizer, _log.warning)
                by_length.setdefault(len(ids), []).append((text, ids))
        for group in by_length.values():
            embedded = self.text_encoder.embed([ids for _, ids in group]).cpu()
            found |= {text: each.clone() for (text, _), each in zip(group, embedded, strict=True)}
        for text in (text for group in by_length.values() for text, _ in group):
            self._texts[text] = found[text]
            self._bytes += found[text].nbytes
        while self._bytes > self.memory and self._texts:
            self._bytes -= self._texts.popitem(last=False)[1].nbytes
        return found


class DrawnBatches:
    """Batches of a source by number.

    Args:
        source, encoder: draw and encode.
        batch_size: examples in a batch, over all processes.
        passes: how often each batch of the source is used. The passes of some neighbouring batches are mixed, and every
            pass gets its own noise; the encoded batches are kept meanwhile.
        seed: of the mixing.
    """

    def __init__(
        self, source: ExampleSource, encoder: ExampleEncoder, batch_size: int, *, passes: int = 1, seed: int = 0
    ) -> None:
        self.source, self.encoder, self.batch_size, self.passes, self.seed = source, encoder, batch_size, passes, seed
        self._kept: dict[tuple[int, int], list[Sample]] = {}

    def part(self, number: int, rows: slice) -> list[Sample]:
        """Some of a batch's samples.

        Raises:
            DataError: the source failed; the number is named.
        """
        batch = self.drawn_batch(number)
        key = batch, rows.start
        samples = self._kept.get(key)
        if samples is None:
            samples = self._encode(batch, rows)
            oldest = batch - batch % _WINDOW - _WINDOW
            self._kept = {known: kept for known, kept in self._kept.items() if known[0] >= oldest}
            if self.passes > 1:
                self._kept[key] = samples
        return samples

    def drawn_batch(self, number: int) -> int:
        """The source's batch that is used as batch ``number``."""
        if self.passes == 1:
            return number
        window, position = divmod(number, _WINDOW * self.passes)
        order = np.random.default_rng([self.seed, 3, window]).permutation(_WINDOW * self.passes)
        return window * _WINDOW + int(order[position]) % _WINDOW

    def epoch_of(self, number: int) -> float:
        """A source has no end."""
        return 0.0

    def _encode(self, batch: int, rows: slice) -> list[Sample]:
        try:
            samples = self.encoder.encode([self.source.draw(batch, row) for row in range(rows.start, rows.stop)])
        except (OSError, ValueError, ImportError) as error:
            raise DataError(f"data.source: batch {batch} cannot be drawn: {error}") from error
        layouts = {layout_of(sample) for sample in samples}
        if len(layouts) > 1:
            raise DataError(
                f"data.source: batch {batch} mixes examples of different sizes or numbers of images "
                f"({', '.join(map(str, sorted(layouts)))}, in latent pixels); a source must draw all of a batch alike"
            )
        return samples


class MixedBatches:
    """Batches of a source among stored ones, spread evenly.

    Args:
        share: of the drawn ones.
    """

    def __init__(self, stored, drawn: DrawnBatches, share: float) -> None:
        self.stored, self.drawn, self.share = stored, drawn, share

    def part(self, number: int, rows: slice) -> list[Sample]:
        """Some of a batch's samples.

        Raises:
            DataError: see :class:`DrawnBatches` and ``StoredBatches``.
        """
        before = self._drawn_before(number)
        if self._drawn_before(number + 1) > before:
            return self.drawn.part(before, rows)
        return self.stored.part(number - before, rows)

    def epoch_of(self, number: int) -> float:
        """Passes over the stored pairs before batch ``number``."""
        return self.stored.epoch_of(number - self._drawn_before(number))

    def _drawn_before(self, number: int) -> int:
        return int(number * self.share)


@dataclass(frozen=True)
class HeldOutExample:
    """Name and layout of a held-out example of a source."""

    id: str
    layout: tuple[Size, ...]
    dataset: str = "drawn"


class HeldOutStore:
    """Held-out examples of a source by number, encoded once.

    Raises:
        DataError: the source failed; the number is named.
    """

    def __init__(self, source: ExampleSource, encoder: ExampleEncoder, count: int) -> None:
        self.source, self.encoder, self.indicators = source, encoder, encoder.indicators
        self._samples = [self._encode(number) for number in range(count)]
        self.examples = [HeldOutExample(f"drawn-{k}", layout_of(sample)) for k, sample in enumerate(self._samples)]

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index]

    def given(self, index: int) -> list[tuple[str, torch.Tensor]]:
        """An example's condition images and target as the model sees them, each with a label: (1, H, W, 3)."""
        target, *references = self.encoder.pictures(self.source.held_out(index))
        return [*((f"image {k}", picture) for k, picture in enumerate(references, 1)), ("teacher", target)]

    def _encode(self, number: int) -> Sample:
        try:
            return self.encoder.encode([self.source.held_out(number)])[0]
        except (OSError, ValueError, ImportError) as error:
            raise DataError(f"data.source: held-out example {number} cannot be drawn: {error}") from error


def layout_of(sample: Sample) -> tuple[Size, ...]:
    """Latent sizes of all frames, the target first."""
    return tuple(tuple(latent.shape[-2:]) for latent in (sample.target, *sample.references))
