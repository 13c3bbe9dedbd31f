"""Layer editing: take a picture apart into subject and background, or put layers together."""

from __future__ import annotations

from .slots import CAPTION, OBJECT
from .template import MAX_TRAINED_IMAGES, task

FAMILY = "layer"

TEMPLATES = (
    task(
        FAMILY,
        "subject",
        ("Separate the subject", "分离主体"),
        (
            "Connect the picture to {image}; the result is the complete subject on white, hidden parts invented.",
            "将图像接到 {image}；结果是白底上的完整主体，被遮挡的部分由模型补全。",
        ),
        [
            ("Lift the subject of {image} onto a white background.", "将 {image} 的主体取出，放到白色背景上。"),
            ("Separate the foreground layer of {image}.", "分离出 {image} 的前景图层。"),
            (
                "Keep the main subject of {image} whole and make all else white.",
                "完整保留 {image} 的主体，其余变为白色。",
            ),
            ("Lift [object] out of {image} onto a white background.", "将[object]从 {image} 中取出，放到白色背景上。"),
            ("From {image}, extract the layer with [object].", "从 {image} 中提取[object]所在的图层。"),
            ("Show [object] of {image} alone and complete, on white.", "在白底上单独、完整地展现 {image} 的[object]。"),
        ],
        slots=(OBJECT,),
    ),
    task(
        FAMILY,
        "background",
        ("Separate the background", "分离背景"),
        (
            "Connect the picture to {image}; the result is the background with the gap behind the subject filled.",
            "将图像接到 {image}；结果是补全主体空缺后的背景。",
        ),
        [
            ("Separate the background layer of {image}.", "分离出 {image} 的背景图层。"),
            ("Show {image} without its subject, with the background complete.", "展现没有主体的 {image}，背景完整。"),
            ("Rebuild the background that the subject of {image} hides.", "重建 {image} 中被主体挡住的背景。"),
            (
                "Lift [object] off {image} and keep the complete background.",
                "把[object]从 {image} 上移走，保留完整背景。",
            ),
            ("The background of {image}, with [object] gone.", "{image} 的背景，[object]已不在。"),
            ("From {image}, extract the layer behind [object].", "从 {image} 中提取[object]后面的图层。"),
        ],
        slots=(OBJECT,),
    ),
    task(
        FAMILY,
        "fuse",
        ("Fuse layers", "图层融合"),
        (
            "Connect the background to {image}, whose size the result takes, and each subject on white to "
            "{image1}, {image2} …",
            "将背景接到 {image}（结果沿用其尺寸），每个白底主体依次接到 {image1}、{image2} ……",
        ),
        [
            ("Fuse [images] into one picture.", "将 [images] 融合为一张图像。"),
            ("Combine the layers [images] so that they look natural.", "合成图层 [images]，使其自然协调。"),
            ("Place everything from [images] in a single scene.", "把 [images] 中的一切放进同一个场景。"),
            (
                'Fuse [images] into one picture of "[caption]"',
                "将 [images] 融合为一张图像，内容为“[caption]”",
            ),
            ('Combine the layers [images] to show "[caption]"', "合成图层 [images]，展现“[caption]”"),
            ('[images] together make "[caption]"', "[images] 一起构成“[caption]”"),
        ],
        slots=(CAPTION,),
        images=(2, MAX_TRAINED_IMAGES),
    ),
)
