"""Building blocks of the ACE transformer.

Every layer with weights is built from ``operations`` (``torch.nn`` or a host's replacement with the same classes), so
that a host can store weights in fp8, keep them in main memory or patch them without a fork of this file.

Shapes: B batch, N tokens of all frames, L text tokens of all frames, D width, H heads, d head dimension.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from .config import ACEConfig
from .layout import TextGroup

# (q (B, H, N, d), k (B, H, M, d), v (B, H, M, d), additive mask (B, 1, N, M) or None) -> (B, N, H·d)
Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, "torch.Tensor | None"], torch.Tensor]
RopeTable = tuple[torch.Tensor, torch.Tensor]  # cosines and signed sines, each (N, 1, d)


def torch_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Scaled dot-product attention by PyTorch.

    Args:
        q: (B, H, N, d).
        k: (B, H, M, d).
        v: (B, H, M, d).
        mask: (B, 1, N, M), added to the scores; None masks nothing.

    Returns:
        (B, N, H·d), the heads joined.
    """
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return out.transpose(1, 2).flatten(2)  # (B, N, H·d)


def timestep_embedding(timesteps: torch.Tensor, width: int, max_period: float = 10000.0) -> torch.Tensor:
    """Sinusoidal embedding (Vaswani et al. 2017, section 3.5), cosines first.

    Args:
        timesteps: (B,).
        width: of the embedding; even.
        max_period: of the slowest wave, in timesteps.

    Returns:
        (B, width) float32.
    """
    half = width // 2
    exponents = torch.arange(half, dtype=torch.float32, device=timesteps.device) / half
    angles = timesteps.float()[:, None] * torch.exp(-math.log(max_period) * exponents)  # (B, width / 2)
    return torch.cat((angles.cos(), angles.sin()), dim=-1)  # (B, width)


def rope_table(sizes: Sequence[tuple[int, int]], dims: Sequence[int], device: torch.device | str) -> RopeTable:
    """RoPE (Su et al. 2021) of every token over (frame, row, column), for all frames of a layout.

    Args:
        sizes: (rows, columns) of each frame in tokens, the target first.
        dims: share of the head dimension for frame, row and column; sums to d.
        device: of the tables.

    Returns:
        cosines and sines, each (N, 1, d) float32, each angle repeated for its pair; the sines carry the sign with
        which the other member of the pair enters the rotation.
    """
    frame, row, column = (
        _axis_table(length, dim, device)
        for length, dim in zip((len(sizes), *map(max, zip(*sizes, strict=True))), dims, strict=True)
    )
    tables = []
    for index, (rows, columns) in enumerate(sizes):
        shape = (2, rows, columns, -1)
        axes = (
            frame[:, index, None, None].expand(shape),
            row[:, :rows, None].expand(shape),
            column[:, None, :columns].expand(shape),
        )
        tables.append(torch.cat(axes, dim=-1).flatten(1, 2))  # (2, rows·columns, d)
    cos, sin = torch.cat(tables, dim=1)[:, :, None]  # (N, 1, d) each
    return cos, sin


def _axis_table(length: int, dim: int, device: torch.device | str) -> torch.Tensor:
    """(2, length, dim): cosines and signed sines of positions 0 … length - 1.

    Angles are formed in float64 on the CPU, since not every device has float64; the table is small.
    """
    frequencies = 10000.0 ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    angles = torch.arange(length, dtype=torch.float64)[:, None] * frequencies  # (length, dim / 2)
    sin = angles.sin()
    pairs = torch.stack((angles.cos().repeat_interleave(2, dim=-1), torch.stack((-sin, sin), dim=-1).flatten(-2)))
    return pairs.to(torch.float32).to(device)


def apply_rope(x: torch.Tensor, rope: RopeTable) -> torch.Tensor:
    """Rotates adjacent pairs: x (B, N, H, d) -> (B, N, H, d), computed in float32."""
    cos, sin = rope
    swapped = x.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
    return torch.addcmul(x * cos, swapped, sin).to(x.dtype)


