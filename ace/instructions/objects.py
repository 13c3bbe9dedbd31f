"""Element editing of objects: add, remove and replace things in a picture, anywhere or inside a mask."""

from __future__ import annotations

from .slots import NEW_OBJECT, OBJECT, PLACE
from .template import Slot, Text, task

FAMILY = "element"

_PICTURE = ("Connect the picture to {image}.", "将图像接到 {image}。")
_MASKED = (
    "Connect the picture to {image} with a mask over the place to change, a little larger than the thing; "
    "keep the masked pixels.",
    "将图像接到 {image}，遮罩覆盖要修改的位置并略大于物体；保留遮罩内的像素。",
)

_ADDED = Slot(
    "object",
    Text("The thing to add, with its article.", "要添加的物体。"),
    Text("a small brown dog", "一只棕色小狗"),
)

TEMPLATES = (
    task(
        FAMILY,
        "object-add",
        ("Add an object", "添加物体"),
        _PICTURE,
        [
            ("Add [object] to {image}.", "给 {image} 添加[object]。"),
            ("Let there be [object] in {image}.", "让 {image} 中出现[object]。"),
            ("Place [object] into the scene of {image}.", "把[object]放入 {image} 的场景。"),
            ("I would like to see [object] in {image}.", "我希望在 {image} 中看到[object]。"),
            ("Add [object] to {image}, [place].", "给 {image} 添加[object]，位置：[place]。"),
            ("In {image}, [place], put [object].", "在 {image} 的[place]放上[object]。"),
            ("{image}, [place] there is [object]", "{image}，[place]有[object]"),
        ],
        slots=(_ADDED, PLACE),
    ),
    task(
        FAMILY,
        "object-add-masked",
        ("Add an object in the mask", "在遮罩内添加物体"),
        _MASKED,
        [
            ("Add [object] in the mask of {image}.", "在 {image} 的遮罩内添加[object]。"),
            ("Put [object] where {image} is masked.", "把[object]放在 {image} 被遮罩之处。"),
            ("The marked area of {image} shall hold [object].", "{image} 的标记区域中应有[object]。"),
            ("In {image}, draw [object] inside the mask.", "在 {image} 中，于遮罩内画出[object]。"),
            ("Fill the masked place of {image} with [object].", "用[object]填入 {image} 的遮罩位置。"),
            ("Let [object] appear in {image}, as the mask shows.", "让[object]按遮罩所示出现在 {image} 中。"),
        ],
        slots=(_ADDED,),
        mask="keep",
    ),
    task(
        FAMILY,
        "object-remove",
        ("Remove an object", "移除物体"),
        _PICTURE,
        [
            ("Remove [object] from {image}.", "从 {image} 中移除[object]。"),
            ("Take [object] out of {image}.", "把[object]从 {image} 中去掉。"),
            ("{image} without [object]", "没有[object]的 {image}"),
            ("In {image}, make [object] disappear.", "在 {image} 中，让[object]消失。"),
            ("Erase [object] in {image} and continue the background.", "擦除 {image} 中的[object]，并延续背景。"),
            ("I do not want [object] in {image} any more.", "我不想再在 {image} 中看到[object]。"),
        ],
        slots=(OBJECT,),
    ),
    task(
        FAMILY,
        "object-remove-masked",
        ("Remove an object in the mask", "移除遮罩内的物体"),
        _MASKED,
        [
            ("Remove what the mask covers in {image}.", "移除 {image} 中遮罩覆盖的内容。"),
            ("Empty the masked area of {image}.", "清空 {image} 的遮罩区域。"),
            (
                "Take the marked thing out of {image} and restore the background.",
                "去掉 {image} 中标记的物体，恢复背景。",
            ),
            ("In {image}, let nothing stand where the mask is.", "在 {image} 中，让遮罩处空无一物。"),
            ("Remove [object] in the mask of {image}.", "移除 {image} 遮罩内的[object]。"),
            ("Erase [object] inside the marked area of {image}.", "擦除 {image} 标记区域内的[object]。"),
            ("The mask on {image} covers [object]; take it away.", "{image} 上的遮罩覆盖了[object]；将其去掉。"),
        ],
        slots=(OBJECT,),
        mask="keep",
    ),
    task(
        FAMILY,
        "object-replace",
        ("Replace an object", "替换物体"),
        _PICTURE,
        [
            ("Replace [object] in {image} by [new].", "把 {image} 中的[object]替换为[new]。"),
            ("Turn [object] in {image} into [new].", "将 {image} 中的[object]变成[new]。"),
            ("In {image}, exchange [object] for [new].", "在 {image} 中，用[new]换掉[object]。"),
            ("Put [new] in the place of [object] in {image}.", "在 {image} 中把[new]放到[object]的位置。"),
            ("{image} with [new] instead of [object]", "以[new]代替[object]的 {image}"),
            (
                "Swap [object] of {image} with [new] and leave the rest alone.",
                "把 {image} 的[object]换成[new]，其余不动。",
            ),
        ],
        slots=(OBJECT, NEW_OBJECT),
    ),
    task(
        FAMILY,
        "object-replace-masked",
        ("Replace an object in the mask", "替换遮罩内的物体"),
        _MASKED,
        [
            ("Replace the masked thing in {image} by [new].", "把 {image} 中被遮罩的物体替换为[new]。"),
            ("Turn what the mask covers in {image} into [new].", "将 {image} 中遮罩覆盖的内容变成[new]。"),
            (
                "In the mask of {image}, put [new] in place of what is there.",
                "在 {image} 的遮罩内，放上[new]代替原物。",
            ),
            ("Replace [object] in the mask of {image} by [new].", "把 {image} 遮罩内的[object]替换为[new]。"),
            ("Turn [object] at the mask of {image} into [new].", "将 {image} 遮罩处的[object]变成[new]。"),
            ("Where the mask of {image} shows [object], draw [new].", "在 {image} 的遮罩显示[object]之处，画出[new]。"),
        ],
        slots=(OBJECT, NEW_OBJECT),
        mask="keep",
    ),
)
