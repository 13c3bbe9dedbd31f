"""From what a caller hands over to what is stored: 8-bit arrays, one-line texts, hashes."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np

from ....ace.lcu.indicators import indicator
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
from ..disk.rows import (
    MAX_IMAGES,
    check_id,
    is_byte_count,
    is_duration,
)

_INDICATOR = re.compile(r"[{<]image([1-9]?)[}>]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_TEXT = 20_000


@dataclass(frozen=True)
class Pair:
    """One training example: the condition images, the instruction, and the result they should give.

    Pictures may be PIL images, numpy arrays or tensors: (H, W), (H, W, C) or (1, H, W, C); uint8, uint16 or floats in
    0..1. Masks are (H, W), white (255 or 1.0) = may change.

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
    if pair.source is None and pair.references:
        raise PairError("The pair has references but no source. The first condition image is the source.")
    if len(pair.images) > MAX_IMAGES:
        raise PairError(f"{len(pair.images)} condition images, ACE takes at most {MAX_IMAGES}.")
    if len(pair.masks) > len(pair.images):
        raise PairError(f"{len(pair.masks)} masks for {len(pair.images)} images; give one mask an image, or None.")
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
        seed=_seed(pair.seed),
        tags=tuple(dict.fromkeys(one_line(tag) for tag in pair.tags if one_line(tag))),
        scores=_scores(pair.scores),
        weight=_weight(pair.weight),
        workflow=pair.workflow,
        teacher_seconds=_teacher_seconds(pair.teacher_seconds),
        teacher_memory=_teacher_memory(pair.teacher_memory),
        name=slug(pair.name),
        content_hash=content_hash(hashes, mask_hashes, target_hash, instruction, history),
        source_hash=hashes[0] if hashes else target_hash,
        perceptual_hash=pair_perceptual_hash(
            arrays[0] if arrays else None, target.pixels, instruction, [*hashes[1:], *mask_hashes], history
        ),
        notes=_notes(named),
        non_finite={label: image.non_finite for label, image in named.items() if image.non_finite > 0},
    )


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


def one_line(text: str) -> str:
    """Collapses white space, line breaks included: captions are read line by line by some trainers.

    Control characters and halves of surrogate pairs, which no text file should hold, are dropped or replaced.
    """
    visible = "".join(" " if c.isspace() else c for c in str(text) if c.isspace() or unicodedata.category(c) != "Cc")
    return " ".join(visible.encode("utf-8", "replace").decode().split())


def plain_prompt(instruction: str, images: int) -> str:
    """The instruction without tokens that only ACE knows.

    With one picture a leading ``{image}`` is dropped and any other becomes "the image"; with several they become
    "image 1", "image 2" and so on, as other edit models are addressed.
    """
    if images <= 1:
        text = re.sub(r"^\s*[{<]image[}>]\s*[,:;.]?\s*", "", instruction)
        return one_line(_INDICATOR.sub("the image", text))
    return one_line(_INDICATOR.sub(lambda match: f"image {int(match.group(1) or 0) + 1}", instruction))


def trigger_instruction(dataset: str, images: int) -> str:
    """Instruction for pairs that come without any: the indicators of the images and a trigger word.

    Args:
        dataset: its name, of which the trigger word is made.
        images: number of condition images.
    """
    names = [indicator(index) for index in range(images)]
    return " ".join([*names, slug(dataset, fallback="trigger")])


def indicators(instruction: str) -> set[int]:
    """Indices of the images that an instruction names: 0 for ``{image}``, 1 for ``{image1}`` …"""
    return {int(match.group(1) or 0) for match in _INDICATOR.finditer(instruction)}


def check_instruction(instruction: str, images: int) -> None:
    """Checks that an instruction fits a pair with so many condition images (and no history).

    Raises:
        PairError: it is too long, or names an image that the pair does not have.
    """
    if len(instruction) > _MAX_TEXT:
        raise PairError(f"The instruction has {len(instruction)} characters, at most {_MAX_TEXT}.")
    missing = sorted(index for index in indicators(instruction) if index >= max(images, 1))
    if missing:
        token = "{image" + (str(missing[0]) if missing[0] else "") + "}"
        raise PairError(f"The instruction names {token}, but the pair has {images} condition image(s).")


def _words(pair: Pair, images: int) -> tuple[str, str]:
    instruction = one_line(pair.instruction)
    prompt = one_line(pair.prompt) if pair.prompt is not None else plain_prompt(instruction, images)
    if not instruction:
        instruction = prompt
    if not instruction:
        raise PairError("The pair has no instruction. Give one, or a fixed trigger word for the whole dataset.")
    # Rounds of a history may speak of images of earlier rounds, so only single rounds can be judged by their number.
    check_instruction(instruction, MAX_IMAGES if pair.history else images)
    if len(prompt) > _MAX_TEXT:
        raise PairError(f"The prompt has {len(prompt)} characters, at most {_MAX_TEXT}.")
    return instruction, prompt


def _history_id(pair_id: str) -> str:
    try:
        return check_id(pair_id)
    except RowError as error:
        raise PairError(f"history: {error}") from error


def _seed(seed: Any) -> int | None:
    if seed is None:
        return None
    try:
        return int(seed)
    except (TypeError, ValueError) as error:
        raise PairError(f"seed is a whole number or None, got {seed!r:.80}.") from error


def _weight(weight: Any) -> float:
    if isinstance(weight, bool) or not isinstance(weight, Real) or not math.isfinite(weight) or weight < 0:
        raise PairError(f"weight is a number of at least 0, got {weight!r:.80}.")
    return float(weight)


def _teacher_seconds(seconds: Any) -> float | None:
    if seconds is None:
        return None
    if not is_duration(seconds):
        raise PairError(f"teacher_seconds is a number of at least 0 or None, got {seconds!r:.80}.")
    return round(float(seconds), 4)


def _teacher_memory(size: Any) -> int | None:
    if size is not None and not is_byte_count(size):
        raise PairError(f"teacher_memory is a whole number of bytes or None, got {size!r:.80}.")
    return size


def _scores(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers by name, nested once by scorer; whole numbers become floats so that a column keeps one type."""
    result: dict[str, Any] = {}
    for key, value in scores.items():
        if any(isinstance(text, str) and _SURROGATE.search(text) for text in (key, value)):
            raise PairError(f"scores[{key!a:.80}] holds half of a surrogate pair, which no text file can.")
        if isinstance(value, Mapping):
            result[str(key)] = _scores(value)
        elif isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
            result[str(key)] = float(value)
        elif isinstance(value, str):
            result[str(key)] = value
        else:
            raise PairError(f"scores[{key!r}] is a finite number, a text or a group of them, got {value!r:.80}.")
    return result


def _notes(named: Mapping[str, LoadedImage]) -> tuple[str, ...]:
    return tuple(f"{label}: {note}" for label, image in named.items() for note in image.notes)
