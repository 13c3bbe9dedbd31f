"""The list of nodes."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .capture import queueing
from .capture.markers import CaptureResultNode, CaptureSourceNode
from .capture.pair import CapturePairNode
from .capture.sweep import SweepNode
from .condition import ConditionUnitNode, ImageNode, LongContextNode
from .condition_image import ConditionImageNode
from .encode import EncodeNode
from .host import paths
from .inpaint import InpaintNode
from .instruction import InstructionNode
from .loaders import LoadBundleNode, LoadModelNode, LoadTextEncoderNode
from .masks import MaskPrepareNode, RandomMaskNode
from .outpaint import OutpaintNode
from .paste_back import PasteBackNode
from .preview import PreviewNode
from .rounds import RoundNode
from .sampling import GuidanceRescaleNode, SamplerNode
from .training.dataset import BrowseDatasetNode, LoadDatasetNode
from .training.distil import DistilNode
from .training.train import TrainNode


class ACEExtension(ComfyExtension):
    """What ComfyUI asks the pack for."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All nodes, in the order of the menu; registers folders and routes on the way."""
        paths.register()
        queueing.register()
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
            CaptureSourceNode,
            CaptureResultNode,
            CapturePairNode,
            LoadDatasetNode,
            BrowseDatasetNode,
            SweepNode,
            TrainNode,
            DistilNode,
        ]
