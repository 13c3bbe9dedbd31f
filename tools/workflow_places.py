"""Where the nodes of each template stand, by hand: read from left to right, on one screen, with room for what a run shows.

A node is named by its kind, a further one of that kind with its number behind. Corners lie below titles, in pixels; where a
node is larger than its kind has to be, its width and height follow. ``tests/training/workflows/test_templates.py`` measures
the files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from comfyui_ace.training.workflows.layout import frame_around
from comfyui_ace.training.workflows.node_sizes import node_size
from comfyui_ace.training.workflows.ui_file import Box

NOTE = "MarkdownNote"


@dataclass(frozen=True)
class Places:
    """Of one template.

    Attributes:
        nodes: (x, y) or (x, y, width, height) of each.
        frames: by title, the nodes that a frame is drawn around.
    """

    nodes: Mapping[str, tuple[int, ...]]
    frames: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def boxes(self) -> dict[str, Box]:
        """(x, y, width, height) of each node."""
        return {name: (*place[:2], *(place[2:] or node_size(name.split()[0]))) for name, place in self.nodes.items()}

    def frame_boxes(self) -> list[tuple[str, Box]]:
        """Title, and (x, y, width, height), of each frame."""
        boxes = self.boxes()
        return [(title, frame_around([boxes[name] for name in inside])) for title, inside in self.frames.items()]


def node_names(kinds: Mapping[str, str]) -> dict[str, str]:
    """What nodes are called here, from their kinds by id."""
    count: Counter[str] = Counter()
    names = {}
    for id_, kind in sorted(kinds.items(), key=lambda entry: int(entry[0])):
        count[kind] += 1
        names[id_] = kind if count[kind] == 1 else f"{kind} {count[kind]}"
    return names


PLACES = {
    "01 Edit by instruction": Places(
        {
            NOTE: (0, 0, 640, 200),
            "LoadImage": (0, 270, 340, 410),
            "ACEImage": (400, 270),
            "ACEConditionUnit": (700, 330),
            "ACELoadBundle": (740, 0),
            "ACESampler": (1100, 0),
            "ACEPreview": (1100, 550),
            "SaveImage": (1480, 0, 440, 450),
        }
    ),
    "02 Distil this graph": Places(
        {
            NOTE: (0, 0, 570, 220),
            "LoadImage": (0, 290),
            "ACECaptureSource": (330, 290),
            "ImageToMask": (640, 290),
            "MaskToImage": (640, 440),
            "EmptyImage": (640, 560),
            "ImageBlend": (920, 440),
            "ACECaptureResult": (1230, 290),
            "ACESweep": (1580, 0),
            "SaveImage": (1580, 640),
            "ACEDistil": (1980, 120),
        },
        {"Your graph": ("ImageToMask", "MaskToImage", "EmptyImage", "ImageBlend")},
    ),
    "03 Text to image": Places(
        {
            NOTE: (0, 0, 340, 300),
            "ACELoadBundle": (400, 0),
            "ACEConditionUnit": (400, 330),
            "ACESampler": (800, 0),
            "SaveImage": (1180, 0, 500, 570),
        }
    ),
    "04 Edit under a mask": Places(
        {
            NOTE: (0, 0, 580, 160),
            "LoadImage": (0, 400, 280, 380),
            "ACEImage": (340, 230),
            "ACEConditionUnit": (640, 180),
            "ACELoadBundle": (680, 620),
            "ACESampler": (1080, 0),
            "ACEPasteBack": (1460, 600),
            "SaveImage": (1800, 380, 440, 450),
        }
    ),
    "05 Inpaint": Places(
        {
            NOTE: (0, 0, 580, 160),
            "LoadImage": (0, 460, 280, 380),
            "ACEInpaint": (340, 230),
            "ACEConditionUnit": (680, 30),
            "ACELoadBundle": (720, 620),
            "ACESampler": (1120, 0),
            "ACEPasteBack": (1500, 600),
            "SaveImage": (1840, 380, 440, 450),
        }
    ),
    "06 Outpaint": Places(
        {
            NOTE: (0, 0, 580, 160),
            "LoadImage": (0, 650, 280, 380),
            "ACEOutpaint": (340, 230),
            "ACEConditionUnit": (680, 30),
            "ACELoadBundle": (720, 770),
            "ACESampler": (1120, 0),
            "ACEPasteBack": (1500, 600),
            "SaveImage": (1840, 380, 440, 450),
        }
    ),
    "07 Two pictures": Places(
        {
            NOTE: (0, 0, 580, 160),
            "LoadImage": (0, 390),
            "LoadImage 2": (0, 810),
            "ACEImage": (320, 230),
            "ACEImage 2": (320, 620),
            "ACEConditionUnit": (640, 180),
            "ACELoadBundle": (680, 640),
            "ACESampler": (1080, 0),
            "ACEPreview": (1080, 720),
            "ACEPasteBack": (1600, 560),
            "SaveImage": (1940, 400, 400, 420),
        }
    ),
    "08 From edges": Places(
        {
            NOTE: (0, 0, 640, 200),
            "LoadImage": (0, 270),
            "ACEConditionImage": (340, 270),
            "ACEImage": (700, 270),
            "PreviewImage": (700, 450, 300, 330),
            "ACEConditionUnit": (1060, 330),
            "ACELoadBundle": (1060, 0),
            "ACESampler": (1460, 0),
            "SaveImage": (1840, 0, 400, 420),
        }
    ),
    "09 Two rounds": Places(
        {
            NOTE: (0, 0, 580, 200),
            "LoadImage": (0, 330),
            "ACEImage": (340, 330),
            "ACEConditionUnit": (640, 330),
            "ACELoadBundle": (640, 0),
            "ACESampler": (1040, 130),
            "ACERound": (1040, 690),
            "ACEConditionUnit 2": (1370, 690),
            "ACELongContext": (1370, 1010),
            "ACESampler 2": (1800, 0),
            "SaveImage": (2180, 0, 370, 400),
        }
    ),
    "10 Distil a masked graph": Places(
        {
            NOTE: (0, 0, 570, 220),
            "LoadImage": (0, 520),
            "ACECaptureSource": (330, 520),
            "ImageToMask": (640, 60),
            "MaskToImage": (640, 210),
            "EmptyImage": (640, 330),
            "ImageBlend": (920, 210),
            "ImageCompositeMasked": (920, 520),
            "ACECaptureResult": (1250, 290),
            "ACESweep": (1600, 0),
            "SaveImage": (1600, 640),
            "ACEDistil": (2000, 120),
        },
        {"Your graph": ("ImageToMask", "MaskToImage", "EmptyImage", "ImageBlend", "ImageCompositeMasked")},
    ),
    "11 Distil a graph of two pictures": Places(
        {
            NOTE: (0, 0, 570, 220),
            "LoadImage": (0, 290),
            "LoadImage 2": (0, 710),
            "ACECaptureSource": (330, 290),
            "ACECaptureSource 2": (330, 710),
            "ImageBlend": (640, 480),
            "ACECaptureResult": (950, 290),
            "ACESweep": (1300, 0),
            "SaveImage": (1300, 640),
            "ACEDistil": (1700, 120),
        },
        {"Your graph": ("ImageBlend",)},
    ),
    "12 With KSampler": Places(
        {
            NOTE: (0, 0, 580, 200),
            "LoadImage": (0, 330),
            "ACEImage": (340, 330),
            "ACEConditionUnit": (640, 330),
            "ACELoadBundle": (640, 0),
            "ACEGuidanceRescale": (1040, 120),
            "ACEEncode": (1040, 330),
            "KSampler": (1400, 120),
            "VAEDecode": (1740, 0),
            "SaveImage": (2030, 0, 400, 420),
        }
    ),
}
