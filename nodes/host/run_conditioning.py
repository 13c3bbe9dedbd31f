"""What stays the same over a sampling run, as entries of the run's own conditioning.

The host turns every CONDITIONING into arguments of the transformer once a run, and gives them to it at every step. What is
kept there is therefore as old as the run, belongs to it alone, and is cut, repeated and batched as the host does with any
conditioning; nothing is kept on the model, which other runs share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import comfy.conds
import comfy.utils
import torch

from ...ace.model.transformer import RopeTable


@dataclass(frozen=True)
class RunRope:
    """Rotation tables of the whole latent and its references; frames cut to an area do not have these sizes.

    Attributes:
        sizes: (rows, columns) of every frame in tokens, the target's first.
        tables: of these. They follow from the sizes, so entries of equal sizes are equal and may share a pass.
    """

    sizes: tuple[tuple[int, int], ...]
    tables: RopeTable = field(compare=False)

    def fits(self, sizes: Sequence[tuple[int, int]], device: torch.device) -> bool:
        """Whether these are the tables of such frames, there."""
        return self.sizes == tuple(sizes) and self.tables[0].device == device


class EmbeddedLatents(list):
    """Reference latents together with their tokens.

    Some packs change reference latents on their way to the model: they put other tensors in the place of these, mostly in
    a list of their own. Then the tokens are no longer theirs.
    """

    def __init__(self, latents: Sequence[torch.Tensor], tokens: torch.Tensor) -> None:
        super().__init__(latents)
        self._embedded, self._tokens = tuple(latents), tokens

    @property
    def tokens(self) -> torch.Tensor | None:
        """(B or 1, reference tokens, D), or None if a latent was replaced."""
        unchanged = len(self) == len(self._embedded) and all(map(lambda a, b: a is b, self, self._embedded))
        return self._tokens if unchanged else None


class CONDEmbeddedLatents(comfy.conds.CONDList):
    """The host's entry for reference latents, which brings their tokens along.

    Args:
        cond: N tensors (B or 1, 4, h, w).
        tokens: (B or 1, reference tokens, D).
    """

    def __init__(self, cond: Sequence[torch.Tensor], tokens: torch.Tensor) -> None:
        super().__init__(cond)
        self.tokens = tokens

    def process_cond(self, batch_size, **kwargs):
        """The host's hook: as many rows as the latent has. One row of tokens serves any number, see :meth:`concat`."""
        latents = super().process_cond(batch_size, **kwargs).cond
        tokens = self.tokens
        return CONDEmbeddedLatents(
            latents, tokens if len(tokens) == 1 else comfy.utils.repeat_to_batch_size(tokens, batch_size)
        )

    def _copy_with(self, cond):
        return comfy.conds.CONDList(cond)  # of other latents, which have no tokens yet

    def concat(self, others):
        """The host's hook: the entries of all branches that share a pass."""
        latents = super().concat(others)
        if not all(isinstance(other, CONDEmbeddedLatents) for other in others):
            return latents
        if not others:
            return EmbeddedLatents(latents, self.tokens)
        tokens = [entry.tokens.expand(len(entry.cond[0]), -1, -1) for entry in (self, *others)]
        return EmbeddedLatents(latents, torch.cat(tokens))
