"""The edited picture alone, out of a result that shows more."""

from __future__ import annotations

from comfy_api.latest import io

from ...ace.pictures.crop import crop_to_source
from ..host.node import Node
from ..host.types import AceFit, schema


class CropNode(Node):
    """Result and fit -> IMAGE of the source's size."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACECrop",
            display_name="ACE Edit: Crop",
            description="Cuts the edited picture out of the canvas of ACE++, which has the reference on its left, and gives "
            "it the size it came with. Results of ACE are scaled to their source's size.",
            search_aliases=["uncrop", "slice", "ACE plus", "reference", "original size"],
            inputs=[
                io.Image.Input("result", tooltip="What was sampled and decoded, at any scale."),
                AceFit.Input("fit", tooltip="From Encode for ACE++, Encode or Sampler: where the picture lies on it."),
                io.Int.Input(
                    "trim",
                    default=0,
                    min=0,
                    max=1024,
                    tooltip="Pixels of the canvas cut off beside the reference, where it can shine through; what is left is "
                    "stretched over the gap. ACE++ itself cuts 30. Leave it at 0 where every pixel must stay in its place.",
                ),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="Of the size that the picture came with.")],
        )

    @classmethod
    def execute(cls, result, fit, trim) -> io.NodeOutput:
        return io.NodeOutput(crop_to_source(result, fit, trim))
