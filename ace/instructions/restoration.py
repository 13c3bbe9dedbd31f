"""Controllable generation, continued: pictures that lost color, detail or sharpness and get them back."""

from __future__ import annotations

from .slots import CAPTION
from .template import task

FAMILY = "control"

TEMPLATES = (
    task(
        FAMILY,
        "mosaic",
        ("From a mosaic", "由马赛克还原"),
        (
            "Connect a pixelated picture to {image}, for example the Condition Image node's mosaic. "
            "Details are invented, not recovered.",
            "将像素化的图像接到 {image}，例如条件图像节点生成的马赛克。细节是创作出来的，并非真正复原。",
        ),
        [
            ('Resolve the mosaic {image} into "[caption]"', "将马赛克 {image} 还原为“[caption]”"),
            ('Behind the blocks of {image} is "[caption]", show it', "{image} 的方块背后是“[caption]”，请展现出来"),
            ('Use the mosaic {image} to generate "[caption]"', "利用马赛克 {image} 生成“[caption]”"),
            ('Sharpen the pixelated {image} to a picture of "[caption]"', "将像素化的 {image} 变清晰，呈现“[caption]”"),
            ("Remove the mosaic from {image}.", "去除 {image} 的马赛克。"),
            ("Turn the pixelated {image} into a clear picture.", "将像素化的 {image} 变成清晰的图像。"),
            ("Give the blocky {image} its details back.", "让方块状的 {image} 恢复细节。"),
            ("Guess what the mosaic {image} hides and draw it.", "推测马赛克 {image} 遮住的内容并画出来。"),
        ],
        slots=(CAPTION,),
    ),
    task(
        FAMILY,
        "degradation",
        ("From a degraded picture", "画质修复"),
        (
            "Connect a noisy, blurred or low-resolution picture to {image}, at the size the result shall have.",
            "将有噪点、模糊或低分辨率的图像接到 {image}，并先缩放到结果所需的尺寸。",
        ),
        [
            ('Restore the quality of {image}, which shows "[caption]"', "修复 {image} 的画质，其内容是“[caption]”"),
            ('Clean up {image}; it is a picture of "[caption]"', "清理 {image}；它是“[caption]”的图像"),
            ('From the damaged {image}, make a crisp "[caption]"', "由受损的 {image} 制作清晰的“[caption]”"),
            ('Bring "[caption]" in {image} back to high quality', "让 {image} 中的“[caption]”恢复高画质"),
            ("Remove the noise and blur from {image}.", "去除 {image} 的噪点和模糊。"),
            ("Restore {image} to a clean, sharp picture.", "将 {image} 修复为干净、锐利的图像。"),
            ("Raise the quality of {image} to high definition.", "将 {image} 的画质提升到高清。"),
            ("Repair the poor recording {image}.", "修复劣质影像 {image}。"),
        ],
        slots=(CAPTION,),
    ),
    task(
        FAMILY,
        "grayscale",
        ("Colorize", "黑白上色"),
        (
            "Connect a black-and-white picture to {image}; name the colors you want in [caption].",
            "将黑白图像接到 {image}；想要的颜色请写在 [caption] 中。",
        ),
        [
            ('Color {image} as "[caption]"', "将 {image} 上色为“[caption]”"),
            ('Give the gray picture {image} the colors of "[caption]"', "给灰度图 {image} 赋予“[caption]”的色彩"),
            ('{image} in color: "[caption]"', "{image} 的彩色版本：“[caption]”"),
            (
                'Paint the black-and-white {image} so that it shows "[caption]"',
                "为黑白的 {image} 着色，使其展现“[caption]”",
            ),
            ("Colorize {image}.", "为 {image} 上色。"),
            ("Turn the black-and-white {image} into a color photograph.", "将黑白的 {image} 变成彩色照片。"),
            ("Add natural colors to the gray {image}.", "给灰色的 {image} 加上自然的颜色。"),
            ("What did {image} look like in color? Show it.", "{image} 的彩色原貌是什么样？请展现。"),
        ],
        slots=(CAPTION,),
    ),
)
