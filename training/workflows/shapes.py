"""What a file of the front end has to say about a node: sockets, widgets in their order, outputs, and room to draw it.

The nodes' schemas live in the host; a workflow is also written where there is none. A test holds this table against them.
"""

from __future__ import annotations

from dataclasses import dataclass

CONTROL = "control_after_generate"  # the widget that the front end puts behind a seed


@dataclass(frozen=True)
class Shape:
    """One kind of node.

    Attributes:
        outputs: (name, type) in order.
        sockets: (name, type); one that may stay empty has a question mark behind its type.
        widgets: names in the order in which a file keeps their values; the fields of a menu follow it by themselves.
        size: width and height on the canvas.
        grows: (prefix, type) of the sockets that appear one after the other.
        fixed: values of widgets that no prompt has.
    """

    outputs: tuple[tuple[str, str], ...]
    sockets: tuple[tuple[str, str], ...] = ()
    widgets: tuple[str, ...] = ()
    size: tuple[int, int] = (300, 80)
    grows: tuple[str, str] | None = None
    fixed: tuple[tuple[str, str], ...] = ()


_MODEL, _IMAGE, _MASK = ("MODEL", "MODEL"), ("IMAGE", "IMAGE"), ("MASK", "MASK")

SHAPES = {
    # The loader also shows what the bundle says of itself.
    "ACELoadBundle": Shape(
        (_MODEL, ("CLIP", "CLIP"), ("VAE", "VAE")), widgets=("bundle", "download", "weight_dtype"), size=(300, 230)
    ),
    "LoraLoaderModelOnly": Shape((_MODEL,), (("model", "MODEL"),), ("lora_name", "strength_model"), (300, 90)),
    "LoadImage": Shape((_IMAGE, _MASK), widgets=("image", "upload"), size=(300, 330), fixed=(("upload", "image"),)),
    "ACEImage": Shape(
        (("ace_image", "ACE_IMAGE"), ("indicator", "STRING")),
        (("image", "IMAGE"), ("mask", "MASK?")),
        ("indicator",),
        (300, 80),
    ),
    "ACEInpaint": Shape(
        (("ace_image", "ACE_IMAGE"), ("image", "IMAGE"), ("mask", "MASK")),
        (("image", "IMAGE"), ("mask", "MASK")),
        ("way", "indicator"),
        (300, 150),
    ),
    "ACEConditionUnit": Shape(
        (("unit", "ACE_UNIT"),),
        (("image", "ACE_IMAGE?"),),
        ("instruction", "edit"),
        (400, 220),
        grows=("more.image", "ACE_IMAGE"),
    ),
    "ACELongContext": Shape(
        (("context", "ACE_CONTEXT"),), (("unit", "ACE_UNIT"), ("history", "ACE_CONTEXT?")), ("max_rounds",), (320, 80)
    ),
    "ACESampler": Shape(
        (("image", "IMAGE"), ("latent", "LATENT"), ("fit", "ACE_FIT")),
        (("model", "MODEL"), ("clip", "CLIP"), ("vae", "VAE"), ("context", "ACE_CONTEXT,ACE_UNIT")),
        ("negative", "seed", CONTROL, "steps", "cfg", "guidance_rescale", "resolution", "batch_size", "result_size"),
        (400, 340),
        fixed=((CONTROL, "fixed"),),
    ),
    "ACEPasteBack": Shape(
        (("image", "IMAGE"),),
        (
            ("original", "IMAGE"),
            ("result", "IMAGE"),
            ("mask", "MASK?"),
            ("placement", "ACE_PLACEMENT?"),
            ("fit", "ACE_FIT?"),
        ),
        ("match_colors", "seam"),
        (300, 190),
    ),
    "SaveImage": Shape((), (("images", "IMAGE"),), ("filename_prefix",), (420, 420)),
}