def modulate(x: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Adaptive layer norm's affine part, x · (1 + scale) + shift: x (B, N, D), shift and scale (B, 1, D) -> (B, N, D)."""
    return torch.addcmul(shift, x, 1 + scale)


def read_table(table: nn.Module, like: torch.Tensor) -> torch.Tensor:
    """All rows of an embedding used as a learned table: (rows, D) in the dtype of ``like``.

    Modulation tables are embeddings, not bare parameters, because hosts patch, offload and cast the weights of layers
    only.
    """
    return table(torch.arange(table.num_embeddings, device=like.device)).to(like.dtype)


class PatchEmbed(nn.Module):
    """Latent and mask channels -> tokens, by a strided convolution."""

    def __init__(self, config: ACEConfig, *, operations: Any, **factory: Any) -> None:
        super().__init__()
        self.proj = operations.Conv2d(
            config.latent_channels + config.mask_channels,
            config.hidden_size,
            kernel_size=config.patch_size,
            stride=config.patch_size,
            **factory,
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C + 1, H, W) -> (B, H/p · W/p, D)."""
        # Contiguous, or the residual stream would keep the convolution's layout through all blocks.
        return self.proj(x).flatten(2).transpose(1, 2).contiguous()


class TimestepEmbedder(nn.Module):
    """Diffusion timestep -> vector."""

    def __init__(self, config: ACEConfig, *, operations: Any, **factory: Any) -> None:
        super().__init__()
        self.width = config.frequency_embedding_size
        self.mlp = nn.Sequential(
            operations.Linear(self.width, config.hidden_size, **factory),
            nn.SiLU(),
            operations.Linear(config.hidden_size, config.hidden_size, **factory),
        )

    def forward(self, timesteps: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """(B,) -> (B, D)."""
        return self.mlp(timestep_embedding(timesteps, self.width).to(dtype))


class Mlp(nn.Module):
    """Linear, GELU (tanh approximation), linear: (…, in) -> (…, out)."""

    def __init__(self, in_size: int, hidden: int, out_size: int, *, operations: Any, **factory: Any) -> None:
        super().__init__()
        self.fc1 = operations.Linear(in_size, hidden, **factory)
        self.fc2 = operations.Linear(hidden, out_size, **factory)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class _Projections(nn.Module):
    """The weights that self- and cross-attention have in common, under their published names.

    The published code normalises both q and k with ``norm_q`` and leaves ``norm_k`` unused. Its weights are trained
    that way, so the same is done here; ``norm_k`` exists for the sake of lossless checkpoints.
    """

    def __init__(self, config: ACEConfig, *, operations: Any, **factory: Any) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_heads
        self.q = operations.Linear(width, width, **factory)
        self.k = operations.Linear(width, width, **factory)
        self.v = operations.Linear(width, width, **factory)
        self.o = operations.Linear(width, width, **factory)
        self.norm_q = operations.RMSNorm(width, eps=1e-6, **factory)
        self.norm_k = operations.RMSNorm(width, eps=1e-6, **factory)

    def split_heads(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, H·d) -> (B, N, H, d)."""
        return x.unflatten(-1, (self.heads, -1))


class SelfAttention(_Projections):
    """Attention of all tokens of all frames of a sample to each other, with 3D RoPE."""

    def forward(
        self, x: torch.Tensor, rope: RopeTable, attention: Attention, queries: int | None = None
    ) -> torch.Tensor:
        """Attends to all tokens.

        Args:
            x: (B, N, D).
            rope: of N tokens.
            attention: the attention function.
            queries: number of tokens, from the first, that attend; None means all.

        Returns:
            (B, queries or N, D).
        """
        q = self.split_heads(self.norm_q(self.q(x[:, :queries])))  # (B, Q, H, d)
        k = self.split_heads(self.norm_q(self.k(x)))  # (B, N, H, d)
        v = self.split_heads(self.v(x))  # (B, N, H, d)
        q = apply_rope(q, (rope[0][:queries], rope[1][:queries]))
        k = apply_rope(k, rope)
        return self.o(attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), None))


class CrossAttention(_Projections):
    """Attention of each frame's tokens to that frame's text only."""

    def forward(
        self,
        x: torch.Tensor,
        text: torch.Tensor,
        groups: Sequence[TextGroup],
        masks: Sequence[torch.Tensor | None],
        attention: Attention,
    ) -> torch.Tensor:
        """Attends to the text of the own frame.

        Args:
            x: (B, N, D).
            text: (B or 1, L, D).
            groups: runs of neighbouring frames with as many image and text tokens each, so that a run is one call.
            masks: per group, additive (B·frames, 1, 1, text tokens) for padded text, or None.
            attention: the attention function.

        Returns:
            (B, N, D).
        """
        q = self.norm_q(self.q(x))  # (B, N, D)
        k = self.norm_q(self.k(text)).expand(x.shape[0], -1, -1)  # (B, L, D)
        v = self.v(text).expand(x.shape[0], -1, -1)  # (B, L, D)
        pieces = []
        for group, mask in zip(groups, masks, strict=True):
            q_g = self._frames(q[:, group.image_span], group.image_tokens)
            k_g, v_g = (self._frames(part[:, group.text_span], group.text_tokens) for part in (k, v))
            if mask is not None:
                mask = mask.expand(-1, -1, group.image_tokens, -1)  # (B·frames, 1, tokens, text tokens)
            out = attention(q_g, k_g, v_g, mask)  # (B·frames, tokens, D)
            pieces.append(out.reshape(x.shape[0], -1, x.shape[-1]))
        return self.o(pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1))

    def read_images(
        self,
        text: torch.Tensor,
        x: torch.Tensor,
        values: torch.Tensor,
        groups: Sequence[TextGroup],
        attention: Attention,
    ) -> torch.Tensor:
        """The same attention the other way round: each word looks at the places of its own frame that look at it.

        Scores are those of :meth:`forward`, but are made to sum to 1 over the places in place of the words. What is
        masked are words, and here nobody looks at them.

        Args:
            text: (B or 1, L, D).
            x: (B, N, D).
            values: (B, N, D), what is read.
            groups: see :meth:`forward`.
            attention: the attention function.

        Returns:
            (B, L, D), without an output projection.
        """
        q = self.norm_q(self.k(text)).expand(x.shape[0], -1, -1)  # (B, L, D)
        k = self.norm_q(self.q(x))  # (B, N, D)
        pieces = []
        for group in groups:
            q_g = self._frames(q[:, group.text_span], group.text_tokens)
            k_g, v_g = (self._frames(part[:, group.image_span], group.image_tokens) for part in (k, values))
            pieces.append(attention(q_g, k_g, v_g, None).reshape(x.shape[0], -1, x.shape[-1]))
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)

    def _frames(self, x: torch.Tensor, tokens: int) -> torch.Tensor:
        """(B, frames·tokens, H·d) -> (B·frames, H, tokens, d)."""
        return self.split_heads(x.reshape(-1, tokens, x.shape[-1])).transpose(1, 2)


