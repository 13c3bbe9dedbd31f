"""Element editing of text: write, erase and replace words in a picture, anywhere or inside a mask."""

from __future__ import annotations

from .slots import DRAWN_TEXT, NEW_TEXT, OLD_TEXT, PLACE, TEXT_STYLE
from .template import task

FAMILY = "element"

_PICTURE = ("Connect the picture to {image}.", "将图像接到 {image}。")
_MASKED = (
    "Connect the picture to {image} with a mask where the text stands or shall stand; keep the masked pixels.",
    "将图像接到 {image}，遮罩覆盖文字所在或应在之处；保留遮罩内的像素。",
)

TEMPLATES = (
    task(
        FAMILY,
        "text-add",
        ("Add text", "添加文字"),
        _PICTURE,
        [
            ('Write "[text]" on {image}.', "在 {image} 上写“[text]”。"),
            ('Add the text "[text]" to {image}.', "给 {image} 添加文字“[text]”。"),
            ('Let the words "[text]" appear in {image}.', "让文字“[text]”出现在 {image} 中。"),
            ('Write "[text]" in {image}, [place].', "在 {image} 中写“[text]”，位置：[place]。"),
            ('Add the text "[text]" [place] of {image}.', "在 {image} 的[place]添加文字“[text]”。"),
            ('In {image}, put the word "[text]" [place].', "在 {image} 中，把“[text]”放在[place]。"),
            ('Write "[text]" on {image} as [look] letters.', "以[look]字样在 {image} 上写“[text]”。"),
            ('Add "[text]" to {image}, lettered in [look].', "给 {image} 添加“[text]”，字样为[look]。"),
            ('{image} shall carry the [look] text "[text]".', "{image} 应带有[look]文字“[text]”。"),
            (
                'Write "[text]" in {image}, [place], in [look].',
                "在 {image} 中写“[text]”，位置：[place]，字样：[look]。",
            ),
            (
                'In {image}, [place], add "[text]" as [look] letters.',
                "在 {image} 的[place]，以[look]字样添加“[text]”。",
            ),
        ],
        slots=(DRAWN_TEXT, PLACE, TEXT_STYLE),
    ),
    task(
        FAMILY,
        "text-add-masked",
        ("Add text in the mask", "在遮罩内添加文字"),
        _MASKED,
        [
            ('Write "[text]" in the mask of {image}.', "在 {image} 的遮罩内写“[text]”。"),
            ('Put "[text]" where the mask marks {image}.', "把“[text]”放在 {image} 的遮罩标记之处。"),
            ('The masked area of {image} shall read "[text]".', "{image} 的遮罩区域应写着“[text]”。"),
            ('Letter the region marked in {image} with "[text]".', "在 {image} 标记的区域写上“[text]”。"),
            ('In {image}, fill the mask with the word "[text]".', "在 {image} 中，用“[text]”一词填满遮罩。"),
            (
                'Write "[text]" as [look] letters in the mask of {image}.',
                "以[look]字样在 {image} 的遮罩内写“[text]”。",
            ),
            (
                'Add the [look] text "[text]" at the mask of {image}.',
                "在 {image} 的遮罩处添加[look]文字“[text]”。",
            ),
            ('Where {image} is masked, place "[text]" in [look].', "在 {image} 被遮罩之处放上“[text]”，字样为[look]。"),
        ],
        slots=(DRAWN_TEXT, TEXT_STYLE),
        mask="keep",
    ),
    task(
        FAMILY,
        "text-remove",
        ("Remove text", "移除文字"),
        _PICTURE,
        [
            ("Remove all text from {image}.", "移除 {image} 中的所有文字。"),
            ("Erase every letter in {image}.", "擦除 {image} 中的每个字。"),
            ("Clear {image} of writing and keep the rest.", "清除 {image} 的文字，保留其余。"),
            ("{image} without any words on it", "没有任何文字的 {image}"),
            ('Remove the text "[text]" from {image}.', "从 {image} 中移除文字“[text]”。"),
            ('In {image}, erase the words "[text]".', "在 {image} 中，擦除“[text]”字样。"),
            ('Wipe "[text]" out of {image} and fill the gap.', "把“[text]”从 {image} 中抹去并补全空缺。"),
        ],
        slots=(OLD_TEXT,),
    ),
    task(
        FAMILY,
        "text-remove-masked",
        ("Remove text in the mask", "移除遮罩内的文字"),
        _MASKED,
        [
            ("Remove the text in the mask of {image}.", "移除 {image} 遮罩内的文字。"),
            ("Erase the writing inside the marked area of {image}.", "擦除 {image} 标记区域内的文字。"),
            ("No letters shall remain where {image} is masked.", "在 {image} 被遮罩之处不应留有文字。"),
            ("Clean the masked part of {image} of words.", "清理 {image} 遮罩部分的字样。"),
            ("In {image}, delete the text that the mask covers.", "在 {image} 中，删除遮罩覆盖的文字。"),
            ("Take away the lettering under the mask on {image}.", "去掉 {image} 遮罩之下的字。"),
        ],
        mask="keep",
    ),
    task(
        FAMILY,
        "text-replace",
        ("Replace text", "替换文字"),
        (
            "Connect the picture to {image}. If the model keeps the old letters, remove them first, then add the new.",
            "将图像接到 {image}。若旧文字残留，请先移除再添加。",
        ),
        [
            ('Change the text in {image} to "[new]".', "将 {image} 中的文字改为“[new]”。"),
            ('Let the writing in {image} say "[new]".', "让 {image} 中的文字变成“[new]”。"),
            ('Rewrite the words of {image} as "[new]".', "把 {image} 的字样改写为“[new]”。"),
            ('Replace the text "[text]" in {image} by "[new]".', "把 {image} 中的文字“[text]”换成“[new]”。"),
            ('In {image}, turn the words "[text]" into "[new]".', "在 {image} 中，将“[text]”变为“[new]”。"),
            ('Where {image} says "[text]", write "[new]".', "在 {image} 写着“[text]”之处，写上“[new]”。"),
        ],
        slots=(OLD_TEXT, NEW_TEXT),
    ),
    task(
        FAMILY,
        "text-replace-masked",
        ("Replace text in the mask", "替换遮罩内的文字"),
        _MASKED,
        [
            ('Change the text in the mask of {image} to "[new]".', "将 {image} 遮罩内的文字改为“[new]”。"),
            ('Replace what is written under the mask of {image} by "[new]".', "把 {image} 遮罩下的文字换成“[new]”。"),
            ('The marked words of {image} shall read "[new]".', "{image} 中标记的文字应为“[new]”。"),
            ('In {image}, overwrite the masked letters with "[new]".', "在 {image} 中，用“[new]”覆盖遮罩内的字。"),
            ('Erase the text at the mask of {image} and write "[new]".', "擦除 {image} 遮罩处的文字，写上“[new]”。"),
            ('Let the masked lettering of {image} say "[new]".', "让 {image} 遮罩内的字样变为“[new]”。"),
        ],
        slots=(NEW_TEXT,),
        mask="keep",
    ),
)
