"""EditNets on a MODEL: patches of it, in the way of core's own model patches, with weights that the host moves and casts."""

from __future__ import annotations

import comfy.model_management
import comfy.model_patcher
import comfy.ops

from ...ace.model.control import BlockHook
from ...ace.weights.editnet import EditNetFile, build_editnet
from .model import CONTROLS, require_ace, with_float32_embeddings


class EditNetPatch:
    """A branch at a strength, as one of the patches of a MODEL; it never changes.

    Args:
        branch: the host's patcher around an :class:`ace.model.editnet.EditNet`.
        strength: 1 as trained, and not 0.
    """

    def __init__(self, branch, strength: float) -> None:
        self.branch, self.strength = branch, strength

    def begin(self) -> BlockHook:
        """The transformer's hook, see :class:`ace.model.control.Control`."""
        (control,) = self.branch.model.at(self.strength)
        return control.begin()

    def models(self) -> list:
        """The host's hook: what has to be loaded together with the MODEL."""
        return [self.branch]

    def __deepcopy__(self, _memo) -> EditNetPatch:
        """Hosts copy a MODEL's options whole with each clone, which must not copy weights."""
        return self


def with_editnet(model, file: EditNetFile, strength: float):
    """A clone of a MODEL with a branch; what was patched into it before stays. At strength 0 it is the MODEL itself.

    Args:
        model: ACE's.
        file: of :func:`ace.weights.editnet.read_editnet`.
        strength: 1 as trained.

    Raises:
        ValueError: the MODEL is of another family.
        EditNetError: the branch was trained for an ACE model of another shape.
    """
    config = require_ace(model).ace_config
    management = comfy.model_management
    offload = management.unet_offload_device()
    branch = build_editnet(file, config, device=offload, operations=with_float32_embeddings(comfy.ops.manual_cast))
    if strength == 0.0:
        return model
    # Newer hosts page weights in by a patcher of their own; `main.py` rebinds the name, so it is read late.
    patcher_class = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    patcher = patcher_class(branch, load_device=management.get_torch_device(), offload_device=offload)
    patched = model.clone()
    patched.set_model_patch(EditNetPatch(patcher, strength), CONTROLS)
    return patched