class BlockInputs(NamedTuple):
    """The arguments of :meth:`Block.forward`, in its order."""

    x: torch.Tensor
    modulation: torch.Tensor
    rope: RopeTable
    text: torch.Tensor
    groups: Sequence[TextGroup]
    masks: Sequence[torch.Tensor | None]
    attention: Attention
    queries: int | None = None


class Block(nn.Module):
    """Self-attention, cross-attention and MLP, modulated by the timestep (adaLN-single, Chen et al. 2023)."""

    def __init__(self, config: ACEConfig, *, operations: Any, **factory: Any) -> None:
        super().__init__()
        width = config.hidden_size
        self.scale_shift_table = operations.Embedding(6, width, **factory)
        self.norm1 = operations.LayerNorm(width, eps=1e-6, elementwise_affine=False, **factory)
        self.attn = SelfAttention(config, operations=operations, **factory)
        self.cross_attn = CrossAttention(config, operations=operations, **factory)
        self.norm2 = operations.LayerNorm(width, eps=1e-6, elementwise_affine=False, **factory)
        self.mlp = Mlp(width, config.mlp_size, width, operations=operations, **factory)

    def forward(
        self,
        x: torch.Tensor,
        modulation: torch.Tensor,
        rope: RopeTable,
        text: torch.Tensor,
        groups: Sequence[TextGroup],
        masks: Sequence[torch.Tensor | None],
        attention: Attention,
        queries: int | None = None,
    ) -> torch.Tensor:
        """One block of the transformer.

        Args:
            x: (B, N, D).
            modulation: (B, 6, D): shift, scale and gate of self-attention and of the MLP.
            rope: of N tokens.
            text: (B or 1, L, D).
            groups: see :class:`CrossAttention`.
            masks: see :class:`CrossAttention`.
            attention: the attention function.
            queries: number of tokens, from the first, that are computed; ``groups`` must then cover just these. The last
                block needs no more than the target frame. None means all.

        Returns:
            (B, queries or N, D).
        """
        table = read_table(self.scale_shift_table, x)  # (6, D)
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = (table + modulation).unsqueeze(2).unbind(1)  # (B, 1, D)
        attended = self.attn(modulate(self.norm1(x), shift_a, scale_a), rope, attention, queries)
        x = torch.addcmul(x[:, :queries], gate_a, attended)
        x = x + self.cross_attn(x, text, groups, masks, attention)
        return torch.addcmul(x, gate_m, self.mlp(modulate(self.norm2(x), shift_m, scale_m)))


class FinalLayer(nn.Module):
    """Tokens -> patches, modulated by the timestep embedding itself."""

    def __init__(self, config: ACEConfig, *, operations: Any, **factory: Any) -> None:
        super().__init__()
        width = config.hidden_size
        self.scale_shift_table = operations.Embedding(2, width, **factory)
        self.norm_final = operations.LayerNorm(width, eps=1e-6, elementwise_affine=False, **factory)
        self.linear = operations.Linear(width, config.patch_size**2 * config.out_channels, **factory)

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """x (B, N, D), t (B, D) -> (B, N, p·p·C)."""
        table = read_table(self.scale_shift_table, x)  # (2, D)
        shift, scale = (table + t[:, None]).unsqueeze(2).unbind(1)  # (B, 1, D)
        return self.linear(modulate(self.norm_final(x), shift, scale))
