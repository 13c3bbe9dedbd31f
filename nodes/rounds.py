"""From one round of editing to the next."""

from __future__ import annotations

from comfy_api.latest import io

from ..ace.lcu.intake import condition_image
from ..ace.pictures.files.mask_reading import given_mask
from .condition import as_context
from .encode import context_input
from .host.messages import Messages
from .host.node import Node
from .host.types import AceContext, AceImage, schema


class RoundNode(Node):
    """What was asked and what came of it -> history and the picture to go on with."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACERound",
            display_name="ACE Edit: Next Round",
            description="Goes on from a result. Wire image into the next round's Condition Unit, and history into its "
            "Long-Context Condition, which also says how many rounds are kept.",
            search_aliases=["history", "multi-turn", "chat", "continue editing", "LCU"],
            inputs=[
                context_input(),
                io.Image.Input("result", tooltip="What the sampler made of it."),
                io.Mask.Input(
                    "mask", optional=True, tooltip="What may change in the next round. No mask means everything."
                ),
            ],
            outputs=[
                AceContext.Output(display_name="history", tooltip="For Long-Context Condition."),
                AceImage.Output(
                    display_name="image",
                    tooltip="The result as {image}. Earlier pictures keep their own words: ACE numbers them by itself.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, context, result, mask=None) -> io.NodeOutput:
        image = condition_image(result, given_mask(mask), notify=Messages(cls.hidden.unique_id))
        return io.NodeOutput(as_context(context), image)
