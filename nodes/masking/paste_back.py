"""Everything outside the mask stays what it was."""

from __future__ import annotations

from comfy_api.latest import io

from ...ace.pictures.paste_back import paste_back, paste_back_outpainting
from ..host.choices import require_choice
from ..host.messages import Messages
from ..host.node import Node
from ..host.types import AceFit, AcePlacement, schema

_FADE, _HARD, _AS_MASK = "fade in", "hard edge", "as the mask fades"


class PasteBackNode(Node):
    """Source, result and MASK -> IMAGE."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACEPasteBack",
            display_name="ACE Edit: Paste Back",
            description="Puts the result into the original where the mask marks, at the original's own size. Every pixel "
            "outside the mask stays bit for bit what it was: no shift, no drift of colours.",
            search_aliases=["composite", "stitch", "seam", "keep unmasked", "restore original", "uncrop"],
            inputs=[
                io.Image.Input(
                    "original", tooltip="The picture before the edit or, for outpainting, before extending."
                ),
                io.Image.Input("result", tooltip="What the sampler made of it, at any scale."),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="White is taken from the result. Of the original's size or the result's. For outpainting it "
                    "may be left out.",
                ),
                AcePlacement.Input(
                    "placement", optional=True, tooltip="From Outpaint: where the original lies on the canvas."
                ),
                AceFit.Input(
                    "fit",
                    optional=True,
                    tooltip="From Sampler or Encode: which part of the original the model saw. Worked out from the sizes "
                    "if left out; needed only with the resolutions “exact size” and “source size”, and for ACE++.",
                ),
                io.Boolean.Input(
                    "match_colors",
                    default=False,
                    tooltip="Shifts the result's colours so that around the mask they agree with the original.",
                ),
                io.DynamicCombo.Input(
                    "seam",
                    options=[
                        io.DynamicCombo.Option(
                            _FADE,
                            [
                                io.Int.Input(
                                    "feather",
                                    default=8,
                                    min=0,
                                    max=1024,
                                    tooltip="Pixels of the original over which the result fades in from the mask's edge.",
                                )
                            ],
                        ),
                        io.DynamicCombo.Option(_HARD, []),
                        io.DynamicCombo.Option(_AS_MASK, []),
                    ],
                    tooltip="How the result begins at the mask's edge. “as the mask fades” takes grey values as they are, "
                    "such as Mask Prepare's soft mask.",
                ),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The original's size, or the canvas's.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, original, result, match_colors, seam=None, mask=None, placement=None, fit=None) -> io.NodeOutput:
        seam = require_choice(seam, "kind of seam")
        feather = {_HARD: 0, _AS_MASK: None}.get(seam["seam"], seam.get("feather"))
        options = {
            "fit": fit,
            "feather": feather,
            "match_colors": match_colors,
            "notify": Messages(cls.hidden.unique_id),
        }
        if placement is not None:
            return io.NodeOutput(paste_back_outpainting(original, result, placement, mask, **options))
        if mask is None:
            raise ValueError("connect a mask of what may change or, for outpainting, Outpaint's placement")
        return io.NodeOutput(paste_back(original, result, mask, **options))
