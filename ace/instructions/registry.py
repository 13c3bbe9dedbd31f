"""Which subtasks there are, and what a form needs to know about each."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from ..lcu.indicators import INDICATORS
from . import analysis, control, faces, generation, layers, objects, references, repainting, restoration, text_editing
from . import semantic as whole_pictures
from .template import Template, Text, check_language

_FAMILIES = {
    "generation": Text("Text-guided generation", "文本引导生成"),
    "analysis": Text("Low-level visual analysis", "低层视觉分析"),
    "control": Text("Controllable generation", "可控生成"),
    "semantic": Text("Semantic editing", "语义编辑"),
    "element": Text("Element editing", "元素编辑"),
    "repainting": Text("Repainting", "重绘"),
    "layer": Text("Layer editing", "图层编辑"),
    "reference": Text("Reference generation", "参考生成"),
}

_TEMPLATES = {
    template.id: template
    for module in (
        generation,
        analysis,
        control,
        restoration,
        faces,
        whole_pictures,
        text_editing,
        objects,
        repainting,
        layers,
        references,
    )
    for template in module.TEMPLATES
}

LANGUAGE_NOTE = Text(
    "The published models read English only: their text encoder (T5 v1.1) was trained on English, and its tokenizer "
    "turns every Chinese character into the same unknown token. Chinese phrasings are for you to read; send the "
    "English ones to the model, and write slots in English too.",
    "已发布的模型只懂英文：其文本编码器（T5 v1.1）用英文训练，分词器会把每个汉字都变成同一个未知标记。"
    "中文措辞供您阅读；送入模型的请用英文，各项填写内容也请用英文。",
)

_MASK_HELP = {
    None: Text("not needed", "不需要"),
    "blank": Text(
        'needed; blank the masked pixels (Inpaint way "blank")', "需要；清空遮罩内的像素（Inpaint 方式选 blank）"
    ),
    "keep": Text(
        'needed; keep the masked pixels (Inpaint way "keep")', "需要；保留遮罩内的像素（Inpaint 方式选 keep）"
    ),
}


_LABELS = {
    "en": ("Images:", "Mask:", "Slots:", "none", "required", "may stay empty", "For example:"),
    "zh": ("图像：", "遮罩：", "填写项：", "无", "必填", "可留空", "例如："),
}


@dataclass(frozen=True)
class SlotHelp:
    """What a form shows for one slot, in one language.

    Attributes:
        name: of the slot.
        description: what to write there.
        default: what the field is filled with at first.
        example: words that fit.
        required: whether there is no instruction without it.
    """

    name: str
    description: str
    default: str
    example: str
    required: bool


def families(language: str = "en") -> dict[str, str]:
    """Family slug -> name, in the order of the paper."""
    return {family: title[language] for family, title in _FAMILIES.items()}


def subtasks(family: str | None = None, language: str = "en") -> dict[str, str]:
    """Subtask id -> name, of one family or of all.

    Raises:
        ValueError: there is no such family or language; the message lists what there is.
    """
    check_language(language)
    if family is not None and family not in _FAMILIES:
        raise ValueError(f"no task family {family!r}; choose one of {', '.join(_FAMILIES)}")
    return {
        template.id: template.title[language]
        for template in _TEMPLATES.values()
        if family is None or template.family == family
    }


def get_template(subtask_id: str) -> Template:
    """The template of a subtask.

    Raises:
        ValueError: there is no such subtask; the message lists what there is.
    """
    if subtask_id in _TEMPLATES:
        return _TEMPLATES[subtask_id]
    near = get_close_matches(str(subtask_id), _TEMPLATES, n=1)
    guess = f" did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"no subtask {subtask_id!r};{guess} There are: {', '.join(_TEMPLATES)}")


def slot_help(subtask_id: str, language: str = "en") -> tuple[SlotHelp, ...]:
    """The slots of a subtask as a form shows them."""
    template = get_template(subtask_id)
    return tuple(
        SlotHelp(
            name=slot.name,
            description=slot.description[language],
            default=slot.default[language],
            example=slot.example[language],
            required=slot.name in template.required,
        )
        for slot in template.slots
    )


def connect_help(subtask_id: str, language: str = "en") -> str:
    """One line on what to connect for a subtask and where it comes from."""
    return get_template(subtask_id).connect[language]


def describe(subtask_id: str, language: str = "en") -> str:
    """The whole help of a subtask: name, what to connect, images, mask, slots, and the note on languages."""
    template = get_template(subtask_id)
    images, mask, slots, none, required, optional, example = _LABELS[language]
    count, words = str(template.images), " ".join(INDICATORS[: template.images])
    if template.max_images > template.images:
        count, words = f"{count}–{template.max_images}", f"{words} …"
    lines = [
        f"{template.title[language]} · {_FAMILIES[template.family][language]}",
        template.connect[language],
        f"{images} {count} {words}".rstrip(),
        f"{mask} {_MASK_HELP[template.mask][language]}",
        slots if template.slots else f"{slots} {none}",
    ]
    for slot in slot_help(subtask_id, language):
        need = required if slot.required else optional
        lines.append(f"- [{slot.name}] · {need} · {slot.description} {example} {slot.example}")
    return "\n".join((*lines, LANGUAGE_NOTE[language]))
