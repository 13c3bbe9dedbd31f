"""Extending a picture beyond its edges."""

from __future__ import annotations

from comfy_api.latest import io

from ...ace.lcu.intake import condition_image
from ...ace.pictures.masks import inpaint_image
from ...ace.pictures.outpaint import (
    ANCHORS,
    Placement,
    outpaint,
    place_by_pixels,
    place_by_ratio,
    place_to_aspect,
    snap,
)
from ..condition import indicator_input
from ..host.choices import require_choice
from ..host.messages import Messages
from ..host.node import Node
from ..host.types import AceImage, AcePlacement, schema

_PIXELS, _RATIO, _ASPECT = "by pixels", "by ratio", "to an aspect ratio"
_SIDES = ("left", "top", "right", "bottom")
_WIDER = ("left", "right")


def _extend_input() -> io.DynamicCombo.Input:
    pixels = {"min": 0, "max": 8192, "step": 8}
    shares = {"min": 0.0, "max": 8.0, "step": 0.05}
    return io.DynamicCombo.Input(
        "extend",
        options=[
            io.DynamicCombo.Option(
                _PIXELS,
                [
                    io.Int.Input(side, default=128 * (side in _WIDER), tooltip=f"New pixels on the {side}.", **pixels)
                    for side in _SIDES
                ],
            ),
            io.DynamicCombo.Option(
                _RATIO,
                [
                    io.Float.Input(
                        side,
                        default=0.25 * (side in _WIDER),
                        tooltip=f"New area on the {side} as a share of the picture's own "
                        f"{'width' if side in _WIDER else 'height'}: 0.5 adds half of it.",
                        **shares,
                    )
                    for side in _SIDES
                ],
            ),
            io.DynamicCombo.Option(
                _ASPECT,
                [
                    io.Float.Input(
                        "width", default=16.0, min=0.01, max=8192.0, step=0.01, tooltip="First number, 16 of 16:9."
                    ),
                    io.Float.Input(
                        "height", default=9.0, min=0.01, max=8192.0, step=0.01, tooltip="Second number, 9 of 16:9."
                    ),
                    io.Combo.Input(
                        "anchor", options=list(ANCHORS), tooltip="Where on the new canvas the picture sits."
                    ),
                ],
            ),
        ],
        tooltip="How far to extend: by pixels or shares of the picture on each side, or as little as gives an aspect ratio.",
    )


class OutpaintNode(Node):
    """IMAGE -> ACE_IMAGE on a larger canvas."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACEOutpaint",
            display_name="ACE Edit: Outpaint",
            description="Extends the canvas for ACE to paint on. Connect placement and result to Paste Back to get the "
            "original picture back in the middle, pixel by pixel.",
            search_aliases=["extend image", "uncrop", "expand canvas", "pad image for outpainting"],
            inputs=[
                io.Image.Input("image", tooltip="The picture to extend."),
                _extend_input(),
                io.Int.Input(
                    "overlap",
                    default=0,
                    min=0,
                    max=1024,
                    tooltip="Pixels along the picture's inner edge that are painted anew too, for a smoother seam.",
                ),
                io.Boolean.Input(
                    "round_up",
                    default=False,
                    label_on="to 16",
                    label_off="exact",
                    tooltip="Adds up to 15 pixels so that both sides are multiples of 16 and nothing needs scaling, as "
                    "long as the model's size allows.",
                ),
                indicator_input(),
            ],
            outputs=[
                AceImage.Output(display_name="ace_image", tooltip="For a Condition Unit."),
                io.Image.Output(
                    display_name="canvas", tooltip="What the model will see, at full size: the new area black."
                ),
                io.Mask.Output(display_name="mask", tooltip="White where ACE paints."),
                AcePlacement.Output(display_name="placement", tooltip="Where the picture lies, for Paste Back."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, image, overlap, round_up, indicator, extend=None) -> io.NodeOutput:
        extend = require_choice(extend, "way to extend")
        messages = Messages(cls.hidden.unique_id)
        placement = _place(image.shape[1], image.shape[2], extend, overlap)
        extended = outpaint(image, snap(placement) if round_up else placement, notify=messages)
        # The border goes black after scaling only; until then it continues the picture, so that no seam is smeared in.
        continued = extended.placement.extend(image, continue_edges=True)
        condition = condition_image(continued, extended.mask, indicator, messages, fill="blank")
        canvas = inpaint_image(extended.canvas, extended.mask)
        return io.NodeOutput(condition, canvas, extended.mask, extended.placement)


def _place(height: int, width: int, extend: dict, overlap: int) -> Placement:
    kind = extend["extend"]
    if kind == _ASPECT:
        return place_to_aspect(height, width, extend["width"], extend["height"], extend["anchor"], overlap)
    place = place_by_pixels if kind == _PIXELS else place_by_ratio
    return place(height, width, overlap=overlap, **{side: extend[side] for side in _SIDES})
