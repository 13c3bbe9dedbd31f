"""Text-guided generation: a picture from words alone."""

from __future__ import annotations

from .slots import CAPTION
from .template import Slot, Text, task

_STYLE = Slot(
    "style",
    Text("Medium or look of the picture.", "画面的媒介或风格。"),
    Text("watercolor painting", "水彩画"),
)

TEMPLATES = (
    task(
        "generation",
        "text-to-image",
        ("Text to image", "文生图"),
        (
            "Connect no image; the size of the latent decides the size of the picture.",
            "不需要连接图像；画面尺寸由潜空间（latent）的尺寸决定。",
        ),
        [
            ("[caption]", "[caption]"),
            ("A picture of this: [caption]", "这样一幅画面：[caption]"),
            ("Draw the following scene: [caption]", "画出以下场景：[caption]"),
            ('Make an image that shows "[caption]"', "制作一张图像，内容为“[caption]”"),
            ('Picture "[caption]" with fine detail', "以精细的细节呈现“[caption]”"),
            ('From the words "[caption]", create a new image', "根据文字“[caption]”创作一张新图像"),
            ("[caption], [style]", "[caption]，[style]"),
            ("[style] of this: [caption]", "[style]，内容如下：[caption]"),
            ('An image of "[caption]", made as [style]', "一张“[caption]”的图像，风格为[style]"),
            ("In the manner of [style], draw the following: [caption]", "以[style]的手法画出：[caption]"),
        ],
        slots=(CAPTION, _STYLE),
        images=0,
    ),
)
