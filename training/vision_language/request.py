"""What a model is asked: words and labelled pictures in order, and the JSON that is wanted back."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from PIL import Image, ImageOps

MAX_SIDE = 1024  # pixels; two such pictures are 2000 to 2600 tokens for the Qwen family
_SMALLEST = 28  # pixels; patches of Qwen-VL's size must fit, or the server fails


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """A picture and the words that name it for the model, such as "Image 1 (before)"."""

    label: str
    picture: Image.Image

    def fitted(self, max_side: int = MAX_SIDE) -> Image.Image:
        """RGB on white, the longer side at most ``max_side``."""
        picture = self.picture
        if picture.mode != "RGB":
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
        if max(picture.size) > max_side:
            picture = ImageOps.contain(picture, (max_side, max_side), Image.Resampling.LANCZOS)
        if min(picture.size) < _SMALLEST:
            width, height = (max(_SMALLEST, side) for side in picture.size)
            picture = ImageOps.pad(picture, (width, height), color="white")
        return picture


@dataclass(frozen=True, eq=False)
class Request:
    """One question.

    Attributes:
        parts: words and pictures, in order; each picture's label is said just before it.
        system: who the model shall be, or empty.
        schema: JSON schema of the answer, an object; None for free text.
        max_tokens: of the answer, thinking included.
        temperature: 0 asks for the likeliest answer.
        seed: for servers that take one.
        max_side: pixels, the longer side of pictures as they are sent.
        image_format: "jpeg" or "png"; both are understood everywhere, which WebP is not.
    """

    parts: tuple[str | LabelledImage, ...]
    system: str = ""
    schema: Mapping[str, Any] | None = None
    max_tokens: int = 1024
    temperature: float = 0.0
    seed: int | None = None
    max_side: int = MAX_SIDE
    image_format: Literal["jpeg", "png"] = "jpeg"

    @property
    def images(self) -> tuple[LabelledImage, ...]:
        return tuple(part for part in self.parts if isinstance(part, LabelledImage))

    def again(self, seed: int, temperature: float) -> Request:
        """The same question for another draw of the answer."""
        return replace(self, seed=seed, temperature=temperature)

    def reminded(self, words: str) -> Request:
        """The question once more, after an answer that could not be read, with room for twice as many words."""
        return replace(self, parts=(*self.parts, words), max_tokens=2 * self.max_tokens)

    def digest(self) -> str:
        """SHA-256 of everything that decides the answer, except the model: what recorded answers are filed under.

        Pictures count by their pixels and not by their files' bytes, which differ between versions of libraries.
        """
        parts = [part if isinstance(part, str) else [part.label, _pixel_hash(part.picture)] for part in self.parts]
        question = {
            "system": self.system,
            "parts": parts,
            "schema": self.schema,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "max_side": self.max_side,
            "image_format": self.image_format,
        }
        return hashlib.sha256(json.dumps(question, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def encode_image(image: LabelledImage, request: Request) -> tuple[str, str]:
    """The picture as it is sent: media type ("image/jpeg") and base64."""
    buffer = io.BytesIO()
    fitted = image.fitted(request.max_side)
    if request.image_format == "png":
        fitted.save(buffer, "PNG")
    else:
        fitted.save(buffer, "JPEG", quality=92, subsampling=0)
    return f"image/{request.image_format}", base64.b64encode(buffer.getvalue()).decode()


def schema_in_words(schema: Mapping[str, Any]) -> str:
    """For the prompt: servers that enforce a schema still answer better when the model has read it."""
    return "Answer with one JSON object and nothing else. It follows this JSON schema:\n" + json.dumps(
        schema, ensure_ascii=False
    )


def _pixel_hash(picture: Image.Image) -> str:
    return hashlib.sha256(f"{picture.mode} {picture.size}".encode() + picture.tobytes()).hexdigest()
