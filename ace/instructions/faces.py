"""Semantic editing of faces: keep who it is and change the rest, or change one trait and keep the rest."""

from __future__ import annotations

from .slots import CAPTION, PERSON
from .template import Slot, Text, task

FAMILY = "semantic"

_SCENE = Slot(
    "caption",
    CAPTION.description,
    Text("she reads a newspaper on a park bench in autumn", "她在秋天的公园长椅上读报"),
)

_PORTRAIT = (
    "Connect a picture to {image} in which the face is large and turned to the viewer.",
    "将人脸较大且正对镜头的图像接到 {image}。",
)

_MAKEUP = Slot(
    "makeup",
    Text("Kind of makeup.", "妆容类型。"),
    Text("red lipstick and smoky eyes", "红唇与烟熏眼妆"),
)

_HAIR = Slot(
    "color",
    Text("New hair color.", "新的发色。"),
    Text("chestnut brown", "栗棕色"),
    default=Text("chestnut brown", "栗棕色"),
)

_CHANGE = Slot(
    "change",
    Text(
        "What shall be different about the face, as a command without a capital letter.",
        "人脸应有的变化，英文写成小写开头的命令。",
    ),
    Text("give her round glasses and freckles", "给她加上圆框眼镜和雀斑"),
)

TEMPLATES = (
    task(
        FAMILY,
        "face-identity",
        ("Same person, new scene", "人物不变，更换场景"),
        _PORTRAIT,
        [
            ("Keep the face in {image} and show this: [caption]", "保持 {image} 中的人脸，展现：[caption]"),
            ("The person from {image}, still recognizable: [caption]", "{image} 中的人物，面容不变：[caption]"),
            (
                "Without changing who is in {image}, make a new picture: [caption]",
                "不改变 {image} 中人物的身份，制作新图像：[caption]",
            ),
            (
                "Hold on to the facial features of {image}. [caption]",
                "保留 {image} 的面部特征。[caption]",
            ),
            (
                "Same face as in {image}, other circumstances: [caption]",
                "面孔与 {image} 相同，情境不同：[caption]",
            ),
            (
                "Preserve the identity of the person in {image} while you draw: [caption]",
                "保持 {image} 中人物的身份，画出：[caption]",
            ),
        ],
        slots=(_SCENE,),
    ),
    task(
        FAMILY,
        "face-smile",
        ("Smile", "微笑"),
        _PORTRAIT,
        [
            ("Put a smile on the face in {image}.", "让 {image} 中的脸露出微笑。"),
            ("{image} add a smile", "{image} 加上微笑"),
            ("Make the person in {image} smile and leave all else as it is.", "让 {image} 中的人微笑，其余保持不变。"),
            ("A happy, smiling expression for {image}, please.", "请给 {image} 一个开心的笑容。"),
            ("In {image}, let [person] smile.", "在 {image} 中，让[person]微笑。"),
            ("{image} make [person] smile", "{image} 让[person]微笑"),
            ("Give [person] in {image} a smiling face.", "给 {image} 中的[person]一张笑脸。"),
        ],
        slots=(PERSON,),
    ),
    task(
        FAMILY,
        "face-beard",
        ("Beard", "胡须"),
        _PORTRAIT,
        [
            ("Add a beard to the face in {image}.", "给 {image} 中的脸加上胡须。"),
            ("{image} grow a beard", "{image} 长出胡须"),
            ("Let the person in {image} have a beard, with the same face.", "让 {image} 中的人留胡须，面容不变。"),
            ("Change nothing in {image} except for a new beard.", "除新增胡须外，不改变 {image} 的任何内容。"),
            ("In {image}, give [person] a beard.", "在 {image} 中，给[person]加上胡须。"),
            ("{image} let [person] wear a beard", "{image} 让[person]留胡须"),
            ("Draw a beard on [person] in {image}.", "为 {image} 中的[person]画上胡须。"),
        ],
        slots=(PERSON,),
    ),
    task(
        FAMILY,
        "face-makeup",
        ("Makeup", "化妆"),
        _PORTRAIT,
        [
            ("Put makeup on the face in {image}.", "给 {image} 中的脸化妆。"),
            ("{image} add makeup", "{image} 加上妆容"),
            ("Show the person in {image} wearing makeup.", "展现化了妆的 {image} 中的人物。"),
            ("Let a makeup artist work on {image}, but keep the face.", "让化妆师为 {image} 上妆，但保持面容。"),
            ("Make up the face in {image} with [makeup].", "用[makeup]为 {image} 中的脸化妆。"),
            ("{image} makeup: [makeup]", "{image} 妆容：[makeup]"),
            ("The person in {image} shall wear [makeup].", "{image} 中的人应化[makeup]。"),
        ],
        slots=(_MAKEUP,),
    ),
    task(
        FAMILY,
        "face-hair-color",
        ("Hair color", "染发"),
        _PORTRAIT,
        [
            ("Dye the hair in {image} [color].", "将 {image} 中的头发染成[color]。"),
            ("{image} now with [color] hair", "{image} 换成[color]头发"),
            ("Change the hair color in {image} to [color].", "把 {image} 中的发色改为[color]。"),
            ("The person in {image} with [color] hair and the same face.", "{image} 中的人物，[color]头发，面容不变。"),
            ("Only the hair of {image} changes: make it [color].", "只改变 {image} 的头发：变为[color]。"),
            ("Give {image} a new hair color, [color].", "给 {image} 换一个发色：[color]。"),
        ],
        slots=(_HAIR,),
    ),
    task(
        FAMILY,
        "face-edit",
        ("Other change of a face", "其他人脸修改"),
        _PORTRAIT,
        [
            ("{image} [change]", "{image} [change]"),
            ("In {image}, [change]", "在 {image} 中，[change]"),
            ("Edit the face in {image}: [change]", "编辑 {image} 中的人脸：[change]"),
            ("Keep the person of {image} the same, but [change]", "保持 {image} 中的人物不变，但[change]"),
            ("Make one change to the portrait {image}: [change]", "对肖像 {image} 做一处修改：[change]"),
            ("With the identity in {image} untouched, [change]", "在不改变 {image} 人物身份的前提下，[change]"),
        ],
        slots=(_CHANGE,),
    ),
)
