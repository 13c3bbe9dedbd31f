"""ICE-Bench (Pan et al. 2025): what of its eleven metrics can be had without networks of its own.

Left out, because their networks are in no published format that is read here: aesthetics, MUSIQ, style, faces, subjects,
pose, depth. So tasks have no score of their own here, and what is shown are the metrics and the two dimensions that they
make up. Which metrics a task has is as in the published configuration; a kind of edit that it does not know is an edit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image

from ....ace.pictures.files.mask_reading import THRESHOLD
from ...judge.prompts import spoken
from ...vision_language.request import LabelledImage, Request
from ..metrics.perceptual import luma_ssim
from ..metrics.preprocessing import processor_clip_pixels, resized_like, unit_tensor
from ..metrics.similarity import Mean, Undefined, Value, mean_of
from .magicbrush import clip_caption, clip_similarity
from .profile import NO_SOURCE, UNCHANGED_REGION, Measured, Metric, Profile, Sample, Tools

UNREAD = Undefined("the model's answer could not be read")
NOT_ASKED = Undefined("no model was asked whether the edit was done")
NO_REFERENCE = Undefined("there is no reference")
TOO_SMALL = Undefined("the picture is smaller than SSIM's window of 11 pixels")
_QUESTION = (
    "Image 1 is the picture before an edit, Image 2 the picture after it.{further} The edit that was asked for: "
    "{instruction}\n"
    "Does the change from Image 1 to Image 2 do what was asked, and nothing else? Answer 1 for yes and 0 for no."
)
_MASK = " Image {number} is a mask: only where it is white may anything change."
_REFERENCE = " Image {number} is a reference that the words speak of."
_SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "integer", "enum": [0, 1]}},
    "required": ["answer"],
    "additionalProperties": False,
}
_DEBLUR, _COLORIZE = "Image Deblur", "Image Colorize"
_EDIT = frozenset({"clip_cap", "clip_src", "l1_raw", "vllmqa"})
_OF_TASKS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("Text2Image", "Pose-guided Generation", "Depth-guided Generation"), frozenset({"clip_cap"})),
    **dict.fromkeys(
        ("Face Reference Generation", "Subject Reference Generation", "Style Reference Generation"),
        frozenset({"clip_cap", "clip_ref"}),
    ),
    "Edge-guided Generation": frozenset({"clip_cap", "l1_canny"}),
    _DEBLUR: frozenset({"ssim"}),
    _COLORIZE: frozenset({"clip_cap", "l1_colorize", "colorfulness"}),
}
DIMENSIONS = ("prompt_following", "source_consistency")


def _source(sample: Sample) -> Image.Image | None:
    return sample.source


def _reference(sample: Sample) -> Image.Image | None:
    return next(iter(sample.references), None)


def outside_distance(sample: Sample, _tools: Tools) -> Value:
    """L1 to the source outside the mask (what may change is inside), colours 0 … 1; everywhere without a mask."""
    if sample.source is None:
        return NO_SOURCE
    result = resized_like(sample.result, sample.source)
    one, two = (np.asarray(image.convert("RGB"), dtype=np.float64) / 255 for image in (result, sample.source))
    if sample.mask is None:
        return float(np.abs(one - two).mean())
    outside = np.asarray(sample.mask.convert("L")) <= THRESHOLD
    if outside.shape != one.shape[:2]:
        return Undefined("the mask has another size than its picture")
    return float(np.abs(one - two)[outside].mean()) if outside.any() else UNCHANGED_REGION


def similarity_to_source(sample: Sample, _tools: Tools) -> Value:
    """SSIM to the source, of the brightness."""
    if sample.source is None:
        return NO_SOURCE
    if min(sample.source.size) < 11:
        return TOO_SMALL
    pictures = (resized_like(sample.result, sample.source), sample.source)
    return luma_ssim(*(unit_tensor(image)[None] for image in pictures))


def grey_similarity(sample: Sample, _tools: Tools) -> Value:
    """1 less the L1 of the grey pictures: a coloured picture keeps the drawing of the grey one."""
    if sample.source is None:
        return NO_SOURCE
    one, two = (
        np.asarray(image.convert("L"), dtype=np.float64)
        for image in (resized_like(sample.result, sample.source), sample.source)
    )
    return 1.0 - float(np.abs(one - two).mean()) / 255


def edge_similarity(sample: Sample, _tools: Tools) -> Value:
    """1 less the L1 of the result's edges by Canny (thresholds 100 and 200) and the source, which is a picture of edges."""
    if sample.source is None:
        return NO_SOURCE
    try:
        import cv2
    except ImportError:
        return Undefined("edges need the package opencv-python-headless")
    edges = cv2.Canny(np.asarray(resized_like(sample.result, sample.source)), 100, 200).astype(np.float64)
    return 1.0 - float(np.abs(edges - np.asarray(sample.source.convert("L"), dtype=np.float64)).mean()) / 255


def colourfulness(sample: Sample, _tools: Tools) -> float:
    """As the script has it, after Hasler and Süsstrunk (2003), of the absolute opponent colours from 0 to 1."""
    result = sample.result if sample.source is None else resized_like(sample.result, sample.source)
    red, green, blue = unit_tensor(result).double()
    opponents = torch.stack([(red - green).abs(), (0.5 * (red + green) - blue).abs()]).flatten(1)
    spread, middle = opponents.std(1, unbiased=False), opponents.mean(1)
    return float(spread.norm() + 0.3 * middle.norm())


