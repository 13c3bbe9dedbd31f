"""EditNet: a trainable branch beside a frozen model, into training and out of it."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ....ace.model.config import ACEConfig
from ....ace.model.editnet import EditNet, EditNetConfig, ModelWithEditNet
from ....ace.model.transformer import ACEModel
from ..config import EditNetSection
from ..errors import ConfigError

_PREFIX = "editnet."  # of the branch in the names of the model while training


def editnet_config(settings: EditNetSection, base: ACEConfig) -> EditNetConfig:
    """The branch that the settings describe.

    Args:
        settings: of the run.
        base: shape of the model that is trained on.

    Raises:
        ConfigError: the model has no such block.
    """
    switches = {"interaction": settings.interaction, "text_update": settings.text_update}
    if settings.blocks is None:
        return EditNetConfig.every(settings.every, base.depth, **switches)
    if settings.blocks[-1] >= base.depth:
        raise ConfigError(
            f"editnet.blocks: there is no block {settings.blocks[-1]}; this model has {base.depth}, numbered 0 to "
            f"{base.depth - 1}"
        )
    return EditNetConfig(tuple(settings.blocks), **switches)


def add_editnet(model: ACEModel, settings: EditNetSection) -> ModelWithEditNet:
    """Freezes a model and sets a trainable branch (float32) beside it, which starts without any effect.

    Raises:
        ConfigError: the model has no such block.
    """
    model.requires_grad_(False)
    branch = EditNet.copy_of(model, editnet_config(settings, model.config))
    return ModelWithEditNet(model, branch.requires_grad_(True))


def editnet_tensors(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The branch by its own names, out of the names of the model while training."""
    return {name.removeprefix(_PREFIX): tensor for name, tensor in state_dict.items() if name.startswith(_PREFIX)}
