"""A control branch after OmniEdit's EditNet (Wei et al. 2024, section 4), for ACE. Experimental.

Trainable copies of some of the transformer's blocks see its tokens and its text. What a copy makes of them goes through
projections that start at zero, and is added to the tokens after the block that it is a copy of, and to the text that the
next cross-attention reads. The transformer itself stays as it is.

The paper has copies of all blocks of Stable Diffusion 3, in which text and image tokens go through the same attention, and
leaves open how the branch starts, where exactly it reads and how it is scaled; no code is published. Ours are: zero
projections, as in ControlNet (Zhang et al. 2023) and its form for PixArt-δ (Chen et al. 2024); the choice of blocks; that
a copy reads what its block reads; and the update of the text. ACE's blocks do not change text, so here each word looks
back at the places that look at it, see :meth:`ControlBlock.text_change`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from .conditioning import Conditioning
from .config import ACEConfig
from .control import BlockHook, Control
from .layers import Attention, Block, BlockInputs, torch_attention
from .transformer import ACEModel, PreparedConditioning


@dataclass(frozen=True)
class EditNetConfig:
    """Shape of a control branch.

    Attributes:
        blocks: of which blocks there are copies, from 0, rising.
        interaction: copies read the main branch's tokens at their place. Without it they read each other's, the first one
            the embedded pictures, beside the main branch as in ControlNet.
        text_update: copies change the text of the blocks after them, too.

    Raises:
        ValueError: no block, or numbers that do not rise.
    """

    blocks: tuple[int, ...]
    interaction: bool = True
    text_update: bool = True

    def __post_init__(self) -> None:
        if not self.blocks or list(self.blocks) != sorted(set(self.blocks)) or self.blocks[0] < 0:
            raise ValueError(f"an EditNet needs the numbers of some blocks, from 0 and rising, got {list(self.blocks)}")

    @classmethod
    def every(cls, step: int, depth: int, **switches: bool) -> EditNetConfig:
        """With copies of every ``step``-th of ``depth`` blocks, from the first."""
        return cls(tuple(range(0, depth, step)), **switches)


class ControlBlock(nn.Module):
    """A copy of a block, and the zero projections behind it.

    Attributes:
        copy: of the block, without ``norm_k``, which nothing reads.
        token_out: D -> D, to the tokens.
        text_out: D -> D, to the text; None where that is not changed.
    """

    def __init__(self, config: ACEConfig, *, text_update: bool, operations: Any, **factory: Any) -> None:
        super().__init__()
        width = config.hidden_size
        self.copy = Block(config, operations=operations, **factory)
        del self.copy.attn.norm_k, self.copy.cross_attn.norm_k
        self.token_out = operations.Linear(width, width, **factory)
        self.text_out = operations.Linear(width, width, **factory) if text_update else None
        norm = operations.LayerNorm(width, eps=1e-6, elementwise_affine=False, **factory)
        self.norm = norm if text_update else None

    def text_change(self, tokens: torch.Tensor, read: BlockInputs) -> torch.Tensor:
        """What is added to the text: each word reads the places of its own frame that look at it.

        Queries and keys are those of the copied cross-attention with their roles exchanged, so that nothing has to start
        from random numbers; values are the copy's normalised result.

        Args:
            tokens: (B, N, D), the copy's result.
            read: what the copy read.

        Returns:
            (B, L, D).
        """
        values = self.norm(tokens)
        seen = self.copy.cross_attn.read_images(read.text, tokens, values, read.groups, read.attention)
        return self.text_out(seen)


class EditNet(nn.Module):
    """A control branch for one shape of model.

    Args:
        base: shape of the model that it acts on.
        config: its own.
        dtype, device, operations: as for :class:`ACEModel`.

    Attributes:
        blocks: :class:`ControlBlock` by the number of the block that it is a copy of.

    Raises:
        ValueError: the model has no such block.
    """

    def __init__(
        self,
        base: ACEConfig,
        config: EditNetConfig,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        operations: Any = nn,
    ) -> None:
        super().__init__()
        last = base.depth - 1
        if config.blocks[-1] > last:
            raise ValueError(
                f"an EditNet with a copy of block {config.blocks[-1]} does not fit a model of {base.depth} blocks, which "
                f"are numbered 0 to {last}"
            )
        self.base_config, self.config = base, config
        build = {"operations": operations, "dtype": dtype, "device": device}
        # Behind the last block there is no cross-attention whose text could be changed.
        self.blocks = nn.ModuleDict(
            {
                str(index): ControlBlock(base, text_update=config.text_update and index < last, **build)
                for index in config.blocks
            }
        )

    @classmethod
    @torch.no_grad()
    def copy_of(cls, model: ACEModel, config: EditNetConfig, *, dtype: torch.dtype = torch.float32) -> EditNet:
        """A branch as training starts from it: copies of a model's blocks that have no effect yet.

        Args:
            model: whose blocks are copied; on its device.
            config: of the branch.
            dtype: of the branch.

        Raises:
            ValueError: the model has no such block.
        """
        net = cls(model.config, config, dtype=dtype, device=model.device)
        for index, block in net.blocks.items():
            own = model.blocks[int(index)].state_dict()
            block.copy.load_state_dict({name: own[name] for name in block.copy.state_dict()})
            for projection in filter(None, (block.token_out, block.text_out)):
                projection.weight.zero_()
                projection.bias.zero_()
        return net

    def at(self, strength: float) -> Sequence[Control]:
        """What a forward pass takes: the branch at a strength, 1 as trained. At 0 it takes no part at all."""
        return () if strength == 0.0 else (_AtStrength(self, strength),)


@dataclass(frozen=True, eq=False)
class _AtStrength:
    net: EditNet
    strength: float

    def begin(self) -> BlockHook:
        return _ForwardPass(self.net, self.strength)


class _ForwardPass:
    """The hook of one forward pass; without interaction it keeps the branch's own tokens and the text as it came."""

    def __init__(self, net: EditNet, strength: float) -> None:
        self.net, self.strength = net, strength
        self._tokens: torch.Tensor | None = None
        self._text: torch.Tensor | None = None

    def __call__(
        self, index: int, inputs: BlockInputs, tokens: torch.Tensor, text: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        alone = not self.net.config.interaction
        if alone and self._tokens is None:  # at the first block
            self._tokens, self._text = inputs.x, inputs.text
        key = str(index)
        if key not in self.net.blocks:
            return tokens, text
        block = self.net.blocks[key]
        if alone:
            # The last block is given the target's text alone, which comes first.
            inputs = inputs._replace(x=self._tokens, text=self._text[:, : inputs.text.shape[1]])
        result = block.copy(*inputs)  # (B, N, D); the target's tokens alone from the last block
        if alone:
            self._tokens = result
        tokens = self._added(tokens, block.token_out(result))
        if block.text_out is not None:
            text = self._added(text, block.text_change(result, inputs))
        return tokens, text

    def _added(self, to: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
        """In the dtype of the main branch, which the branch's own must not widen."""
        return torch.add(to, change.to(to.dtype), alpha=self.strength)


class ModelWithEditNet(nn.Module):
    """An ACE model and a branch; it takes the model's place wherever one is sampled or trained.

    Args:
        base: the model, or one that has a branch already.
        editnet: the branch.
        strength: 1 as trained; the base answers alone at 0.
    """

    def __init__(self, base: ACEModel | ModelWithEditNet, editnet: EditNet, strength: float = 1.0) -> None:
        super().__init__()
        self.base, self.editnet, self.strength, self.enabled = base, editnet, strength, True

    @property
    def config(self) -> ACEConfig:
        """Of the base."""
        return self.base.config

    @property
    def dtype(self) -> torch.dtype:
        """Of the base."""
        return self.base.dtype

    @property
    def device(self) -> torch.device:
        """Of the base."""
        return self.base.device

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The base's and the copies."""
        return (*self.base.blocks, *(block.copy for block in self.editnet.blocks.values()))

    def prepare(self, conditioning: Conditioning, x: torch.Tensor) -> PreparedConditioning:
        """As the base does; a branch changes nothing before the first block."""
        return self.base.prepare(conditioning, x)

    def enable_adapters(self, enabled: bool) -> None:
        """Whether the branch takes part."""
        self.enabled = enabled

    def forward(
        self,
        x: torch.Tensor,
        timesteps: torch.Tensor,
        conditioning: Conditioning | PreparedConditioning,
        *,
        attention: Attention = torch_attention,
        controls: Sequence[Control] = (),
    ) -> torch.Tensor:
        """See :meth:`ACEModel.forward`."""
        own = self.editnet.at(self.strength if self.enabled else 0.0)
        return self.base(x, timesteps, conditioning, attention=attention, controls=(*own, *controls))
