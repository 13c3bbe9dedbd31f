"""A vision-language model that ComfyUI itself has loaded, as a backend for judges: what its node Generate Text runs."""

from __future__ import annotations

import contextvars
import json
import time

import numpy as np
import torch
from PIL import Image, ImageOps

from ...training.vision_language.answer import Answer
from ...training.vision_language.errors import ModelError
from ...training.vision_language.request import Request, schema_in_words


class HostTextModel:
    """Asks a CLIP that can write, such as Qwen3-VL, Qwen3.5 or Gemma. One question at a time.

    Args:
        clip: as a loader hands it out.

    Attributes:
        model: the text encoder's name in ComfyUI, such as "qwen3vl_8b".
        address: None, since no picture leaves this program.
        parallel: 1.

    Raises:
        ModelError: this ComfyUI, or this text encoder, cannot write text.
    """

    address = None
    parallel = 1

    def __init__(self, clip) -> None:
        if not callable(getattr(clip, "generate", None)):
            raise ModelError(
                "this ComfyUI has no text generation, so the model in clip cannot be asked: update ComfyUI, or type the "
                "address of a server instead"
            )
        encoder = clip.cond_stage_model
        if not hasattr(encoder, "generate"):
            raise ModelError(
                f"{type(encoder).__name__} in clip only reads text and writes none: load a model that sees pictures and "
                "answers, such as Qwen3-VL"
            )
        self.model = str(getattr(encoder, "clip_name", type(encoder).__name__))
        self._clip = clip
        self._context = contextvars.copy_context()  # progress and interruption belong to the node that runs

    def ask(self, request: Request) -> Answer:
        """Asks; the likeliest answer at temperature 0, else a drawn one. Raises ModelError."""
        return self._context.run(self._ask, request)

    def _ask(self, request: Request) -> Answer:
        started = time.monotonic()
        try:
            with torch.inference_mode():
                tokens = self._clip.tokenize(
                    _words(request), image=_batch(request), skip_template=False, min_length=1, thinking=False
                )
                written = self._clip.generate(
                    tokens,
                    do_sample=request.temperature > 0,
                    max_length=request.max_tokens,
                    temperature=max(request.temperature, 0.01),
                    seed=request.seed or 0,
                )
                text = self._clip.decode(written)
        except (NotImplementedError, TypeError, AttributeError) as error:
            raise ModelError(f"{self.model} cannot be asked about pictures in this ComfyUI: {error}") from error
        cut = len(written) >= request.max_tokens
        return Answer(
            text, finish_reason="length" if cut else "stop", seconds=time.monotonic() - started, model=self.model
        )


def _words(request: Request) -> str:
    """One text: pictures stand before all words here, so their labels are said in their order."""
    labels = [f"The {_ordinal(k)} picture is {json.dumps(image.label)}." for k, image in enumerate(request.images)]
    words = [part for part in request.parts if isinstance(part, str)]
    schema = [] if request.schema is None else [schema_in_words(request.schema)]
    return "\n\n".join(filter(None, [request.system, "\n".join(labels), *words, *schema]))


def _ordinal(number: int) -> str:
    names = ("first", "second", "third")
    return names[number] if number < len(names) else f"{number + 1}th"


def _batch(request: Request) -> torch.Tensor | None:
    """(N, H, W, 3), 0 … 1; pictures of another size are fitted onto white, since a batch has one size."""
    pictures = [image.fitted(request.max_side) for image in request.images]
    if not pictures:
        return None
    size = tuple(max(picture.size[side] for picture in pictures) for side in (0, 1))
    same = [picture if picture.size == size else ImageOps.pad(picture, size, color="white") for picture in pictures]
    return torch.stack([_pixels(picture) for picture in same])


def _pixels(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture)).float() / 255.0
