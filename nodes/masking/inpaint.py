"""Editing under a mask: the two ways the model was trained with."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ...ace.lcu.intake import condition_image
from ...ace.pictures.files.mask_reading import given_mask
from ...ace.pictures.masks import INPAINT_FILLS, inpaint_image
from ...ace.pictures.preprocess import binarize
from ..condition import indicator_input
from ..host.messages import Messages
from ..host.node import Node
from ..host.types import AceImage, schema

# The first word is the key of INPAINT_FILLS; what follows is for the artist.
_WAYS = {"blank: paint something new": "blank", "keep: change what is there": "keep"}


class InpaintNode(Node):
    """IMAGE and MASK -> ACE_IMAGE, blanked under the mask or not."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACEInpaint",
            display_name="ACE Edit: Inpaint",
            description="A picture whose masked part is to be painted anew or changed. “blank” hides what is under the "
            "mask from the model: for filling holes, removing, and new things from words. “keep” shows it: for a new "
            "colour, expression or text that builds on what is there.",
            search_aliases=["fill", "remove object", "local edit", "masked edit", "erase"],
            inputs=[
                io.Image.Input("image", tooltip="The picture."),
                io.Mask.Input("mask", tooltip="White is where the picture may change. Must have the picture's shape."),
                io.Combo.Input(
                    "way",
                    options=list(_WAYS),
                    tooltip="blank: " + INPAINT_FILLS["blank"] + " keep: " + INPAINT_FILLS["keep"],
                ),
                indicator_input(),
            ],
            outputs=[
                AceImage.Output(display_name="ace_image", tooltip="For a Condition Unit."),
                io.Image.Output(display_name="image", tooltip="What the model will see, at the picture's own size."),
                io.Mask.Output(display_name="mask", tooltip="The hard mask at the picture's size, for Paste Back."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, image, mask, way, indicator) -> io.NodeOutput:
        messages, fill = Messages(cls.hidden.unique_id), _WAYS[way]
        condition = condition_image(image, given_mask(mask), indicator, messages, fill=fill)
        if condition.mask is None:
            messages("the mask marks nothing: the whole picture may change, and nothing is blanked")
            return io.NodeOutput(condition, condition.image, torch.ones(condition.image.shape[:3]))
        hole = binarize(condition.mask)
        return io.NodeOutput(condition, inpaint_image(condition.image, hole, fill), hole)
