"""Settings of what can be trained beside a frozen model."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from .config_values import FractionBelowOne, NonNegativeInt, PositiveFloat, PositiveInt, Section, StrictBool


class LoraSection(Section):
    """Low-rank adapters."""

    adapter: Literal["lora", "dora", "lokr"] = "lora"
    """lora; dora: the magnitude of every column is learnt separately from its direction (weight-decomposed LoRA); lokr: a
    Kronecker product, a fraction of the size."""
    rank: PositiveInt = 32
    """Rank of every adapter; with lokr that of the larger factor, which is whole where that takes no more numbers."""
    alpha: PositiveFloat | None = None
    """The adapters' output is scaled by alpha / rank; the rank itself if left out."""
    targets: list[str] = Field(default=["blocks"], min_length=1)
    """Layers that get an adapter, by parts of their names: blocks (all in every block), attn, attn.q, cross_attn, mlp,
    x_embedder, y_embedder, t_block, final_layer …"""
    factor: PositiveInt = 8
    """For lokr: the smaller factor has at most so many rows and columns. Less is a larger file that can hold more."""
    dropout: FractionBelowOne = 0.0
    """Share of the adapters' inputs that is set to zero."""

    @model_validator(mode="before")
    @classmethod
    def _of_version_0_1(cls, given: Any) -> Any:
        """``dora = true`` was the way to ask for a DoRA."""
        if not isinstance(given, dict) or "dora" not in given:
            return given
        dora, others = given["dora"], {name: value for name, value in given.items() if name != "dora"}
        if dora is False:
            return others
        if dora is not True or others.get("adapter", "dora") != "dora":
            raise ValueError('dora was a switch of version 0.1; leave it out and write adapter = "dora" for a DoRA')
        return {**others, "adapter": "dora"}


class EditNetSection(Section):
    """A control branch after OmniEdit's EditNet: copies of blocks beside the frozen model. Experimental."""

    every: PositiveInt = 2
    """A copy of every so many blocks, from the first. The paper's is 1, all of them: then the model is twice as large."""
    blocks: Annotated[list[NonNegativeInt], Field(min_length=1)] | None = None
    """Copies of just these blocks instead, numbered from 0."""
    interaction: StrictBool = True
    """Copies see the model's own tokens at their place. Without it the branch runs beside it on its own, as ControlNet."""
    text_update: StrictBool = True
    """Copies change the text that later blocks read, too."""

    @field_validator("blocks")
    @classmethod
    def _rising(cls, blocks: list[int] | None) -> list[int] | None:
        if blocks is not None and blocks != sorted(set(blocks)):
            raise ValueError(f"write each block once and in their order, got {blocks}")
        return blocks
