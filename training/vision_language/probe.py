"""Proves, before anything is judged, that a model gets both pictures, and in order."""

from __future__ import annotations

from PIL import Image

from .backend import Backend
from .errors import ProbeFailed
from .request import LabelledImage, Request

_SIDE = 256  # pixels
_SWATCHES = {"red": (210, 30, 30), "blue": (30, 60, 210), "green": (30, 160, 60), "yellow": (240, 215, 40)}
_ROUNDS = (("red", "blue"), ("yellow", "green"), ("blue", "red"))
_SCHEMA = {
    "type": "object",
    "properties": {
        "first": {"type": "string", "enum": list(_SWATCHES)},
        "second": {"type": "string", "enum": list(_SWATCHES)},
    },
    "required": ["first", "second"],
    "additionalProperties": False,
}


def probe_requests() -> list[tuple[tuple[str, str], Request]]:
    """The questions, each with the colours that are right. Guessing them all has a chance of one in 1,728."""
    return [((first, second), _question(first, second)) for first, second in _ROUNDS]


def probe(backend: Backend) -> None:
    """Shows two swatches, three times.

    Raises:
        ProbeFailed: the model names other colours; the message says which mistake it looks like.
        ModelError: there is no answer.
    """
    for colours, request in probe_requests():
        answer = backend.ask(request)
        value = answer.json()
        said = None if value is None else tuple(str(value.get(key, "")).strip().lower() for key in ("first", "second"))
        if said != colours:
            raise ProbeFailed(
                f"{backend.model} was shown a {colours[0]} and then a {colours[1]} square and {_mistake(said, colours)}. "
                "Load a model that sees several pictures, with a context of 8192 tokens or more"
                + (" (the answer was cut off: it may think too long)" if answer.truncated else "")
            )


def _question(first: str, second: str) -> Request:
    return Request(
        parts=(
            LabelledImage("Image 1", Image.new("RGB", (_SIDE, _SIDE), _SWATCHES[first])),
            LabelledImage("Image 2", Image.new("RGB", (_SIDE, _SIDE), _SWATCHES[second])),
            f"Each of the two images is one plain colour out of {', '.join(_SWATCHES)}. "
            'Name the colour of image 1 as "first" and of image 2 as "second".',
        ),
        schema=_SCHEMA,
        max_tokens=2048,
        image_format="png",
    )


def _mistake(said: tuple[str, ...] | None, colours: tuple[str, str]) -> str:
    if said is None:
        return "gave no answer that can be read"
    if said == colours[::-1]:
        return "named them in the wrong order"
    if said[0] == said[1]:
        return f"saw only one of them ({said[0]} twice)"
    return f"named {said[0] or 'nothing'} and {said[1] or 'nothing'}: it probably does not see them at all"
