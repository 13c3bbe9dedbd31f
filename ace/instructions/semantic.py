"""Semantic editing of whole pictures: style, background, posture, view, and anything said freely."""

from __future__ import annotations

from .slots import CAPTION
from .template import Slot, Text, task

FAMILY = "semantic"

_PICTURE = ("Connect the picture to edit to {image}.", "将要编辑的图像接到 {image}。")

_STYLE = Slot(
    "style",
    Text("A style, medium or maker; the word 'style' is added.", "风格、媒介或流派；“风格”二字会自动加上。"),
    Text("watercolor", "水彩"),
    default=Text("watercolor", "水彩"),
)

_BACKGROUND = Slot(
    "background",
    Text("What lies behind the subject, with its article.", "主体身后的景物。"),
    Text("a quiet beach at sunset", "日落时安静的海滩"),
    default=Text("a quiet beach at sunset", "日落时安静的海滩"),
)

_SUBJECT = Slot(
    "subject",
    Text("Who or what moves, with its article.", "要改变姿势的人或动物。"),
    Text("the dog", "这只狗"),
)

_POSTURE = Slot(
    "posture",
    Text("The new posture, as a word in -ing.", "新的姿势，英文用 -ing 形式。"),
    Text("lying on its back", "仰卧"),
)

_VIEW = Slot(
    "view",
    Text("Camera position or framing, with its article.", "机位或取景。"),
    Text("a low angle", "低角度"),
    default=Text("a low angle", "低角度"),
)

_INSTRUCTION = Slot(
    "instruction",
    Text(
        "The whole edit, as a command without a capital letter; one change at a time works best.",
        "完整的编辑命令，英文小写开头；一次只改一处效果最好。",
    ),
    Text("make the sky stormy and the street wet", "让天空风雨欲来、街道湿漉漉"),
)

TEMPLATES = (
    task(
        FAMILY,
        "style",
        ("Change style", "风格转换"),
        _PICTURE,
        [
            ("Turn {image} into [style] style.", "将 {image} 变为[style]风格。"),
            ("Redraw {image} in [style] style.", "以[style]风格重绘 {image}。"),
            ("{image} [style] style", "{image} [style]风格"),
            ("Same content as {image}, but in the style of [style].", "内容与 {image} 相同，但采用[style]风格。"),
            ("Give {image} the look of [style] style.", "赋予 {image} [style]风格的外观。"),
            ("How would {image} look in [style] style?", "{image} 换成[style]风格会是什么样？"),
            ("Restyle {image} as [style] style and keep the composition.", "将 {image} 改为[style]风格，保持构图。"),
        ],
        slots=(_STYLE,),
    ),
    task(
        FAMILY,
        "background",
        ("Change background", "更换背景"),
        (
            "Connect the picture to {image}; without a mask the subject may shift a little, with one it stays.",
            "将图像接到 {image}；没有遮罩时主体可能略有移动，加遮罩可保持不动。",
        ),
        [
            ("Change the background of {image} to [background].", "将 {image} 的背景换成[background]。"),
            ("Put [background] behind the subject of {image}.", "把[background]放到 {image} 的主体身后。"),
            ("{image} move the scene to [background]", "{image} 把场景移到[background]"),
            (
                "Leave the subject of {image} as it is and paint [background] around it.",
                "保持 {image} 的主体不变，在周围画出[background]。",
            ),
            (
                "Take the subject of {image} to another place: [background].",
                "把 {image} 的主体带到别处：[background]。",
            ),
            (
                "Behind everything in {image}, there shall be [background].",
                "在 {image} 的一切之后，应是[background]。",
            ),
        ],
        slots=(_BACKGROUND,),
    ),
    task(
        FAMILY,
        "posture",
        ("Change posture", "改变姿势"),
        _PICTURE,
        [
            ("Change the posture in {image} to [posture].", "将 {image} 中的姿势改为[posture]。"),
            ("{image} now [posture]", "{image} 现在[posture]"),
            ("Show the subject of {image} [posture].", "展现 {image} 的主体[posture]的样子。"),
            ("The same subject as in {image}, but [posture].", "与 {image} 相同的主体，但[posture]。"),
            ("In {image}, let [subject] be [posture].", "在 {image} 中，让[subject][posture]。"),
            ("{image} make [subject] change to [posture]", "{image} 让[subject]变为[posture]"),
            ("Redraw {image} with [subject] [posture].", "重绘 {image}，使[subject][posture]。"),
        ],
        slots=(_SUBJECT, _POSTURE),
    ),
    task(
        FAMILY,
        "view",
        ("Change camera view", "改变视角"),
        _PICTURE,
        [
            ("Show {image} from [view].", "以[view]展现 {image}。"),
            ("Move the camera of {image} to [view].", "将 {image} 的镜头移到[view]。"),
            ("{image} seen from [view]", "{image} 以[view]观看"),
            ("The scene of {image}, photographed from [view].", "{image} 的场景，以[view]拍摄。"),
            ("Change the point of view of {image} to [view].", "将 {image} 的视角改为[view]。"),
            ("Keep what is in {image} and look at it from [view].", "保持 {image} 的内容，以[view]来看。"),
        ],
        slots=(_VIEW,),
    ),
    task(
        FAMILY,
        "instruction",
        ("Edit by instruction", "指令编辑"),
        _PICTURE,
        [
            ("{image} [instruction]", "{image} [instruction]"),
            ("In {image}, [instruction]", "在 {image} 中，[instruction]"),
            ("Edit {image} like this: [instruction]", "这样编辑 {image}：[instruction]"),
            ("Take {image} and [instruction]", "取 {image}，[instruction]"),
            ("Leave {image} as it is, except for this: [instruction]", "保持 {image} 不变，除了：[instruction]"),
            ("Please do the following with {image}: [instruction]", "请对 {image} 做以下处理：[instruction]"),
        ],
        slots=(_INSTRUCTION,),
    ),
    task(
        FAMILY,
        "caption",
        ("New picture after an example", "参照原图按描述生成"),
        (
            "Connect one picture to {image}; the result shares its subject and mood, not its pixels.",
            "将一张图像接到 {image}；结果沿用其主体和氛围，而非像素。",
        ),
        [
            ("{image} [caption]", "{image} [caption]"),
            ('With {image} as a starting point, create "[caption]"', "以 {image} 为起点，创作“[caption]”"),
            ('Rework {image} until it shows "[caption]"', "改造 {image}，直到展现“[caption]”"),
            (
                'Make a picture that resembles {image} and depicts "[caption]"',
                "制作一张与 {image} 相似的图像，描绘“[caption]”",
            ),
            ("Inspired by {image}: [caption]", "灵感来自 {image}：[caption]"),
            ('Let {image} become "[caption]"', "让 {image} 成为“[caption]”"),
        ],
        slots=(CAPTION,),
    ),
)
