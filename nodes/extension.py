"""The list of nodes."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import paths
from .condition import ConditionImageNode, ConditionUnitNode, LongContextNode
from .encode import EncodeNode
from .loaders import LoadBundleNode, LoadModelNode, LoadTextEncoderNode
from .sampling import GuidanceRescaleNode, SamplerNode


class ACEExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        paths.register()
        return [
            LoadBundleNode,
            LoadModelNode,
            LoadTextEncoderNode,
            ConditionImageNode,
            ConditionUnitNode,
            LongContextNode,
            EncodeNode,
            GuidanceRescaleNode,
            SamplerNode,
        ]
