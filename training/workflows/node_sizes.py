"""How large nodes are on the canvas after a run, with the pictures and texts that they then show, in either rendering.

Measured with tools/make_workflows.py, which says when a node has outgrown what stands here.
"""

from __future__ import annotations

NODE_SIZES: dict[str, tuple[int, int]] = {
    "ACECapturePair": (300, 600),
    "ACECaptureResult": (300, 570),
    "ACECaptureSource": (240, 110),
    "ACEChatAnswer": (340, 420),
    "ACEConditionImage": (300, 330),
    "ACEConditionUnit": (340, 240),
    "ACECrop": (260, 90),
    "ACEDistil": (420, 1010),
    "ACEEncode": (300, 260),
    "ACEEncodePlus": (330, 430),
    "ACEGuidanceRescale": (260, 90),
    "ACEImage": (240, 110),
    "ACEInpaint": (280, 160),
    "ACEInstruction": (360, 330),
    "ACEJudge": (360, 760),
    "ACELoadBundle": (300, 260),
    "ACELoadDataset": (300, 250),
    "ACELoadModel": (300, 110),
    "ACELoadTextEncoder": (300, 80),
    "ACELongContext": (270, 110),
    "ACEOutpaint": (280, 360),
    "ACEPasteBack": (280, 240),
    "ACEPreview": (460, 500),
    "ACERound": (260, 110),
    "ACESampler": (320, 480),
    "ACESweep": (320, 560),
    "CLIPTextEncode": (340, 200),
    "Canny": (250, 100),
    "CheckpointLoaderSimple": (320, 130),
    "ConditioningZeroOut": (230, 50),
    "ControlNetApplyAdvanced": (290, 210),
    "ControlNetLoader": (320, 90),
    "DualCLIPLoader": (300, 150),
    "EmptyImage": (230, 160),
    "FluxGuidance": (250, 80),
    "GrowMask": (250, 90),
    "ImageBlend": (230, 140),
    "ImageBlur": (230, 110),
    "ImageCompositeMasked": (250, 180),
    "ImageScaleToTotalPixels": (280, 120),
    "ImageToMask": (230, 80),
    "InpaintModelConditioning": (290, 160),
    "InvertMask": (230, 50),
    "KSampler": (280, 320),
    "LoadImage": (280, 350),
    "LoraLoaderModelOnly": (300, 110),
    "MaskToImage": (230, 50),
    "PreviewImage": (260, 300),
    "SaveImage": (340, 380),
    "SetLatentNoiseMask": (230, 70),
    "UNETLoader": (300, 100),
    "VAEDecode": (230, 70),
    "VAEEncode": (230, 70),
    "VAELoader": (300, 80),
}


def node_size(kind: str) -> tuple[int, int]:
    """Width and height of a kind of node.

    Raises:
        ValueError: it is not known here.
    """
    try:
        return NODE_SIZES[kind]
    except KeyError:
        raise ValueError(f"the size of the node {kind} is unknown; measure it with tools/make_workflows.py") from None
