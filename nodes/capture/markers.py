"""Two markers on the wires of any graph: what was there before the edit, and what came of it."""

from __future__ import annotations

from comfy_api.latest import io

from ..host.node import Node
from ..host.types import schema
from .links import linked_pictures
from .record import CaptureWidgets, capture_widgets, record_pairs
from .validation import fingerprint_marker, validate_marker

_MAX_INDEX = 9
# Whatever else is wrong with its sources is said before the graph runs.
_NOT_QUEUED = (
    "this Capture Result got no picture from a Capture Source. Capturing works in the graph that is queued, not in nodes "
    "that expand into others: put both markers outside of such a node"
)


class CaptureSourceNode(Node):
    """IMAGE and MASK -> the same. What it marks reaches Capture Result by a wire that `connect_sources` adds."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACECaptureSource",
            display_name="ACE Edit: Capture Source",
            category="training data",
            description="Put this on the wire of the picture before the edit, and Capture Result on the wire of the edited "
            "one. Each run then adds a pair to a dataset. The picture passes through untouched.",
            search_aliases=["training pair", "dataset", "distillation", "before", "marker"],
            inputs=[
                io.Image.Input("image", tooltip="The picture before the edit, or a further picture the edit goes by."),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Kept with the pair: white is where the picture may change. A black mask counts as none.",
                ),
                io.Int.Input(
                    "index",
                    default=0,
                    min=0,
                    max=_MAX_INDEX,
                    tooltip="What the instruction calls this picture: 0 for {image}, 1 for {image1} and so on, without gaps. "
                    "Each Capture Source needs its own.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The same picture."),
                io.Mask.Output(display_name="mask", tooltip="The same mask."),
            ],
            # So that it runs, and is checked by ComfyUI, also where no other node needs it.
            is_output_node=True,
        )

    @classmethod
    def execute(cls, image, index, mask=None) -> io.NodeOutput:
        return io.NodeOutput(image, mask)


class CaptureResultNode(Node):
    """IMAGE -> the same, and a pair in a dataset."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACECaptureResult",
            display_name="ACE Edit: Capture Result",
            category="training data",
            description="Put this on the wire of the edited picture. With each run it keeps the pictures marked by Capture "
            "Source, their masks, the instruction and this result as a training pair. Batches and lists are paired item "
            "by item; what is kept already is not kept twice. The picture passes through untouched.",
            search_aliases=["training pair", "dataset", "distillation", "after", "marker", "save pair"],
            inputs=[
                io.Image.Input("image", tooltip="The picture after the edit."),
                *capture_widgets(),
            ],
            outputs=[io.Image.Output(display_name="image", is_output_list=True, tooltip="The same picture.")],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt],
            is_input_list=True,
            is_output_node=True,
            accept_all_inputs=True,
        )

    @classmethod
    async def validate_inputs(cls, dataset=None):
        return await validate_marker(cls, dataset)

    @classmethod
    def fingerprint_inputs(cls, dataset=None, **kwargs):
        return fingerprint_marker(dataset)

    @classmethod
    def execute(cls, image, instruction, dataset, tags=("",), seed=(-1,), checks=("",), **linked) -> io.NodeOutput:
        pictures = linked_pictures(linked)
        if not pictures:
            raise ValueError(_NOT_QUEUED)
        widgets = CaptureWidgets(instruction, dataset, tags, seed, checks)
        return io.NodeOutput(image, ui=record_pairs(cls, image, list(pictures.values()), widgets))
