"""Conditioning: what the transformer is given beside the noisy latent, as plain tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F


def _shape(tensor: torch.Tensor) -> str:
    return "(" + ", ".join(str(side) for side in tensor.shape) + ")"


@dataclass(frozen=True, eq=False)
class Conditioning:
    """Text and images of N condition frames and the target, for a batch of samples that share one layout.

    A batch of 1 serves any number of samples.

    Attributes:
        context: N+1 tensors (B, L_k, Y): the text of each frame, the target's first.
        indicator_embeddings: (>= N+1, Y): the text encoder's embeddings of ``{image}``, ``{image1}`` …
        target_mask: (B, 1, H, W), 1 where the target may change; None means everywhere.
        references: N tensors (B, 4, h, w): scaled latents of the condition images; sizes may differ.
        reference_masks: N tensors (B, 1, h, w) or None each; () means none.
        context_masks: N+1 boolean tensors (B, L_k), False where text is padding, or None each; () means no padding.

    Raises:
        ValueError: numbers or shapes do not fit together.
    """

    context: Sequence[torch.Tensor]
    indicator_embeddings: torch.Tensor
    target_mask: torch.Tensor | None = None
    references: Sequence[torch.Tensor] = ()
    reference_masks: Sequence[torch.Tensor | None] = ()
    context_masks: Sequence[torch.Tensor | None] = ()

    def __post_init__(self) -> None:
        for name in ("context", "references", "reference_masks", "context_masks"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        count = len(self.references)
        if len(self.context) != count + 1:
            raise ValueError(
                f"{count} reference images need {count + 1} context tensors (the target's text first, then one for each "
                f"image), but {len(self.context)} were given"
            )
        if self.reference_masks and len(self.reference_masks) != count:
            raise ValueError(
                f"{len(self.reference_masks)} reference masks were given for {count} references; "
                "give one (or None) for each, or an empty tuple"
            )
        if self.context_masks and len(self.context_masks) != count + 1:
            raise ValueError(
                f"{len(self.context_masks)} context masks were given for {count + 1} texts; give one (or None) for each"
            )
        if self.indicator_embeddings.ndim != 2 or self.indicator_embeddings.shape[0] < count + 1:
            raise ValueError(
                f"indicator_embeddings must be (at least {count + 1}, Y) for {count} references, "
                f"got {_shape(self.indicator_embeddings)}"
            )
        for k, text in enumerate(self.context):
            if text.ndim != 3 or text.shape[1] == 0 or text.shape[2] != self.indicator_embeddings.shape[1]:
                raise ValueError(
                    f"context[{k}] must be (B, tokens >= 1, {self.indicator_embeddings.shape[1]}), got {_shape(text)}"
                )
        for k, mask in enumerate(self.context_masks):
            if mask is not None and mask.shape[-1] != self.context[k].shape[1]:
                raise ValueError(
                    f"context_masks[{k}] is {_shape(mask)} for a text {_shape(self.context[k])}; give (B, "
                    f"{self.context[k].shape[1]})"
                )
        for k, latent in enumerate(self.references):
            if latent.ndim != 4:
                raise ValueError(f"references[{k}] must be a latent (B, 4, h, w), got {_shape(latent)}")
        for k, mask in enumerate(self.reference_masks):
            if mask is not None and mask.shape[-2:] != self.references[k].shape[-2:]:
                raise ValueError(
                    f"reference_masks[{k}] is {_shape(mask)}, but its image's latent is {_shape(self.references[k])}; "
                    "resize the mask to the latent"
                )

    @property
    def num_references(self) -> int:
        """Number N of condition images."""
        return len(self.references)

    @property
    def batch_size(self) -> int:
        """Samples described; 1 also serves any larger batch."""
        return max(text.shape[0] for text in (*self.context, *self.references))

    def replace_context(self, context: Sequence[torch.Tensor]) -> Conditioning:
        """The same images with other texts: N+1 tensors (B, L_k, Y) without padding."""
        return replace(self, context=tuple(context), context_masks=())

    def map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Conditioning:
        """The same conditioning with ``function`` applied to every tensor, whatever its shape."""

        def apply(value):
            if value is None:
                return None
            return function(value) if isinstance(value, torch.Tensor) else tuple(apply(item) for item in value)

        return replace(self, **{field.name: apply(getattr(self, field.name)) for field in fields(self)})

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Conditioning:
        """Moves all tensors; ``dtype`` applies to floating-point ones."""
        return self.map(lambda t: t.to(device=device, dtype=dtype if t.is_floating_point() else None))


def same_layout(first: Conditioning, second: Conditioning) -> bool:
    """Whether two conditionings can share a forward pass once their texts are padded."""
    sizes = [tuple(ref.shape[-2:] for ref in conditioning.references) for conditioning in (first, second)]
    return sizes[0] == sizes[1]


def concatenate(first: Conditioning, second: Conditioning, batch_size: int) -> Conditioning:
    """Stacks two conditionings of one layout into a batch of ``2 * batch_size``, padding and masking their texts.

    Args:
        first: fills the first half of the batch.
        second: fills the second half.
        batch_size: samples of each; conditionings of batch 1 are repeated.

    Raises:
        ValueError: the references differ in number or size.
    """
    if not same_layout(first, second):
        raise ValueError(
            "two conditionings can only be batched when their reference images have the same number and sizes; "
            f"got {[_shape(r) for r in first.references]} and {[_shape(r) for r in second.references]}"
        )

    def rows(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.expand(batch_size, *tensor.shape[1:])

    def masks(pairs, sizes) -> tuple[torch.Tensor | None, ...]:
        out = []
        for (a, b), like in zip(pairs, sizes, strict=True):
            if a is None and b is None:
                out.append(None)
                continue
            ones = torch.ones_like(like[:1, :1])
            out.append(torch.cat([rows(ones if mask is None else mask) for mask in (a, b)]))
        return tuple(out)

    context, context_masks = [], []
    for k, texts in enumerate(zip(first.context, second.context, strict=True)):
        length = max(text.shape[1] for text in texts)
        padded, valid = [], []
        for conditioning, text in zip((first, second), texts, strict=True):
            mask = conditioning.context_masks[k] if conditioning.context_masks else None
            if mask is None:
                mask = torch.ones(text.shape[:2], dtype=torch.bool, device=text.device)
            padding = (0, length - text.shape[1])
            padded.append(rows(F.pad(text, (0, 0, *padding))))
            valid.append(rows(F.pad(mask, padding)))
        context.append(torch.cat(padded))
        mask = torch.cat(valid)
        context_masks.append(None if mask.all() else mask)

    none = (None,) * first.num_references
    references = tuple(torch.cat([rows(a), rows(b)]) for a, b in zip(first.references, second.references, strict=True))
    pairs = zip(first.reference_masks or none, second.reference_masks or none, strict=True)
    target_masks = [mask for mask in (first.target_mask, second.target_mask) if mask is not None]
    target = masks([(first.target_mask, second.target_mask)], target_masks[:1]) if target_masks else (None,)
    return Conditioning(
        context=context,
        indicator_embeddings=first.indicator_embeddings,
        target_mask=target[0],
        references=references,
        reference_masks=masks(pairs, references),
        context_masks=context_masks,
    )
