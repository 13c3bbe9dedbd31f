"""How often a picture made from words shows what they say, read off by a program; and how good that program is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ....ace.lcu.units import ConditionUnit, LongContext
from ....ace.pictures.resolution import Resolution
from ....ace.pipeline import ACEPipeline
from ..world.landscapes import Landscape, draw_landscape
from ..world.scenes import Scene, draw_scene
from .reading import agrees, read_landscape, read_scene
from .scores import Sampling

_SEED = 17
_SIDE = 128


@dataclass(frozen=True)
class Prompt:
    """A sentence, what it means, and one picture of it, drawn: (H, W, 3) bytes."""

    sentence: str
    meaning: Scene | Landscape
    drawing: np.ndarray


def scene_prompts(count: int) -> list[Prompt]:
    """Shapes on plain backgrounds, of combinations that training never sees."""
    rng = np.random.default_rng(_SEED)
    return [_prompt(rng, draw_scene(rng, held_out=True)) for _ in range(count)]


def landscape_prompts(count: int) -> list[Prompt]:
    """Landscapes whose sentences say all of it."""
    rng = np.random.default_rng(_SEED + 1)
    prompts = (_prompt(rng, draw_landscape(rng)) for _ in range(2 * count))
    return [prompt for prompt in prompts if "landscape" not in prompt.sentence or prompt.meaning.items][:count]


def _prompt(rng: np.random.Generator, meaning: Scene | Landscape) -> Prompt:
    return Prompt(meaning.describe(rng), meaning, np.asarray(meaning.paint(rng, _SIDE, _SIDE)))


def paint(pipeline: ACEPipeline, prompt: Prompt, sampling: Sampling, seed: int) -> np.ndarray:
    """The model's picture, (H, W, 3) bytes."""
    result = pipeline(
        LongContext(ConditionUnit(prompt.sentence)),
        seed=seed,
        resolution=Resolution.exact(_SIDE, _SIDE),
        steps=sampling.steps,
        guidance_scale=sampling.guidance_scale,
        guidance_rescale=sampling.guidance_rescale,
    )
    return to_bytes(result.images[0])


def through_vae(pipeline: ACEPipeline, prompt: Prompt) -> np.ndarray:
    """The drawing after the VAE's round trip."""
    image = torch.from_numpy(prompt.drawing.copy())[None].float() / 255
    return to_bytes(pipeline.vae.decode(pipeline.vae.encode(image))[0])


def to_bytes(picture: torch.Tensor) -> np.ndarray:
    """(H, W, 3), 0 … 1, as uint8."""
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def read(picture: np.ndarray, meaning: Scene | Landscape) -> Mapping[str, bool]:
    """What of the words is on the picture."""
    return agrees(read_scene(picture), meaning) if isinstance(meaning, Scene) else read_landscape(picture, meaning)


def shares(readings: list[Mapping[str, bool]]) -> dict[str, float]:
    """Share of the pictures on which everything agrees ("all"), and of those that have it, on which each thing does."""
    right, asked = Counter(), Counter()
    for reading in readings:
        for name, value in {"all": all(reading.values()), **reading}.items():
            right[name] += value
            asked[name] += 1
    return {name: right[name] / asked[name] for name in asked}
