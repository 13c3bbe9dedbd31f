"""Nodes that prepare masks and draw random ones."""

from __future__ import annotations

from comfy_api.latest import io

from ...ace.pictures.masks import coverage, from_image, prepare_mask
from ...ace.pictures.random_masks import KINDS, STYLES, random_masks
from ..host.messages import Messages
from ..host.node import Node
from ..host.types import schema

_LEVELS = 255
_WHEN_SHAPES_DIFFER = {"tell me": "error", "crop the mask": "crop", "stretch the mask": "stretch"}


def _inputs() -> list[io.Input]:
    """What a mask is made of, and what is done to it."""
    return [
        io.Mask.Input("mask", optional=True, tooltip="White is where the picture may change."),
        io.Image.Input(
            "alpha",
            optional=True,
            tooltip="In place of a mask: a picture that is the mask, or whose transparency is. (Load Image drops "
            "alpha from its picture; take its mask output instead.)",
        ),
        io.Image.Input("image", optional=True, tooltip="The picture the mask is for. The mask is brought to its size."),
        io.Int.Input(
            "threshold",
            default=128,
            min=0,
            max=_LEVELS - 1,
            tooltip="Grey level, 0 … 255, above which a pixel counts as marked. 0 marks everything not quite black.",
        ),
        io.Boolean.Input("invert", default=False, tooltip="Mark what was not marked."),
        io.Boolean.Input("fill_holes", default=False, tooltip="Mark what the mask encloses, such as an outline."),
        io.Int.Input(
            "grow",
            default=0,
            min=-1024,
            max=1024,
            tooltip="Grow the marked area by so many pixels; a negative number shrinks it. Growing by 8 or more "
            "gives the model room for a clean transition.",
        ),
        io.Combo.Input("corners", options=["round", "square"], tooltip="Shape that corners grow into."),
        io.Int.Input(
            "feather",
            default=8,
            min=0,
            max=1024,
            tooltip="Pixels over which the soft mask rises inward from the edge. The hard mask stays hard.",
        ),
        io.Boolean.Input(
            "unite", default=False, tooltip="Of a batch of masks, make one that marks what any of them marks."
        ),
        io.Combo.Input(
            "alpha_marks",
            options=["transparent", "opaque", "brightness", "auto"],
            default="auto",
            tooltip="What of alpha is the mask: the hole cut into a picture (transparent), the layer painted on "
            "(opaque), or its brightness. auto takes what the picture most probably means, and says so.",
        ),
        io.Combo.Input(
            "if_shapes_differ",
            options=list(_WHEN_SHAPES_DIFFER),
            tooltip="What to do with a mask of another aspect ratio than its picture: stop and tell, cut off its "
            "sides, or stretch it.",
        ),
    ]


class MaskPrepareNode(Node):
    """MASK or alpha -> a binary MASK for the model and a soft one for pasting back."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACEMaskPrepare",
            display_name="ACE Edit: Mask Prepare",
            category="masks",
            description="Makes a mask fit for editing, in this order: fit to the picture, threshold, invert, unite, fill "
            "holes, grow or shrink. ACE takes hard masks only; the soft one is for Paste Back.",
            search_aliases=["grow mask", "shrink mask", "feather mask", "invert mask", "threshold mask", "fill holes"],
            inputs=_inputs(),
            outputs=[
                io.Mask.Output(display_name="mask", tooltip="Black and white only, for Image, Inpaint or Paste Back."),
                io.Mask.Output(display_name="soft_mask", tooltip="Fading in from the edge, for Paste Back."),
                io.Float.Output(display_name="coverage", tooltip="Share of pixels marked, 0 … 1."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        threshold,
        invert,
        fill_holes,
        grow,
        corners,
        feather,
        unite,
        alpha_marks,
        if_shapes_differ,
        mask=None,
        alpha=None,
        image=None,
    ) -> io.NodeOutput:
        if (mask is None) == (alpha is None):
            given = "neither of them is" if mask is None else "both are"
            raise ValueError(f"connect either mask or alpha; {given} connected")
        messages = Messages(cls.hidden.unique_id)
        prepared = prepare_mask(
            from_image(alpha, alpha_marks, messages) if mask is None else mask,
            image=image,
            threshold=(threshold + 0.5) / _LEVELS,
            invert=invert,
            fill_holes=fill_holes,
            grow=grow,
            corners=corners,
            feather=feather,
            unite=unite,
            when_aspect_differs=_WHEN_SHAPES_DIFFER[if_shapes_differ],
            notify=messages,
        )
        return io.NodeOutput(prepared.binary, prepared.soft, float(coverage(prepared.binary).mean()))


class RandomMaskNode(Node):
    """Seed -> MASK."""

    @classmethod
    def define_schema(cls):
        side = {"min": 1, "max": 16384}
        share = {"min": 0.0, "max": 1.0, "step": 0.01}
        return schema(
            node_id="ACERandomMask",
            display_name="ACE Edit: Random Mask",
            category="masks",
            description="Draws masks of boxes and irregular strokes, as LaMa and ACE were trained with. For trying out "
            "inpainting, and for training data.",
            search_aliases=["LaMa", "random strokes", "free-form mask", "training mask"],
            inputs=[
                io.Image.Input(
                    "image", optional=True, tooltip="Masks get the size of this picture, whatever width says."
                ),
                io.Int.Input("width", default=512, tooltip="Width in pixels, without a picture.", **side),
                io.Int.Input("height", default=512, tooltip="Height in pixels, without a picture.", **side),
                io.Int.Input("count", default=1, min=1, max=4096, tooltip="How many masks, as a batch."),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="Same seed, same mask. Mask i of a batch is that of seed + i.",
                ),
                io.Combo.Input("kind", options=list(KINDS), tooltip="Strokes, boxes, or one or the other by chance."),
                io.Combo.Input("style", options=list(STYLES), default="medium", tooltip="How thick the shapes are."),
                io.Float.Input("least", default=0.1, tooltip="Least share of the picture to mark.", **share),
                io.Float.Input("most", default=0.5, tooltip="Most share of the picture to mark.", **share),
            ],
            outputs=[io.Mask.Output(display_name="mask", tooltip="Black and white.")],
        )

    @classmethod
    def execute(cls, width, height, count, seed, kind, style, least, most, image=None) -> io.NodeOutput:
        if image is not None:
            height, width = image.shape[1:3]
        masks = random_masks(height, width, count=count, seed=seed, kind=kind, style=style, coverage=(least, most))
        return io.NodeOutput(masks)
