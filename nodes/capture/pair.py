"""A training pair from wires that end in one node."""

from __future__ import annotations

from comfy_api.latest import io

from ..host.node import Node
from ..host.types import MIN_SOCKETS, schema
from .record import CaptureWidgets, capture_widgets, record_pairs
from .validation import fingerprint_marker, validate_marker


class CapturePairNode(Node):
    """Source, references, MASK and result -> a pair in a dataset, and the result."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACECapturePair",
            display_name="ACE Edit: Capture Pair",
            category="training data",
            description="Keeps a picture before and after an edit as a training pair, with an instruction and a mask. The "
            "same as Capture Source and Capture Result, in one node. Batches and lists are paired item by item; what is "
            "kept already is not kept twice.",
            search_aliases=["training pair", "dataset", "distillation", "before after", "save pair"],
            inputs=[
                io.Image.Input("source", tooltip="The picture before the edit, {image} in the instruction."),
                io.Image.Input("result", tooltip="The picture after the edit."),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where the source may change: white. A black mask counts as none.",
                ),
                *capture_widgets(),
                io.Autogrow.Input(
                    "references",
                    optional=True,
                    template=io.Autogrow.TemplatePrefix(
                        io.Image.Input(
                            "image",
                            tooltip="A further picture the edit goes by. The first is {image1} in the instruction, the "
                            "next {image2} and so on.",
                        ),
                        prefix="image",
                        min=MIN_SOCKETS,
                        max=9,
                    ),
                    tooltip="Further pictures that the edit goes by.",
                ),
            ],
            outputs=[io.Image.Output(display_name="result", is_output_list=True, tooltip="The result, unchanged.")],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt],
            is_input_list=True,
            is_output_node=True,
        )

    @classmethod
    async def validate_inputs(cls, dataset=None, references=None):  # a growing input comes along unasked
        return await validate_marker(cls, dataset)

    @classmethod
    def fingerprint_inputs(cls, dataset=None, **kwargs):
        return fingerprint_marker(dataset)

    @classmethod
    def execute(
        cls,
        source,
        result,
        instruction,
        dataset,
        tags=("",),
        seed=(-1,),
        checks=("",),
        mask=None,
        references=None,
    ) -> io.NodeOutput:
        further = [(images, None) for images in (references or {}).values() if images is not None]
        widgets = CaptureWidgets(instruction, dataset, tags, seed, checks)
        return io.NodeOutput(result, ui=record_pairs(cls, result, [(source, mask), *further], widgets))
