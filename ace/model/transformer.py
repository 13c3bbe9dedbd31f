"""The ACE diffusion transformer (Han et al., "ACE: All-round Creator and Editor Following Instructions via Diffusion
Transformer", 2024, section 2.2), with the behaviour of the published weights' code where the two differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .conditioning import Conditioning
from .config import ACEConfig
from .layers import (
    Attention,
    Block,
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
    ) -> torch.Tensor:
        """Predicts eps, the noise in the latent.

        Args:
            x: (B, 4, H, W) noisy latent, scaled; odd sides are padded inside.
            timesteps: (B,) or (1,), 0 … 999.
            conditioning: of batch B or 1.
            attention: replaces PyTorch's attention.

        Returns:
            (B, 4, H, W) in the dtype of ``x``.

        Raises:
            ValueError: the conditioning does not fit, see :meth:`prepare`.
        """
        if not isinstance(conditioning, PreparedConditioning):
            conditioning = self.prepare(conditioning, x)
        given, layout = conditioning, conditioning.layout
        batch, _, height, width = x.shape

        target = self._embed(x, given.target_mask) + given.target_indicator  # (B, target tokens, D)
        tokens = target
        if given.reference_tokens is not None:
            tokens = torch.cat((target, given.reference_tokens.expand(batch, -1, -1)), dim=1)  # (B, N, D)

        t = self.t_embedder(timesteps, x.dtype).expand(batch, -1)  # (B, D)
        modulation = self.t_block(t).unflatten(-1, (6, -1))  # (B, 6, D)

        shared = (modulation, given.rope)
        for block in self.blocks[:-1]:
            tokens = block(tokens, *shared, given.text, layout.groups, given.text_masks, attention)
        # Only the target frame is read off at the end, so the last block asks for nothing else.
        alone = layout.target_group
        tokens = self.blocks[-1](
            tokens,
            *shared,
            given.text[:, alone.text_span],
            (alone,),
            (given.target_text_mask,),
            attention,
            queries=alone.image_tokens,
        )
        patches = self.final_layer(tokens, t)  # (B, target tokens, p·p·C)
        return self._unpatchify(patches, layout.sizes[0])[:, : x.shape[1], :height, :width]

    def prepare(self, conditioning: Conditioning, x: torch.Tensor) -> PreparedConditioning:
        """Embeds texts, indicators and references, all that does not change from step to step.

        Args:
            conditioning: of batch B or 1.
            x: (B, 4, H, W), a latent of the shape, dtype and device that the forward passes will have.

        Raises:
            ValueError: channels, masks or batch sizes do not fit, or a frame is larger than the RoPE table.
        """
        config = self.config
        conditioning = conditioning.to(x.device, x.dtype)
        self._check(conditioning, x)
        latents = (x, *conditioning.references)
        layout = Layout(
            sizes=tuple(self._grid(latent) for latent in latents),
            text_lengths=tuple(text.shape[1] for text in conditioning.context),
        )
        longest = max(max(size) for size in layout.sizes)
        if max(longest, len(latents)) > config.max_seq_len:
            raise ValueError(
                f"a frame of {longest} patches on one side exceeds this model's position table of {config.max_seq_len}; "
                "use a smaller image"
            )
        order = [len(conditioning.references), *range(len(conditioning.references))]
        indicators = self.y_embedder(conditioning.indicator_embeddings[: len(order)])[order]  # (frames, D)

        batch = max(text.shape[0] for text in conditioning.context)
        text = torch.cat([text.expand(batch, -1, -1) for text in conditioning.context], dim=1)  # (B, L, Y)
        lengths = torch.tensor(layout.text_lengths, device=x.device)
        text = self.y_embedder(text) + indicators.repeat_interleave(
            lengths, dim=0, output_size=text.shape[1]
        )  # (B, L, D)

        tokens = None
        if conditioning.references:
            masks = conditioning.reference_masks or (None,) * len(conditioning.references)
            pairs = zip(conditioning.references, masks, indicators[1:], strict=True)
            frames = [
                self._embed(latent, latent.new_ones(1, 1, *latent.shape[-2:]) if mask is None else mask) + indicator
                for latent, mask, indicator in pairs
            ]
            rows = max(frame.shape[0] for frame in frames)
            tokens = torch.cat([frame.expand(rows, -1, -1) for frame in frames], dim=1)  # (B, reference tokens, D)
        target_mask = conditioning.target_mask
        text_masks = tuple(self._text_mask(conditioning, group.frames, x) for group in layout.groups)
        return PreparedConditioning(
            layout=layout,
            text=text,
            text_masks=text_masks,
            target_text_mask=self._text_mask(conditioning, layout.target_group.frames, x),
            reference_tokens=tokens,
            target_mask=x.new_ones(1, 1, *x.shape[-2:]) if target_mask is None else target_mask,
            target_indicator=indicators[0],
            rope=rope_table(layout.sizes, config.rope_dims, x.device),
        )

    def _check(self, conditioning: Conditioning, x: torch.Tensor) -> None:
        config = self.config
        for name, latent in (
            ("x", x),
            *((f"references[{k}]", latent) for k, latent in enumerate(conditioning.references)),
        ):
            if latent.ndim != 4 or latent.shape[1] != config.latent_channels:
                raise ValueError(f"{name} must be (B, {config.latent_channels}, H, W), got {tuple(latent.shape)}")
        if conditioning.indicator_embeddings.shape[1] != config.text_width:
            raise ValueError(
                f"this model reads text embeddings {config.text_width} wide, got "
                f"{conditioning.indicator_embeddings.shape[1]}; use the text encoder that the model was trained with "
                "(T5 v1.1 XXL, 4096 wide, for the published models)"
            )
        if conditioning.batch_size not in (1, x.shape[0]):
            raise ValueError(
                f"conditioning for a batch of {conditioning.batch_size} does not fit {x.shape[0]} latents; "
                "give one conditioning for all or one for each"
            )
        mask = conditioning.target_mask
        if mask is not None and (
            mask.ndim != 4 or mask.shape[-2:] != x.shape[-2:] or mask.shape[0] not in (1, x.shape[0])
        ):
            raise ValueError(
                f"target_mask must be (B, 1, {x.shape[-2]}, {x.shape[-1]}) like the latent, got {tuple(mask.shape)}"
            )

    def _grid(self, latent: torch.Tensor) -> tuple[int, int]:
        """(rows, columns) of patches, partial ones included."""
        patch = self.config.patch_size
        return -(-latent.shape[-2] // patch), -(-latent.shape[-1] // patch)

    def _embed(self, latent: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """latent (B, 4, H, W) and mask (B or 1, 1, H, W) -> (B, tokens, D)."""
        batch = max(latent.shape[0], mask.shape[0])
        x = torch.cat((latent.expand(batch, -1, -1, -1), mask.expand(batch, -1, -1, -1)), dim=1)  # (B, 5, H, W)
        rows, columns = self._grid(latent)
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
    def _text_mask(conditioning: Conditioning, frames: range, x: torch.Tensor) -> torch.Tensor | None:
        """Additive mask of padded text for a run of frames: (B·frames, 1, 1, text tokens), or None without padding."""
        masks = conditioning.context_masks or (None,) * len(conditioning.context)
        if all(masks[k] is None for k in frames):
            return None
        lengths = [conditioning.context[k] for k in frames]
        rows = [
            torch.ones(1, text.shape[1], dtype=torch.bool, device=x.device) if masks[k] is None else masks[k]
            for k, text in zip(frames, lengths, strict=True)
        ]
        valid = torch.stack([row.expand(x.shape[0], -1) for row in rows], dim=1).flatten(
            0, 1
        )  # (B·frames, text tokens)
        additive = torch.zeros(valid.shape, dtype=x.dtype, device=x.device).masked_fill_(~valid, float("-inf"))
        return additive[:, None, None]