def question_answered(sample: Sample, tools: Tools) -> Value:
    """1 where a vision-language model says that the edit was done and nothing else, else 0.

    The published numbers are of Qwen2.5-VL-72B and a question in Chinese; those of other models are not comparable.
    """
    if sample.source is None:
        return NO_SOURCE
    images = [LabelledImage("Image 1", sample.source), LabelledImage("Image 2", sample.result)]
    further = ""
    for picture, meaning in ((sample.mask, _MASK), (next(iter(sample.references), None), _REFERENCE)):
        if picture is not None:
            number = len(images) + 1
            images.append(LabelledImage(f"Image {number}", picture))
            further += meaning.format(number=number)
    # Of several references only the first is shown, as by the script.
    told = spoken(sample.instruction, len(sample.references), first=len(images))
    words = _QUESTION.format(further=further, instruction=told)
    value = tools.language_model.ask(Request((*images, words), schema=_SCHEMA)).json()
    answer = None if value is None else value.get("answer")
    return float(answer) if answer in (0, 1) and not isinstance(answer, bool) else UNREAD


def prompt_following(clip_cap: float, question: float | None) -> float:
    """2 · clip_cap, and where the question was asked its mean with the answer."""
    return 2 * clip_cap if question is None else (2 * clip_cap + question) / 2


def source_consistency(clip_src: float, l1_raw: float) -> float:
    """The mean of the similarity to the source and of what its pixels have kept, 0 … 1."""
    return (clip_src + 1 - l1_raw) / 2


def metrics_of(task: str) -> frozenset[str]:
    """Keys of the metrics that a task has, of those that can be had here."""
    return _OF_TASKS.get(task, _EDIT)


def means_by_task(profile: Profile, measured: Sequence[Measured]) -> dict[str, Mean]:
    """Means in each task, then over the tasks, as the script has it; then the dimensions that can be formed."""
    groups: dict[str, list[Measured]] = {}
    for one in measured:
        groups.setdefault(one.task, []).append(one)
    by_task = {
        task: {
            key.key: mean_of(one.values[key.key] for one in group if key.key in one.values) for key in profile.metrics
        }
        for task, group in sorted(groups.items())
    }
    means = {metric.key: _over_tasks([task[metric.key] for task in by_task.values()]) for metric in profile.metrics}
    followed = [value for task, found in by_task.items() if (value := _followed(task, found)) is not None]
    kept = [
        source_consistency(task["clip_src"].value, task["l1_raw"].value)
        for task in by_task.values()
        if task["clip_src"].count and task["l1_raw"].count
    ]
    means |= {name: mean_of(values) for name, values in zip(DIMENSIONS, (followed, kept), strict=True)}
    return {key: mean for key, mean in means.items() if mean.count or mean.skipped}


def _followed(task: str, means: Mapping[str, Mean]) -> Value | None:
    """Prompt following of a task; None where it has none without MUSIQ, which is that of deblurring."""
    caption = means["clip_cap"].value
    if task == _DEBLUR or caption is None:
        return None
    if task == _COLORIZE:
        return 1.5 * caption + 0.25 * means["colorfulness"].value
    question = means["vllmqa"].value
    return NOT_ASKED if question is None and "vllmqa" in metrics_of(task) else prompt_following(caption, question)


def _over_tasks(means: Sequence[Mean]) -> Mean:
    values = [mean.value for mean in means if mean.value is not None]
    skipped: dict[str, int] = {}
    for mean in means:
        for reason, count in mean.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + count
    value = sum(values) / len(values) if values else None
    return Mean(value, sum(mean.count for mean in means), skipped)


ICEBENCH = Profile(
    name="icebench",
    title="ICE-Bench",
    encoders="CLIP ViT-L/14 at 336 pixels, 32-bit floats; its question by whatever vision-language model is given",
    preprocessing="CLIP: shorter side to 336 by Pillow's bicubic, centre crop, long captions cut; the result is resized to "
    "the source",
    reference="the picture before the edit, the first reference, and the caption of what the result shall show",
    aggregation="of each task the metrics that it has; mean in each task, then over the tasks",
    metrics=(
        Metric("clip_cap", "CLIP caption", clip_caption(processor_clip_pixels, cut=True), ("clip_words",)),
        Metric("clip_src", "CLIP source", clip_similarity(_source, processor_clip_pixels), ("clip",)),
        Metric(
            "clip_ref", "CLIP reference", clip_similarity(_reference, processor_clip_pixels, NO_REFERENCE), ("clip",)
        ),
        Metric("l1_raw", "L1 outside", outside_distance, higher_is_better=False),
        Metric("vllmqa", "question", question_answered, ("language_model",)),
        Metric("ssim", "SSIM", similarity_to_source),
        Metric("l1_canny", "edges kept", edge_similarity),
        Metric("l1_colorize", "grey kept", grey_similarity),
        Metric("colorfulness", "colourfulness", colourfulness),
    ),
    summarise=means_by_task,
    choose=metrics_of,
)
