"""The ACE diffusion transformer, with the behaviour of the published weights' code where that and the paper differ.

Source: Han et al., "ACE: All-round Creator and Editor Following Instructions via Diffusion Transformer", 2024, section 2.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .conditioning import Conditioning
from .config import ACEConfig
from .control import Control
from .layers import (
    Attention,
    Block,
    BlockInputs,
    FinalLayer,
    Mlp,
    PatchEmbed,
    RopeTable,
    TimestepEmbedder,
    rope_table,
    torch_attention,
)
from .layout import Layout


@dataclass(frozen=True, eq=False)
class EmbeddedConditioning:
    """A conditioning in the width of the model: what depends on it and on weights, and not on the latent.

    Made by :meth:`ACEModel.embed`.

    Attributes:
        text: (B or 1, L, D) projected texts of all frames with their indicators, the target's first.
        text_lengths: tokens of each frame's text, padding included.
        indicators: (frames, D) projected, the target's first.
        reference_tokens: (B or 1, reference tokens, D) or None.
        reference_sizes: (rows, columns) of each reference in tokens.
        text_masks: boolean (B, L_k) for each frame, False where text is padding, or None each; () means no padding.
    """

    text: torch.Tensor
    text_lengths: tuple[int, ...]
    indicators: torch.Tensor
    reference_tokens: torch.Tensor | None = None
    reference_sizes: tuple[tuple[int, int], ...] = ()
    text_masks: Sequence[torch.Tensor | None] = ()


@dataclass(frozen=True, eq=False)
class PreparedConditioning:
    """Everything in a forward pass that does not depend on the noisy latent or the timestep.

    Made by :meth:`ACEModel.prepare` once for a sampling run and passed to the model in place of the conditioning.

    Attributes:
        layout: sizes of all frames.
        text: (B or 1, L, D) projected texts of all frames with their indicators.
        text_masks: per group of ``layout``, additive (B·frames, 1, 1, text tokens) or None.
        target_text_mask: the same for the target frame alone.
        reference_tokens: (B or 1, N - target tokens, D) or None.
        target_mask: (B or 1, 1, H, W).
        target_indicator: (D,).
        rope: rotation tables of the whole sequence.
    """

    layout: Layout
    text: torch.Tensor
    text_masks: tuple[torch.Tensor | None, ...]
    target_text_mask: torch.Tensor | None
    reference_tokens: torch.Tensor | None
    target_mask: torch.Tensor
    target_indicator: torch.Tensor
    rope: RopeTable


class ACEModel(nn.Module):
    """Predicts the noise of a latent from its text, condition images, masks and history.

    Args:
        config: shape of the model.
        dtype: passed to every layer.
        device: passed to every layer.
        operations: namespace with ``Linear``, ``Conv2d``, ``LayerNorm``, ``RMSNorm`` and ``Embedding``.
    """

    def __init__(
        self,
        config: ACEConfig,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        operations: Any = nn,
    ) -> None:
        super().__init__()
        self.config = config
        build = {"operations": operations, "dtype": dtype, "device": device}
        width = config.hidden_size
        self.x_embedder = PatchEmbed(config, **build)
        self.t_embedder = TimestepEmbedder(config, **build)
        self.t_block = nn.Sequential(nn.SiLU(), operations.Linear(width, 6 * width, dtype=dtype, device=device))
        self.y_embedder = Mlp(config.text_width, width, width, **build)
        self.blocks = nn.ModuleList(Block(config, **build) for _ in range(config.depth))
        self.final_layer = FinalLayer(config, **build)

    @property
    def dtype(self) -> torch.dtype:
        """Storage dtype of the weights."""
        return self.x_embedder.proj.weight.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.x_embedder.proj.weight.device

    def forward(
        self,
        x: torch.Tensor,
        timesteps: torch.Tensor,
        conditioning: Conditioning | PreparedConditioning,
        *,
        attention: Attention = torch_attention,
        controls: Sequence[Control] = (),
    ) -> torch.Tensor:
        """Predicts eps, the noise in the latent.

        Args:
            x: (B, 4, H, W) noisy latent, scaled; odd sides are padded inside.
            timesteps: (B,) or (1,), 0 … 999.
            conditioning: of batch B or 1.
            attention: replaces PyTorch's attention.
            controls: change what passes from block to block.

        Returns:
            (B, 4, H, W) in the dtype of ``x``.

        Raises:
            ValueError: the conditioning does not fit, see :meth:`prepare`.
        """
        if not isinstance(conditioning, PreparedConditioning):
            conditioning = self.prepare(conditioning, x)
        given, groups, alone = conditioning, conditioning.layout.groups, conditioning.layout.target_group
        batch, _, height, width = x.shape

        target = self._embed(x, given.target_mask) + given.target_indicator  # (B, target tokens, D)
        tokens = target
        if given.reference_tokens is not None:
            tokens = torch.cat((target, given.reference_tokens.expand(batch, -1, -1)), dim=1)  # (B, N, D)

        t = self.t_embedder(timesteps, x.dtype).expand(batch, -1)  # (B, D)
        modulation = self.t_block(t).unflatten(-1, (6, -1))  # (B, 6, D)

        hooks, text = [control.begin() for control in controls], given.text
        for index, block in enumerate(self.blocks):
            inputs = BlockInputs(tokens, modulation, given.rope, text, groups, given.text_masks, attention)
            if index == len(self.blocks) - 1:
                # Only the target frame is read off at the end, so the last block asks for nothing else.
                text, mask = text[:, alone.text_span], given.target_text_mask
                inputs = inputs._replace(text=text, groups=(alone,), masks=(mask,), queries=alone.image_tokens)
            tokens = block(*inputs)
            for hook in hooks:
                tokens, text = hook(index, inputs, tokens, text)
        patches = self.final_layer(tokens, t)  # (B, target tokens, p·p·C)
        return self._unpatchify(patches, given.layout.sizes[0])[:, : x.shape[1], :height, :width]

    def prepare(self, conditioning: Conditioning, x: torch.Tensor) -> PreparedConditioning:
        """Embeds texts, indicators and references, all that does not change from step to step.

        Args:
            conditioning: of batch B or 1.
            x: (B, 4, H, W), a latent of the shape, dtype and device that the forward passes will have.

        Raises:
            ValueError: channels, masks or batch sizes do not fit, or a frame is larger than the RoPE table.
        """
        conditioning = conditioning.to(x.device, x.dtype)
        return self.arrange(self.embed(conditioning), x, conditioning.target_mask)

    def embed(self, conditioning: Conditioning) -> EmbeddedConditioning:
        """The part of :meth:`prepare` that reads weights and needs no latent.

        Args:
            conditioning: in the dtype and on the device of the forward passes.

        Raises:
            ValueError: channels do not fit.
        """
        self._check(conditioning)
        count = len(conditioning.context)
        order = [count - 1, *range(count - 1)]
        indicators = self.y_embedder(conditioning.indicator_embeddings[:count])[order]  # (frames, D)

        batch = max(text.shape[0] for text in conditioning.context)
        text = torch.cat([text.expand(batch, -1, -1) for text in conditioning.context], dim=1)  # (B, L, Y)
        text_lengths = tuple(text.shape[1] for text in conditioning.context)
        lengths = torch.tensor(text_lengths, device=text.device)
        text = self.y_embedder(text) + indicators.repeat_interleave(
            lengths, dim=0, output_size=text.shape[1]
        )  # (B, L, D)
        references = conditioning.references
        return EmbeddedConditioning(
            text=text,
            text_lengths=text_lengths,
            indicators=indicators,
            reference_tokens=self.embed_references(references, conditioning.reference_masks, indicators),
            reference_sizes=tuple(self.grid(latent) for latent in references),
            text_masks=conditioning.context_masks,
        )

    def embed_references(
        self,
        references: Sequence[torch.Tensor],
        masks: Sequence[torch.Tensor | None],
        indicators: torch.Tensor,
    ) -> torch.Tensor | None:
        """Condition images -> tokens.

        Args:
            references: N tensors (B or 1, 4, h, w).
            masks: N tensors (B or 1, 1, h, w) or None each; () means none.
            indicators: (N + 1, D), see :class:`EmbeddedConditioning`.

        Returns:
            (B or 1, reference tokens, D), or None without references.
        """
        if not references:
            return None
        frames = [
            self._embed(latent, latent.new_ones(1, 1, *latent.shape[-2:]) if mask is None else mask) + indicator
            for latent, mask, indicator in zip(
                references, masks or (None,) * len(references), indicators[1:], strict=True
            )
        ]
        rows = max(frame.shape[0] for frame in frames)
        return torch.cat([frame.expand(rows, -1, -1) for frame in frames], dim=1)

    def arrange(
        self,
        embedded: EmbeddedConditioning,
        x: torch.Tensor,
        target_mask: torch.Tensor | None = None,
        rope: RopeTable | None = None,
    ) -> PreparedConditioning:
        """The part of :meth:`prepare` that depends on the latent's shape, and on no weights.

        Args:
            embedded: of batch B or 1.
            x: (B, 4, H, W).
            target_mask: (B or 1, 1, H, W) or None (all ones).
            rope: of just these sizes, see :func:`rope_table`; made anew if left out.

        Raises:
            ValueError: channels, batch sizes or the mask do not fit, or a frame is larger than the RoPE table.
        """
        self._check_latent("x", x)
        tokens = embedded.reference_tokens
        rows = max(len(embedded.text), 1 if tokens is None else len(tokens))
        if rows not in (1, len(x)):
            raise ValueError(
                f"conditioning for a batch of {rows} does not fit {len(x)} latents; "
                "give one conditioning for all or one for each"
            )
        if target_mask is None:
            target_mask = x.new_ones(1, 1, *x.shape[-2:])
        elif target_mask.ndim != 4 or target_mask.shape[-2:] != x.shape[-2:] or target_mask.shape[0] not in (1, len(x)):
            raise ValueError(
                f"target_mask must be (B, 1, {x.shape[-2]}, {x.shape[-1]}) like the latent, got {tuple(target_mask.shape)}"
            )
        layout = Layout((self.grid(x), *embedded.reference_sizes), embedded.text_lengths)
        return PreparedConditioning(
            layout=layout,
            text=embedded.text,
            text_masks=tuple(self._text_mask(embedded, group.frames, x) for group in layout.groups),
            target_text_mask=self._text_mask(embedded, layout.target_group.frames, x),
            reference_tokens=tokens,
            target_mask=target_mask,
            target_indicator=embedded.indicators[0],
            rope=self.rope(layout.sizes, x.device) if rope is None else rope,
        )

    def rope(self, sizes: Sequence[tuple[int, int]], device: torch.device) -> RopeTable:
        """Rotation tables of frames, see :func:`rope_table`.

        Raises:
            ValueError: a frame is larger than the model's position table, or there are more frames than rows in it.
        """
        longest, rows = max(max(size) for size in sizes), self.config.max_seq_len
        if max(longest, len(sizes)) > rows:
            raise ValueError(
                f"a frame of {longest} patches on one side exceeds this model's position table of {rows}; "
                "use a smaller image"
            )
        return rope_table(sizes, self.config.rope_dims, device)

    def _check(self, conditioning: Conditioning) -> None:
        for k, latent in enumerate(conditioning.references):
            self._check_latent(f"references[{k}]", latent)
        if conditioning.indicator_embeddings.shape[1] != self.config.text_width:
            raise ValueError(
                f"this model reads text embeddings {self.config.text_width} wide, got "
                f"{conditioning.indicator_embeddings.shape[1]}; use the text encoder that the model was trained with "
                "(T5 v1.1 XXL, 4096 wide, for the published models)"
            )

    def _check_latent(self, name: str, latent: torch.Tensor) -> None:
        if latent.ndim != 4 or latent.shape[1] != self.config.latent_channels:
            raise ValueError(f"{name} must be (B, {self.config.latent_channels}, H, W), got {tuple(latent.shape)}")

    def grid(self, latent: torch.Tensor) -> tuple[int, int]:
        """(rows, columns) of patches, partial ones included."""
        patch = self.config.patch_size
        return -(-latent.shape[-2] // patch), -(-latent.shape[-1] // patch)

    def _embed(self, latent: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """latent (B, 4, H, W) and mask (B or 1, 1, H, W) -> (B, tokens, D)."""
        batch = max(latent.shape[0], mask.shape[0])
        x = torch.cat((latent.expand(batch, -1, -1, -1), mask.expand(batch, -1, -1, -1)), dim=1)  # (B, 5, H, W)
        rows, columns = self.grid(latent)
        patch = self.config.patch_size
        bottom, right = rows * patch - x.shape[-2], columns * patch - x.shape[-1]
        if bottom or right:
            x = F.pad(x, (0, right, 0, bottom), mode="replicate")
        return self.x_embedder(x)

    def _unpatchify(self, patches: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        """(B, h·w, p·p·C) -> (B, C, h·p, w·p)."""
        p, (h, w) = self.config.patch_size, grid
        return (
            patches.unflatten(1, (h, w))
            .unflatten(-1, (p, p, -1))
            .permute(0, 5, 1, 3, 2, 4)
            .reshape(patches.shape[0], -1, h * p, w * p)
        )

    @staticmethod
    def _text_mask(embedded: EmbeddedConditioning, frames: range, x: torch.Tensor) -> torch.Tensor | None:
        """Additive mask of padded text for a run of frames: (B·frames, 1, 1, text tokens), or None without padding."""
        masks = embedded.text_masks
        if not masks or all(masks[k] is None for k in frames):
            return None
        rows = [
            torch.ones(1, embedded.text_lengths[k], dtype=torch.bool, device=x.device) if masks[k] is None else masks[k]
            for k in frames
        ]
        valid = torch.stack([row.expand(x.shape[0], -1) for row in rows], dim=1).flatten(
            0, 1
        )  # (B·frames, text tokens)
        additive = torch.zeros(valid.shape, dtype=x.dtype, device=x.device).masked_fill_(~valid, float("-inf"))
        return additive[:, None, None]
