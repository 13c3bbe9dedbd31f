"""From what a caller hands over to what is stored: 8-bit arrays, one-line texts, hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ....ace.pictures.files.mask_reading import describe_marks
from ...errors import PairError, RowError
from ..disk.images import (
    AlphaPolicy,
    LoadedImage,
    as_mask8,
    as_rgb8,
    pixel_hash,
)
from ..disk.names import slug
from ..disk.perceptual_hash import PairPerceptualHash, pair_perceptual_hash
from ..disk.rows import MAX_IMAGES, check_id
from .values import read_bytes, read_named_values, read_seconds, read_seed, read_weight
from .wording import check_instruction, check_phrasings, check_text, checked_line, checked_tags, one_line, plain_prompt


@dataclass(frozen=True)
class Pair:
    """One training example: the condition images, the instruction, and the result they should give.

    Pictures may be PIL images, numpy arrays or tensors: (H, W), (H, W, C) or (1, H, W, C); uint8, uint16 or floats in
    0..1. Masks are (H, W), white (255 or 1.0) = may change. What ``read_image`` and ``read_mask`` return may be given as
    it is; what they had to convert is then said in the notes of the append.

    Attributes:
        target: the result.
        source: the first condition image, None for text-to-image.
        references: the further condition images, in indicator order.
        masks: one entry an image in the order (source, *references), None = no mask; may be shorter.
        instruction: as ACE reads it, with ``{image}`` tokens.
        prompt: the same in plain words; made from the instruction if left out.
        history: ids of the earlier rounds, oldest first.
        seed: the teacher's.
        tags: words to select pairs by.
        scores: raw sub-scores by scorer.
        weight: of the pair in training, at least 0.
        workflow: hash of a graph saved by ``provenance.save_graph``.
        teacher_seconds: what the teacher took for this pair, if that was measured; not part of the content's hash.
        teacher_memory: most bytes that the teacher had in use, likewise.
        phrasings, source_caption, target_caption: as in ``PairRow``.
        unlabelled: whether it may have no words at all: they come later, and until then it is not trained on.
        group: pairs of one group stand on one side of the split; "" for none. Not part of the content's hash.
        origin: where its pictures come from, texts and numbers by name; likewise.
        notes: what the reader of its files has to say of it; among the notes of the append.
        name: a hint from which the id is made.
        id, split, created: filled in when a stored pair is loaded; ``append`` ignores them.
    """

    target: Any
    source: Any = None
    references: Sequence[Any] = ()
    masks: Sequence[Any] = ()
    instruction: str = ""
    prompt: str | None = None
    history: Sequence[str] = ()
    seed: int | None = None
    tags: Sequence[str] = ()
    scores: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 1.0
    workflow: str | None = None
    teacher_seconds: float | None = None
    teacher_memory: int | None = None
    phrasings: Sequence[str] = ()
    source_caption: str = ""
    target_caption: str = ""
    unlabelled: bool = False
    group: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    name: str = ""
    id: str | None = None
    split: str | None = None
    created: str | None = None

    @property
    def images(self) -> tuple[Any, ...]:
        """Condition images in indicator order."""
        return (() if self.source is None else (self.source,)) + tuple(self.references)


@dataclass(frozen=True)
class PreparedPair:
    """A pair as it will be stored; attributes that are not listed are those of ``Pair``.

    Attributes:
        images: the condition images, (H, W, 3) uint8 each.
        masks: (H, W) uint8 or None, one an image.
        target: (H, W, 3) uint8.
        content_hash: of all that makes a pair what it is; see ``content_hash``.
        source_hash: of the source's pixels, or of the target's where there is no source.
        perceptual_hash: by which near-duplicates are found.
        notes: what was converted, in words.
        non_finite: share of NaN and infinite values, 0 to 1, by name of the picture.
    """

    images: tuple[np.ndarray, ...]
    masks: tuple[np.ndarray | None, ...]
    target: np.ndarray
    instruction: str
    prompt: str
    history: tuple[str, ...]
    seed: int | None
    tags: tuple[str, ...]
    scores: dict[str, Any]
    weight: float
    workflow: str | None
    teacher_seconds: float | None
    teacher_memory: int | None
    phrasings: tuple[str, ...]
    source_caption: str
    target_caption: str
    group: str
    origin: dict[str, Any]
    name: str
    content_hash: str
    source_hash: str
    perceptual_hash: PairPerceptualHash
    notes: tuple[str, ...]
    non_finite: dict[str, float]

    @property
    def source(self) -> np.ndarray | None:
        """The first condition image, (H, W, 3) uint8."""
        return self.images[0] if self.images else None


def prepare(pair: Pair, *, alpha: AlphaPolicy = "white") -> PreparedPair:
    """Converts and hashes a pair.

    Args:
        alpha: what stands behind transparent pixels.

    Raises:
        PairError: the pair was put together wrongly.
        ImageError: a picture or a mask cannot be read, or has values that fit no range.
    """
    _check_parts(pair)
    labels = image_labels(len(pair.images))
    images = [as_rgb8(image, alpha=alpha, label=label) for image, label in zip(pair.images, labels, strict=True)]
    target = as_rgb8(pair.target, alpha=alpha, label="target")
    given = [*pair.masks, *[None] * (len(images) - len(pair.masks))]
    masks = [
        None if mask is None else as_mask8(mask, label=f"mask of the {label}")
        for mask, label in zip(given, labels, strict=True)
    ]
    instruction, prompt = _words(pair, len(images))
    history = tuple(_history_id(earlier) for earlier in pair.history)
    arrays = tuple(image.pixels for image in images)
    mask_arrays = tuple(None if mask is None else mask.pixels for mask in masks)
    hashes = [pixel_hash(array) for array in arrays]
    mask_hashes = ["" if array is None else pixel_hash(array) for array in mask_arrays]
    target_hash = pixel_hash(target.pixels)
    named = dict(zip([*labels, "target"], [*images, target], strict=True))
    named.update({f"mask of the {label}": mask for label, mask in zip(labels, masks, strict=True) if mask is not None})
    return PreparedPair(
        images=arrays,
        masks=mask_arrays,
        target=target.pixels,
        instruction=instruction,
        prompt=prompt,
        history=history,
        seed=read_seed(pair.seed),
        tags=checked_tags(pair.tags),
        scores=read_named_values("scores", pair.scores),
        weight=read_weight(pair.weight),
        workflow=pair.workflow,
        teacher_seconds=read_seconds(pair.teacher_seconds),
        teacher_memory=read_bytes(pair.teacher_memory),
        phrasings=_phrasings(pair, instruction, len(images)),
        source_caption=checked_line(pair.source_caption, "source's caption"),
        target_caption=checked_line(pair.target_caption, "result's caption"),
        group=one_line(pair.group),
        origin=read_named_values("origin", pair.origin),
        name=slug(pair.name),
        content_hash=content_hash(hashes, mask_hashes, target_hash, instruction, history),
        source_hash=hashes[0] if hashes else target_hash,
        perceptual_hash=pair_perceptual_hash(
            arrays[0] if arrays else None, target.pixels, instruction, [*hashes[1:], *mask_hashes], history
        ),
        notes=(*pair.notes, *_notes(named, dict(zip(labels, mask_arrays, strict=True)))),
        non_finite={label: image.non_finite for label, image in named.items() if image.non_finite > 0},
    )


def _check_parts(pair: Pair) -> None:
    """Raises PairError: the pair was put together wrongly."""
    if pair.source is None and pair.references:
        raise PairError("The pair has references but no source. The first condition image is the source.")
    if len(pair.images) > MAX_IMAGES:
        raise PairError(f"{len(pair.images)} condition images, ACE takes at most {MAX_IMAGES}.")
    if len(pair.masks) > len(pair.images):
        raise PairError(f"{len(pair.masks)} masks for {len(pair.images)} images; give one mask an image, or None.")


def image_labels(count: int) -> list[str]:
    """Names of the condition images in messages: "source", "reference 1" …"""
    return ["source", *(f"reference {number}" for number in range(1, count))][:count]


def content_hash(
    images: Sequence[str], masks: Sequence[str], target: str, instruction: str, history: Sequence[str]
) -> str:
    """SHA-256 of all that makes a pair what it is.

    Args:
        images: pixel hashes of the condition images.
        masks: pixel hashes of their masks, "" where there is none.
        target: pixel hash of the result.
        history: ids of the earlier rounds.
    """
    parts = [f"images={len(images)}", *images, *masks, target, instruction, *history]
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()


def _words(pair: Pair, images: int) -> tuple[str, str]:
    instruction = one_line(pair.instruction)
    prompt = one_line(pair.prompt) if pair.prompt is not None else plain_prompt(instruction, images)
    if not instruction:
        instruction = prompt
    if not instruction and not pair.unlabelled:
        raise PairError("The pair has no instruction. Give one, or a fixed trigger word for the whole dataset.")
    # Rounds of a history may speak of images of earlier rounds, so only single rounds can be judged by their number.
    check_instruction(instruction, MAX_IMAGES if pair.history else images)
    check_text(prompt, "prompt")
    return instruction, prompt


def _phrasings(pair: Pair, instruction: str, images: int) -> tuple[str, ...]:
    return check_phrasings(pair.phrasings, instruction, MAX_IMAGES if pair.history else images)


def _history_id(pair_id: str) -> str:
    try:
        return check_id(pair_id)
    except RowError as error:
        raise PairError(f"history: {error}") from error


def _notes(named: Mapping[str, LoadedImage], masks: Mapping[str, np.ndarray | None]) -> tuple[str, ...]:
    notes = [f"{label}: {note}" for label, image in named.items() for note in image.notes]
    marks = {label: describe_marks(mask) for label, mask in masks.items() if mask is not None}
    return (*notes, *(f"mask of the {label}: it {text}" for label, text in marks.items() if text))
