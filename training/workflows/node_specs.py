"""What a workflow file says about a node: sockets, widgets in their order, and outputs.

The nodes' schemas live in the host; a workflow is also written where there is none. A test holds this table against them.
"""

from __future__ import annotations

from dataclasses import dataclass

CONTROL = "control_after_generate"  # the widget that the front end puts behind a seed


@dataclass(frozen=True)
class NodeSpec:
    """Inputs and outputs of one kind of node.

    Attributes:
        outputs: (name, type) in order.
        sockets: (name, type); one that may stay empty has a question mark behind its type.
        widgets: names in the order in which a file keeps their values; the fields of a menu follow it by themselves.
        autogrow: (prefix, type) of the sockets that appear one after the other.
        fixed: values of widgets that no prompt has.
    """

    outputs: tuple[tuple[str, str], ...]
    sockets: tuple[tuple[str, str], ...] = ()
    widgets: tuple[str, ...] = ()
    autogrow: tuple[str, str] | None = None
    fixed: tuple[tuple[str, str], ...] = ()


_MODEL, _IMAGE, _MASK = ("MODEL", "MODEL"), ("IMAGE", "IMAGE"), ("MASK", "MASK")

NODE_SPECS = {
    # The loader also shows what the bundle says of itself.
    "ACELoadBundle": NodeSpec(
        (_MODEL, ("CLIP", "CLIP"), ("VAE", "VAE")), widgets=("bundle", "download", "weight_dtype")
    ),
    "LoraLoaderModelOnly": NodeSpec((_MODEL,), (("model", "MODEL"),), ("lora_name", "strength_model")),
    "LoadImage": NodeSpec((_IMAGE, _MASK), widgets=("image", "upload"), fixed=(("upload", "image"),)),
    "ACEImage": NodeSpec(
        (("ace_image", "ACE_IMAGE"), ("indicator", "STRING")),
        (("image", "IMAGE"), ("mask", "MASK?")),
        ("indicator",),
    ),
    "ACEInpaint": NodeSpec(
        (("ace_image", "ACE_IMAGE"), ("image", "IMAGE"), ("mask", "MASK")),
        (("image", "IMAGE"), ("mask", "MASK")),
        ("way", "indicator"),
    ),
    "ACELoadModel": NodeSpec((_MODEL,), widgets=("model_name", "weight_dtype")),
    "ACELoadTextEncoder": NodeSpec((("CLIP", "CLIP"),), widgets=("text_encoder_name",)),
    "VAELoader": NodeSpec((("VAE", "VAE"),), widgets=("vae_name",)),
    "ACEOutpaint": NodeSpec(
        (("ace_image", "ACE_IMAGE"), ("canvas", "IMAGE"), ("mask", "MASK"), ("placement", "ACE_PLACEMENT")),
        (("image", "IMAGE"),),
        ("extend", "overlap", "round_up", "indicator"),
    ),
    "ACEChatAnswer": NodeSpec((("image", "IMAGE"),), (("image", "IMAGE"),), ("chat", "turn")),
    "ACEConditionUnit": NodeSpec(
        (("unit", "ACE_UNIT"),),
        (("image", "ACE_IMAGE?"),),
        ("instruction", "edit"),
        autogrow=("more.image", "ACE_IMAGE"),
    ),
    "ACELongContext": NodeSpec(
        (("context", "ACE_CONTEXT"),), (("unit", "ACE_UNIT"), ("history", "ACE_CONTEXT?")), ("max_rounds",)
    ),
    "ACESampler": NodeSpec(
        (("image", "IMAGE"), ("latent", "LATENT"), ("fit", "ACE_FIT")),
        (("model", "MODEL"), ("clip", "CLIP"), ("vae", "VAE"), ("context", "ACE_CONTEXT,ACE_UNIT")),
        (
            "negative",
            "seed",
            CONTROL,
            "steps",
            "cfg",
            "guidance_rescale",
            "resolution",
            "batch_size",
            "result_size",
            "keep_detail",
        ),
        fixed=((CONTROL, "fixed"),),
    ),
    "ACEPasteBack": NodeSpec(
        (("image", "IMAGE"),),
        (
            ("original", "IMAGE"),
            ("result", "IMAGE"),
            ("mask", "MASK?"),
            ("placement", "ACE_PLACEMENT?"),
            ("fit", "ACE_FIT?"),
        ),
        ("match_colors", "seam"),
    ),
    "SaveImage": NodeSpec((), (("images", "IMAGE"),), ("filename_prefix",)),
}
