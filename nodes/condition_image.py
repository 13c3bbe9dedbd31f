"""Condition images that need no other model."""

from __future__ import annotations

from comfy_api.latest import io

from ..ace.pictures.condition_images import CONDITION_IMAGES, make_condition_image
from .host.choices import require_choice
from .host.messages import Messages
from .host.node import Node
from .host.parameters import parameter_inputs
from .host.types import schema

_NAMES = {kind.label: name for name, kind in CONDITION_IMAGES.items()}


class ConditionImageNode(Node):
    """IMAGE -> IMAGE that steers controllable generation."""

    @classmethod
    def define_schema(cls):
        kinds = CONDITION_IMAGES.values()
        return schema(
            node_id="ACEConditionImage",
            display_name="ACE Edit: Condition Image",
            description="Turns a picture into one that steers ACE: edges, sketch, colours and the like, without another "
            "model. For depth, pose, segmentation and learned line art, wire in a preprocessor of the pack "
            "comfyui_controlnet_aux (Depth Anything V2, DWPose, OneFormer, Lineart) in this node's place: ACE takes their "
            "pictures as they are.",
            search_aliases=[
                "controlnet preprocessor",
                "canny",
                "edges",
                "sketch",
                "scribble",
                "doodle",
                "mosaic",
                "grayscale",
                "degrade",
                "color map",
                "contour",
            ],
            inputs=[
                io.Image.Input("image", tooltip="The picture to take shapes or colours from."),
                io.DynamicCombo.Input(
                    "kind",
                    options=[io.DynamicCombo.Option(kind.label, parameter_inputs(kind.parameters)) for kind in kinds],
                    tooltip=" ".join(f"{kind.label}: {kind.description}" for kind in kinds),
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="image", tooltip="For Image, with an instruction of controllable generation."
                )
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, image, kind=None) -> io.NodeOutput:
        kind = require_choice(kind, "kind of picture")
        name = _NAMES[kind["kind"]]
        values = {key: value for key, value in kind.items() if key != "kind"}
        parameters = CONDITION_IMAGES[name].parameters(**values)
        return io.NodeOutput(make_condition_image(name, image, parameters, Messages(cls.hidden.unique_id)))
