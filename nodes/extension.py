"""The list of nodes."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import recommended
from .capture import queueing
from .capture.markers import CaptureResultNode, CaptureSourceNode
from .capture.pair import CapturePairNode
from .capture.sweep import SweepNode
from .chat import registration as chat
from .chat.answer import ChatAnswerNode
from .condition import ConditionUnitNode, ImageNode, LongContextNode
from .condition_image import ConditionImageNode
from .dataset_page import registration as dataset_page
from .encode import EncodeNode
from .host import examples, paths, requirements
from .instruction import InstructionNode
from .keep_detail import KeepDetailNode
from .loaders import LoadBundleNode, LoadEditNetNode, LoadModelNode, LoadTextEncoderNode
from .masking.crop import CropNode
from .masking.inpaint import InpaintNode
from .masking.masks import MaskPrepareNode, RandomMaskNode
from .masking.outpaint import OutpaintNode
from .masking.paste_back import PasteBackNode
from .plus.encode import EncodePlusNode
from .preview import PreviewNode
from .rounds import RoundNode
from .sampling import GuidanceRescaleNode, SamplerNode
from .training import server as training_server
from .training.dataset import BrowseDatasetNode, LoadDatasetNode
from .training.distil import DistilNode
from .training.judge import JudgeNode
from .training.label import LabelNode
from .training.train import TrainNode


class ACEExtension(ComfyExtension):
    """What ComfyUI asks the pack for."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All nodes, in the order of the menu; registers folders and routes on the way."""
        requirements.warn_of_missing()
        paths.register()
        examples.register()
        queueing.register()
        dataset_page.register()
        chat.register()
        training_server.register()
        recommended.register()
        return [
            LoadBundleNode,
            LoadModelNode,
            LoadTextEncoderNode,
            LoadEditNetNode,
            ImageNode,
            ConditionUnitNode,
            LongContextNode,
            RoundNode,
            InstructionNode,
            PreviewNode,
            EncodeNode,
            EncodePlusNode,
            GuidanceRescaleNode,
            SamplerNode,
            ConditionImageNode,
            MaskPrepareNode,
            RandomMaskNode,
            InpaintNode,
            OutpaintNode,
            KeepDetailNode,
            PasteBackNode,
            CropNode,
            CaptureSourceNode,
            CaptureResultNode,
            CapturePairNode,
            LoadDatasetNode,
            BrowseDatasetNode,
            JudgeNode,
            LabelNode,
            SweepNode,
            TrainNode,
            DistilNode,
            ChatAnswerNode,
        ]
