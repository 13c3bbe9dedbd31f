"""Repainting: fill what a mask erases, with or without words, inside the picture or around it."""

from __future__ import annotations

from .slots import CAPTION
from .template import Slot, Text, task

FAMILY = "repainting"

_FILLED = Slot(
    "caption",
    Text("What the masked region shows when it is filled.", "遮罩区域填充后的内容。"),
    Text("a wooden boat tied to the pier", "一条系在码头的木船"),
)

TEMPLATES = (
    task(
        FAMILY,
        "inpaint",
        ("Inpaint", "无条件修复"),
        (
            "Connect the picture with a mask to {image} and blank the masked pixels; the surroundings decide what "
            "fills the hole.",
            "将图像连同遮罩接到 {image}，并清空遮罩内的像素；由周围内容决定如何填补。",
        ),
        [
            ("Fill the masked hole in {image}.", "填补 {image} 中遮罩的空洞。"),
            ("Complete the missing part of {image} marked by the mask.", "补全 {image} 中遮罩标记的缺失部分。"),
            (
                "Repaint the mask area of {image} to match its surroundings.",
                "重绘 {image} 的遮罩区域，使其与周围一致。",
            ),
            ("Continue {image} seamlessly where the mask has erased it.", "在遮罩擦除之处无缝延续 {image}。"),
            ("What was under the mask of {image}? Paint it.", "{image} 的遮罩之下原是什么？请画出来。"),
            ("Mend {image} inside the mask.", "修补 {image} 的遮罩内部。"),
            ("Restore the region of {image} that the mask took away.", "恢复 {image} 被遮罩去掉的区域。"),
        ],
        mask="blank",
    ),
    task(
        FAMILY,
        "inpaint-text",
        ("Inpaint with words", "文本引导修复"),
        (
            "Connect the picture with a mask to {image} and blank the masked pixels; [caption] says what fills them.",
            "将图像连同遮罩接到 {image}，并清空遮罩内的像素；[caption] 说明填入什么。",
        ),
        [
            ('Fill the masked part of {image} with "[caption]"', "将 {image} 的遮罩部分填充为“[caption]”"),
            ('Repaint the mask area of {image} as "[caption]"', "将 {image} 的遮罩区域重绘为“[caption]”"),
            ('In the hole of {image}, paint "[caption]"', "在 {image} 的空洞中画出“[caption]”"),
            (
                'Complete {image} so that the mask shows "[caption]"',
                "补全 {image}，使遮罩处展现“[caption]”",
            ),
            ('Where the mask blanks {image}, there shall be "[caption]"', "在遮罩清空 {image} 之处，应是“[caption]”"),
            (
                'Use the description "[caption]" for the marked region of {image}',
                "以描述“[caption]”重画 {image} 的标记区域",
            ),
        ],
        slots=(_FILLED,),
        mask="blank",
    ),
    task(
        FAMILY,
        "outpaint",
        ("Outpaint", "扩图"),
        (
            "Connect the Outpaint node's extended picture and its mask to {image}: the new border is the mask, blank.",
            "将扩图节点输出的扩展图像及遮罩接到 {image}：新增边缘即遮罩，内容为空。",
        ),
        [
            ("Extend {image} into the masked border.", "将 {image} 扩展到遮罩边缘。"),
            (
                "Widen {image} where the mask leaves room, without touching the rest.",
                "在遮罩留出之处扩宽 {image}，其余不动。",
            ),
            ("Paint what lies outside the frame of {image}.", "画出 {image} 画框之外的内容。"),
            ("Continue {image} beyond its edges, in the mask.", "在遮罩内把 {image} 延续到边缘之外。"),
            (
                'Extend {image} into the masked border; the whole shows "[caption]"',
                "将 {image} 扩展到遮罩边缘；整体展现“[caption]”",
            ),
            ('Outpaint {image} in the mask according to "[caption]"', "按照“[caption]”在遮罩内扩展 {image}"),
            ('Grow {image} outwards into "[caption]"', "将 {image} 向外扩展为“[caption]”"),
        ],
        slots=(CAPTION,),
        mask="blank",
    ),
)
