"""Counting of floating-point operations; a multiply-add is two."""

from __future__ import annotations

from dataclasses import dataclass

from ...ace.model.config import ACEConfig
from ..workload import TEXT_TOKENS, Job


@dataclass(frozen=True)
class Operations:
    """Operations of one forward pass of one sample with prepared conditioning.

    Attributes:
        linear: of all linear layers.
        attention: of the two products inside attention, self and cross.
    """

    linear: float
    attention: float

    @property
    def total(self) -> float:
        """Of both kinds."""
        return self.linear + self.attention


def count(config: ACEConfig, job: Job, text_tokens: int = TEXT_TOKENS) -> Operations:
    """What :class:`ACEModel` has to do; norms, activations and the patch convolution are left out as negligible."""
    width, target = config.hidden_size, job.frame_tokens
    linear = attention = 0.0
    for block in range(config.depth):
        last = block == config.depth - 1
        queries = target if last else job.tokens  # the last block computes the target only
        texts = text_tokens if last else text_tokens * (job.references + 1)
        # self-attention's k and v read all tokens, its q and o and cross-attention's q and o the queries
        rows = 2 * job.tokens + 4 * queries + 2 * texts
        linear += 2 * width**2 * rows + 4 * width * config.mlp_size * queries
        attention += 4 * width * queries * (job.tokens + text_tokens)
    final = config.patch_size**2 * config.out_channels
    linear += 2 * width * (config.frequency_embedding_size + 7 * width + target * final)
    return Operations(linear, attention)
