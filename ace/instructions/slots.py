"""Slots that several subtasks share."""

from __future__ import annotations

from .template import Slot, Text

CAPTION = Slot(
    "caption",
    Text(
        "What the finished picture shows, as a description rather than a command.",
        "描述成品画面的内容，写成描述而不是命令。",
    ),
    Text("a white cat sleeping on a red sofa, soft morning light", "一只白猫睡在红色沙发上，柔和的晨光"),
)

OBJECT = Slot(
    "object",
    Text(
        "The thing meant, with its article and whatever tells it from similar things.",
        "所指的物体，写明能与相似物体区分的特征。",
    ),
    Text("the small dog on the left", "左边的小狗"),
)

NEW_OBJECT = Slot(
    "new",
    Text("What shall be there afterwards, with its article.", "替换之后应出现的内容。"),
    Text("a ginger cat", "一只橘猫"),
)

PLACE = Slot(
    "place",
    Text("Where in the picture, with its preposition.", "在画面中的位置，英文请带介词。"),
    Text("in the lower left corner", "左下角"),
)

PERSON = Slot(
    "person",
    Text("Whom to change, where there are several people.", "画面中有多人时，写明要修改的人。"),
    Text("the person on the left", "左边的人"),
)

FEATURE = Slot(
    "feature",
    Text(
        "Kind of map: segmentation map, depth map, human pose, mosaic, edge map, doodle, contour drawing, scribble …",
        "图的种类：segmentation map（分割图）、depth map（深度图）、human pose（姿态）、mosaic（马赛克）、"
        "edge map（边缘图）、doodle（涂鸦）、contour drawing（轮廓图）、scribble（线稿）等。",
    ),
    Text("depth map", "深度图"),
    default=Text("depth map", "深度图"),
)

DRAWN_TEXT = Slot(
    "text",
    Text(
        "The letters to draw, written normally; one short word works best. They are spaced out for the model "
        "(CAFE becomes C A F E), because that is how it learned to write.",
        "要绘制的文字，照常书写即可，单个短词效果最好。送入模型时会自动按字母隔开（CAFE 变为 C A F E），"
        "因为模型就是这样学会写字的。",
    ),
    Text("CAFE", "CAFE"),
    spelled_out=True,
)

NEW_TEXT = Slot("new", DRAWN_TEXT.description, DRAWN_TEXT.example, spelled_out=True)

OLD_TEXT = Slot(
    "text",
    Text("The words as they stand in the picture.", "画面中现有的文字。"),
    Text("SALE", "SALE"),
)

TEXT_STYLE = Slot(
    "look",
    Text("Color, material or lettering of the text.", "文字的颜色、材质或字体。"),
    Text("red neon", "红色霓虹"),
)
