"""The list of nodes."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import paths
from .condition import ConditionUnitNode, ImageNode, LongContextNode
from .condition_image import ConditionImageNode
from .encode import EncodeNode
from .inpaint import InpaintNode
from .instruction import InstructionNode
from .loaders import LoadBundleNode, LoadModelNode, LoadTextEncoderNode
from .masks import MaskPrepareNode, RandomMaskNode
from .outpaint import OutpaintNode
from .paste_back import PasteBackNode
from .preview import PreviewNode
from .rounds import RoundNode
from .sampling import GuidanceRescaleNode, SamplerNode


class ACEExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        paths.register()
        return [
            LoadBundleNode,
            LoadModelNode,
            LoadTextEncoderNode,
            ImageNode,
            ConditionUnitNode,
            LongContextNode,
            RoundNode,
            InstructionNode,
            PreviewNode,
            EncodeNode,
            GuidanceRescaleNode,
            SamplerNode,
            ConditionImageNode,
            MaskPrepareNode,
            RandomMaskNode,
            InpaintNode,
            OutpaintNode,
            PasteBackNode,
        ]
