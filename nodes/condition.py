"""Nodes that say what is to be done: images with their indicators, instructions, rounds."""

from __future__ import annotations

from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker

from ..ace.lcu.indicators import AUTO, INDICATORS, MAX_IMAGES
from ..ace.lcu.intake import condition_image
from ..ace.lcu.units import ConditionUnit, LongContext
from ..ace.pictures.files.mask_reading import given_mask
from .host.messages import Messages
from .host.node import Node
from .host.types import (
    MIN_SOCKETS,
    AceContext,
    AceImage,
    AceUnit,
    schema,
)

_FIRST = "first image"
_NO_WORD_YET = ExecutionBlocker(
    "with “auto” this picture gets its word from the Condition Unit it is plugged into: choose a word on Image to build an "
    "instruction with it"
)


def indicator_input() -> io.Combo.Input:
    """The widget for a picture's word, the same on all nodes that make an ACE_IMAGE."""
    return io.Combo.Input(
        "indicator",
        options=[AUTO, *INDICATORS],
        default=AUTO,
        tooltip="The word that means this picture in the instruction. “auto” follows the order of the sockets: the first "
        "picture is {image}, the next {image1}, and so on. A word that you choose belongs to the picture and never moves.",
    )


class ImageNode(Node):
    """IMAGE and MASK -> ACE_IMAGE."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACEImage",
            display_name="ACE Edit: Image",
            description="A picture for an ACE instruction, with the word the instruction calls it by and, optionally, "
            "a mask of what may change.",
            search_aliases=["condition image", "reference", "indicator", "{image}"],
            inputs=[
                io.Image.Input("image", tooltip="The picture. A batch makes one result for each picture."),
                indicator_input(),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="White is where the picture may change. No mask, or an empty one, means everywhere.",
                ),
            ],
            outputs=[
                AceImage.Output(display_name="ace_image", tooltip="For a Condition Unit."),
                io.String.Output(
                    display_name="indicator",
                    tooltip="The word that you chose, to build instructions with; not for “auto”.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, image, indicator, mask=None) -> io.NodeOutput:
        condition = condition_image(image, given_mask(mask), indicator, Messages(cls.hidden.unique_id))
        return io.NodeOutput(condition, _NO_WORD_YET if indicator == AUTO else condition.indicator)


class ConditionUnitNode(Node):
    """Instruction and ACE_IMAGEs -> ACE_UNIT."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACEConditionUnit",
            display_name="ACE Edit: Condition Unit",
            description="One instruction and the pictures it speaks of. Without a picture, ACE makes one from the text.",
            search_aliases=["instruction", "prompt", "edit", "CU"],
            inputs=[
                io.String.Input(
                    "instruction",
                    multiline=True,
                    default="",
                    placeholder="{image} make it snow",
                    tooltip="What to do, in English. Name pictures by their indicators: {image}, {image1}, …",
                ),
                AceImage.Input("image", optional=True, tooltip="The picture to edit."),
                io.Autogrow.Input(
                    "more",
                    template=io.Autogrow.TemplatePrefix(
                        AceImage.Input("image", tooltip="A further picture; its indicator says which."),
                        prefix="image",
                        min=MIN_SOCKETS,
                        max=MAX_IMAGES - 1,
                    ),
                    optional=True,  # else its sockets come before the first picture's
                    tooltip="Up to nine pictures more; a new socket appears when the last one is used.",
                ),
                io.Combo.Input(
                    "edit",
                    options=[_FIRST, *INDICATORS],
                    default=_FIRST,
                    optional=True,
                    tooltip="Which picture is edited: the result takes its size and mask. Usually the first one.",
                ),
            ],
            outputs=[AceUnit.Output(display_name="unit", tooltip="For Encode, Sampler or Long-Context Condition.")],
        )

    @classmethod
    def execute(cls, instruction, image=None, more=None, edit=_FIRST) -> io.NodeOutput:
        images = [one for one in (image, *(more or {}).values()) if one is not None]
        return io.NodeOutput(ConditionUnit(instruction, images, None if edit == _FIRST else edit))


class LongContextNode(Node):
    """ACE_UNIT and earlier rounds -> ACE_CONTEXT."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACELongContext",
            display_name="ACE Edit: Long-Context Condition",
            description="Puts a round of editing after the rounds before it, so that ACE sees what was asked and shown "
            "earlier. Connect the context that made the picture you now edit.",
            search_aliases=["LCU", "history", "multi-turn", "rounds", "chat"],
            inputs=[
                AceUnit.Input("unit", tooltip="The present round."),
                AceContext.Input(
                    "history", optional=True, tooltip="The context of the round before, with its history."
                ),
                io.Int.Input(
                    "max_rounds",
                    default=4,
                    min=0,
                    max=MAX_IMAGES - 1,
                    tooltip="At most so many earlier rounds are kept; the oldest are dropped first. 0 forgets them all.",
                ),
            ],
            outputs=[AceContext.Output(display_name="context", tooltip="For Encode, Sampler or the next round.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, unit, history=None, max_rounds=4) -> io.NodeOutput:
        context = LongContext(unit, history.units if history is not None else ())
        return io.NodeOutput(context.keep_rounds(max_rounds, Messages(cls.hidden.unique_id)))


def as_context(unit_or_context: ConditionUnit | LongContext) -> LongContext:
    """A unit as a context without history; a context as it is. Sockets that take a context take a unit as well."""
    return LongContext(unit_or_context) if isinstance(unit_or_context, ConditionUnit) else unit_or_context
