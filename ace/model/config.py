"""Hyper-parameters of an ACE diffusion transformer, and how to read them off a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

# Neither the number of heads nor the rows of the RoPE table leave a trace in the tensors, so a file without
# metadata is matched with the published models: (hidden size, depth) -> (heads, RoPE rows). The 512 and the 1024 px
# model differ only in the RoPE rows, and a longer table computes the same angles, so the longer one serves both.
_PUBLISHED_SHAPES = {(1152, 28): (16, 4096)}


@dataclass(frozen=True)
class ACEConfig:
    """Shape of one ACE model; the defaults are the published 0.6B model.

    Attributes:
        hidden_size: token width D.
        depth: number of transformer blocks.
        num_heads: attention heads; must divide ``hidden_size``.
        mlp_ratio: width of the MLP over D.
        patch_size: side of the square patch, in latent pixels.
        latent_channels: channels of the VAE latent.
        mask_channels: channels concatenated to the latent (the mask).
        out_channels: channels predicted per latent pixel; the first ``latent_channels`` are eps.
        text_width: width Y of the text encoder's embeddings.
        max_seq_len: rows of the RoPE table, i.e. the largest position on any axis plus one.
        frequency_embedding_size: width of the sinusoidal timestep embedding.

    Raises:
        ValueError: the numbers make no model.
    """

    hidden_size: int = 1152
    depth: int = 28
    num_heads: int = 16
    mlp_ratio: float = 4.0
    patch_size: int = 2
    latent_channels: int = 4
    mask_channels: int = 1
    out_channels: int = 8
    text_width: int = 4096
    max_seq_len: int = 1024
    frequency_embedding_size: int = 256

    def __post_init__(self) -> None:
        if self.num_heads < 1 or self.max_seq_len < 1:
            raise ValueError(
                f"num_heads {self.num_heads} and max_seq_len {self.max_seq_len} must be at least 1; "
                "the metadata of the file is wrong"
            )
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not divisible by num_heads {self.num_heads}; "
                "choose a head count that divides the width"
            )
        if any(part % 2 for part in self.rope_dims):
            raise ValueError(
                f"a head dimension of {self.head_dim} splits into RoPE parts {self.rope_dims}, which must all be even; "
                "choose an even head dimension"
            )
        if self.out_channels < self.latent_channels:
            raise ValueError(
                f"out_channels {self.out_channels} must be at least latent_channels {self.latent_channels}"
            )

    @property
    def head_dim(self) -> int:
        """Width d of one attention head."""
        return self.hidden_size // self.num_heads

    @property
    def rope_dims(self) -> tuple[int, int, int]:
        """Share of the head dimension rotated by (frame, row, column)."""
        side = 2 * (self.head_dim // 6)
        return self.head_dim - 2 * side, side, side

    @property
    def mlp_size(self) -> int:
        """Hidden width of the blocks' MLPs."""
        return int(self.hidden_size * self.mlp_ratio)

    def metadata(self) -> dict[str, str]:
        """What a safetensors header must say, because the tensors cannot."""
        return {"num_heads": str(self.num_heads), "max_seq_len": str(self.max_seq_len)}

    @classmethod
    def from_state_dict(
        cls, state_dict: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None
    ) -> ACEConfig:
        """Reads the configuration off tensors under the published names.

        Args:
            state_dict: published parameter names (``x_embedder.proj.weight`` …), any dtype or device.
            metadata: the safetensors header; ``num_heads`` and ``max_seq_len`` are used if they are there.

        Raises:
            ValueError: a tensor needed to tell the shape is missing, or the head count cannot be known.
        """
        metadata = metadata or {}
        try:
            patch_weight = state_dict["x_embedder.proj.weight"]  # (D, C + masks, p, p)
            hidden, in_channels, patch = patch_weight.shape[0], patch_weight.shape[1], patch_weight.shape[2]
            text_width = state_dict["y_embedder.fc1.weight"].shape[1]
            mlp = state_dict["blocks.0.mlp.fc1.weight"].shape[0]
            frequencies = state_dict["t_embedder.mlp.0.weight"].shape[1]
            out_channels = state_dict["final_layer.linear.weight"].shape[0] // patch**2
        except KeyError as error:
            raise ValueError(f"not an ACE state dict: {error.args[0]!r} is missing") from None
        blocks = {key.split(".")[1] for key in state_dict if key.startswith("blocks.")}
        depth = len(blocks)
        if blocks != {str(index) for index in range(depth)}:
            raise ValueError(f"not an ACE state dict: its {depth} blocks are not numbered from 0 without a gap")
        heads, rows = _PUBLISHED_SHAPES.get((hidden, depth), (None, None))
        try:
            heads, rows = int(metadata.get("num_heads", heads)), int(metadata.get("max_seq_len", rows))
        except (TypeError, ValueError):
            raise ValueError(
                f"an ACE model of width {hidden} and depth {depth} is none of the published ones, and the file's metadata "
                f"does not say how many heads it has (metadata: {dict(metadata)}); save it as .safetensors with "
                "`num_heads` and `max_seq_len` in the metadata"
            ) from None
        return cls(
            hidden_size=hidden,
            depth=depth,
            num_heads=heads,
            mlp_ratio=mlp / hidden,
            patch_size=patch,
            mask_channels=in_channels - cls.latent_channels,
            out_channels=out_channels,
            text_width=text_width,
            max_seq_len=rows,
            frequency_embedding_size=frequencies,
        )
