"""Reference generation: pictures made or edited after the example of others."""

from __future__ import annotations

from .slots import CAPTION
from .template import MAX_TRAINED_IMAGES, Slot, Text, task

FAMILY = "reference"

_KINDS = Slot(
    "kinds",
    Text("Kind of each map, in the order of the images.", "各条件图的种类，按图像顺序书写。"),
    Text("edge map and depth map", "边缘图和深度图"),
)

_SUBJECT = Slot(
    "object",
    Text("What to take over from the picture, with its article.", "要从图中沿用的对象。"),
    Text("the toy robot", "这个玩具机器人"),
)

_WORN = Slot(
    "object",
    Text("The thing that both pictures show and that is exchanged, with its article.", "两张图中都有、要互换的对象。"),
    Text("the clothes", "衣服"),
    default=Text("the clothes", "衣服"),
)

TEMPLATES = (
    task(
        FAMILY,
        "conditions",
        ("Several control images", "多条件生成"),
        (
            "Connect two or more maps of one size (edges, depth, pose, colors …), each from a Condition Image node or "
            "a ControlNet preprocessor pack.",
            "连接两张或更多同尺寸的条件图（边缘、深度、姿态、色块等），来自条件图像节点或 ControlNet 预处理器包。",
        ),
        [
            ("Generate one picture that obeys [images] together.", "生成一张同时符合 [images] 的图像。"),
            ("Let [images] jointly control a new image.", "让 [images] 共同控制一张新图像。"),
            ("[images] are conditions of the same scene; paint it.", "[images] 是同一场景的条件；画出该场景。"),
            ('Under the control of [images], generate "[caption]"', "在 [images] 的控制下，生成“[caption]”"),
            ('[images], "[caption]"', "[images]，“[caption]”"),
            ('Obey all of [images] and paint "[caption]"', "遵循 [images] 的全部内容，画出“[caption]”"),
            (
                "Use [images] as [kinds] of one picture and paint it.",
                "把 [images] 用作同一画面的[kinds]，并画出该画面。",
            ),
            ("Generate an image; its [kinds] are [images].", "生成一张图像；它的[kinds]是 [images]。"),
            (
                'With [images] as [kinds], generate "[caption]"',
                "以 [images] 为[kinds]，生成“[caption]”",
            ),
            (
                'The [kinds] [images] belong to the picture "[caption]"',
                "[kinds] [images] 属于画面“[caption]”",
            ),
        ],
        slots=(_KINDS, CAPTION),
        images=(2, MAX_TRAINED_IMAGES),
    ),
    task(
        FAMILY,
        "series",
        ("Continue a series", "系列生成"),
        (
            "Connect three to eight pictures with something in common (a character, a style); order does not matter.",
            "连接三到八张有共同点（同一角色、同一风格）的图像；顺序不限。",
        ),
        [
            ("[images], [caption]", "[images]，[caption]"),
            ("One more picture of the series [images]: [caption]", "系列 [images] 的又一张图像：[caption]"),
            (
                "Find what [images] have in common and show it in this: [caption]",
                "找出 [images] 的共同点，并体现在：[caption]",
            ),
            ('Continue [images] with "[caption]"', "延续 [images]，画出“[caption]”"),
            ("In keeping with [images], draw the following: [caption]", "与 [images] 保持一致，画出：[caption]"),
            (
                'A new image that belongs with [images] and shows "[caption]"',
                "与 [images] 同属一组的新图像，展现“[caption]”",
            ),
        ],
        slots=(CAPTION,),
        images=(3, 8),
    ),
    task(
        FAMILY,
        "subject",
        ("Same subject elsewhere", "主体参考生成"),
        (
            "Connect one picture that shows the subject well to {image}, best on a plain background.",
            "将一张清楚展示主体的图像接到 {image}，最好是纯色背景。",
        ),
        [
            ("The subject of {image} in a new scene: [caption]", "{image} 的主体处于新场景：[caption]"),
            ('Take the subject of {image} over into "[caption]"', "将 {image} 的主体带入“[caption]”"),
            (
                "Make another picture with what {image} shows: [caption]",
                "用 {image} 所展现的主体再做一张图像：[caption]",
            ),
            ("Show [object] from {image} in a new scene: [caption]", "在新场景中展现 {image} 的[object]：[caption]"),
            ('Take [object] of {image} over into "[caption]"', "将 {image} 的[object]带入“[caption]”"),
            (
                "Keep [object] exactly as in {image}, but draw this: [caption]",
                "保持[object]与 {image} 中完全一致，但画出：[caption]",
            ),
        ],
        slots=(_SUBJECT, CAPTION),
    ),
    task(
        FAMILY,
        "style",
        ("Style of another picture", "风格参考编辑"),
        (
            "Connect the picture to edit to {image} and the one whose style it takes to {image1}.",
            "将要编辑的图像接到 {image}，提供风格的图像接到 {image1}。",
        ),
        [
            ("Redraw {image} in the style of {image1}.", "将 {image} 重绘为 {image1} 的风格。"),
            ("Give {image} the look of {image1}.", "赋予 {image} 与 {image1} 相同的外观。"),
            ("{image} keeps its content and takes the style from {image1}.", "{image} 保留内容，风格取自 {image1}。"),
            ("Restyle {image} after the example of {image1}.", "将 {image} 仿照 {image1} 改变风格。"),
            (
                "Let {image} look as if the artist of {image1} had made it.",
                "让 {image} 看起来出自 {image1} 的作者之手。",
            ),
            ("Edit {image} so that its style matches {image1}.", "编辑 {image}，使其风格与 {image1} 一致。"),
        ],
        images=2,
    ),
    task(
        FAMILY,
        "face",
        ("Face of another picture", "人脸参考编辑"),
        (
            "Connect the picture to edit to {image} with a mask over its face, blanked, and a portrait of the person "
            "to {image1}. Ask the person first.",
            "将要编辑的图像接到 {image}，遮罩盖住人脸并清空；将人物肖像接到 {image1}。请先征得本人同意。",
        ),
        [
            ("Fill the mask of {image} with the face of {image1}.", "用人脸填入 {image} 的遮罩，人脸来自 {image1}。"),
            ("The person in {image} gets the face shown in {image1}.", "让 {image} 中的人物拥有 {image1} 所示的面孔。"),
            (
                "Complete the masked face of {image} as the person in {image1}.",
                "将 {image} 被遮罩的脸补全为 {image1} 中的人。",
            ),
            (
                "In {image}, paint the face from {image1} where the mask is.",
                "在 {image} 的遮罩处，画上 {image1} 的人脸。",
            ),
            ("Replace the face in {image} with that of {image1}.", "将 {image} 中的脸替换为 {image1} 的脸。"),
            ("Make {image} a picture of the person known from {image1}.", "让 {image} 成为 {image1} 中那个人的图像。"),
        ],
        images=2,
        mask="blank",
    ),
    task(
        FAMILY,
        "object",
        ("Object of another picture", "物体参考编辑"),
        (
            "Connect the picture to edit to {image} with a mask over the thing, and a picture of the other one to "
            "{image1}; works for trying on clothes.",
            "将要编辑的图像接到 {image}，遮罩盖住物体；将另一物体的图像接到 {image1}；可用于试衣。",
        ),
        [
            ("Replace [object] in {image} by the one from {image1}.", "把 {image} 中的[object]换成 {image1} 中的。"),
            ("Change [object] of {image} to what {image1} shows.", "将 {image} 的[object]改为 {image1} 所示。"),
            (
                "In the mask of {image}, put [object] seen in {image1}.",
                "在 {image} 的遮罩内，放上 {image1} 中的[object]。",
            ),
            ("{image} with [object] taken from {image1}", "{image}，其中[object]取自 {image1}"),
            ("Exchange [object] of {image} for that of {image1}.", "把 {image} 的[object]换成 {image1} 的。"),
            ("Let [object] in {image} look like {image1}.", "让 {image} 中的[object]变得和 {image1} 一样。"),
        ],
        slots=(_WORN,),
        images=2,
        mask="keep",
    ),
)
