"""The profiles of MagicBrush, Emu Edit and InstructPix2Pix: CLIP, DINO and distances of pixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image

from ..metrics.preprocessing import clip_pixels, dino_pixels, resized_like, squeezed_clip_pixels
from ..metrics.similarity import Undefined, Value, cosine, direction
from .profile import LONG_CAPTION, NO_CAPTION, NO_SOURCE, NO_TARGET, Metric, Profile, Sample, Tools

Against = Callable[[Sample], Image.Image | None]
Prepare = Callable[[Image.Image, int], torch.Tensor]


def _target(sample: Sample) -> Image.Image | None:
    return sample.target


def _source(sample: Sample) -> Image.Image | None:
    return sample.source


def pixel_distance(against: Against, power: int) -> Callable[[Sample, Tools], Value]:
    """Mean of |difference|^power, colours 0 … 1; the result is resized to the other picture by Pillow's bicubic."""

    def run(sample: Sample, _tools: Tools) -> Value:
        other = against(sample)
        if other is None:
            return NO_TARGET if against is _target else NO_SOURCE
        result = resized_like(sample.result, other)
        one, two = (np.asarray(image.convert("RGB"), dtype=np.float64) / 255 for image in (result, other))
        return float((np.abs(one - two) ** power).mean())

    return run


def clip_similarity(
    against: Against, prepare: Prepare, absent: Undefined = NO_SOURCE
) -> Callable[[Sample, Tools], Value]:
    """Cosine of the result's and another picture's CLIP vectors; ``absent`` where there is no other picture."""

    def run(sample: Sample, tools: Tools) -> Value:
        other = against(sample)
        if other is None:
            return absent
        one, two = (tools.clip.encode(prepare(image, tools.clip.size)) for image in (sample.result, other))
        return cosine(one, two)

    return run


def clip_caption(prepare: Prepare, *, cut: bool = False) -> Callable[[Sample, Tools], Value]:
    """Cosine of the result and the caption of what it shall show; ``cut``: long captions are cut, as some scripts do."""

    def run(sample: Sample, tools: Tools) -> Value:
        if not sample.target_caption:
            return NO_CAPTION
        words = tools.clip_words.encode_words(sample.target_caption, cut=cut)
        if words is None:
            return LONG_CAPTION
        return cosine(tools.clip.encode(prepare(sample.result, tools.clip.size)), words)

    return run


def clip_direction(prepare: Prepare, *, cut: bool = False) -> Callable[[Sample, Tools], Value]:
    """Whether the picture changes as its caption does; ``cut`` as in :func:`clip_caption`."""

    def run(sample: Sample, tools: Tools) -> Value:
        if sample.source is None:
            return NO_SOURCE
        if not sample.source_caption or not sample.target_caption:
            return NO_CAPTION
        words = [
            tools.clip_words.encode_words(text, cut=cut) for text in (sample.source_caption, sample.target_caption)
        ]
        if None in [None if word is None else True for word in words]:
            return LONG_CAPTION
        pictures = [tools.clip.encode(prepare(image, tools.clip.size)) for image in (sample.source, sample.result)]
        return direction(*pictures, *words)

    return run


def dino_similarity(against: Against) -> Callable[[Sample, Tools], Value]:
    """Cosine of the class tokens of DINO."""

    def run(sample: Sample, tools: Tools) -> Value:
        other = against(sample)
        if other is None:
            return NO_TARGET if against is _target else NO_SOURCE
        return cosine(*(tools.dino.encode(dino_pixels(image)) for image in (sample.result, other)))

    return run


_CROPPED = "CLIP: shorter side to 224 by Pillow's bicubic, centre crop; DINO: 256, centre crop of 224"
MAGICBRUSH = Profile(
    name="magicbrush",
    title="MagicBrush",
    encoders="CLIP ViT-B/32 and DINO ViT-S/16, 32-bit floats",
    preprocessing=f"{_CROPPED}; for distances the result is resized to the ground truth by Pillow's bicubic",
    reference="the ground truth, and for CLIP-T the caption of that very picture",
    aggregation="mean of the pictures' numbers",
    metrics=(
        Metric("l1", "L1", pixel_distance(_target, 1), higher_is_better=False),
        Metric("l2", "L2", pixel_distance(_target, 2), higher_is_better=False),
        Metric("clip_i", "CLIP-I", clip_similarity(_target, clip_pixels, NO_TARGET), ("clip",)),
        Metric("dino", "DINO", dino_similarity(_target), ("dino",)),
        Metric("clip_t", "CLIP-T", clip_caption(clip_pixels), ("clip_words",)),
    ),
)
EMU = Profile(
    name="emu",
    title="Emu Edit",
    encoders="CLIP ViT-B/32 and DINO ViT-S/16, 32-bit floats",
    preprocessing=f"{_CROPPED}; for L1 the result is resized to the input by Pillow's bicubic",
    reference="the picture before the edit, and the captions of both",
    aggregation="mean of the pictures' numbers; cases whose captions are the same have no direction and are left out",
    metrics=(
        Metric("clip_dir", "CLIPdir", clip_direction(clip_pixels), ("clip_words",)),
        Metric("clip_out", "CLIPout", clip_caption(clip_pixels), ("clip_words",)),
        Metric("l1", "L1", pixel_distance(_source, 1), higher_is_better=False),
        Metric("clip_img", "CLIPimg", clip_similarity(_source, clip_pixels), ("clip",)),
        Metric("dino", "DINO", dino_similarity(_source), ("dino",)),
    ),
)
IP2P = Profile(
    name="ip2p",
    title="InstructPix2Pix",
    encoders="CLIP ViT-L/14, 32-bit floats",
    preprocessing="squeezed into a square of 224 by torch's bicubic, neither cropped nor antialiased; long captions are cut",
    reference="the picture before the edit, and the captions of both",
    aggregation="mean of the pictures' numbers; cases whose captions are the same have no direction and are left out",
    metrics=(
        Metric("direction", "CLIP direction", clip_direction(squeezed_clip_pixels, cut=True), ("clip_words",)),
        Metric("image", "CLIP image", clip_similarity(_source, squeezed_clip_pixels), ("clip",)),
        Metric("caption", "CLIP caption", clip_caption(squeezed_clip_pixels, cut=True), ("clip_words",)),
    ),
)
