"""Similarities by what a user writes."""

from __future__ import annotations

import re

from ..descriptors.registry import make_descriptor
from ..errors import MatchError
from .base import Similarity
from .described import DescribedSimilarity, FunctionSimilarity
from .regions import RegionSimilarity

HELP = (
    "keypoints (local structure, no download), style (built in), faces:DETECTOR.onnx,RECOGNISER.onnx, object:ENCODER "
    "(the same thing in another place), the path of an encoder, or a function of two pictures as file.py:function or "
    "module:function"
)
_FUNCTION = re.compile(r"(?:.+\.py|[A-Za-z_][\w.]+):[A-Za-z_]\w*\Z")  # a drive letter before the colon is none


def make_similarity(text: str, device: str = "cpu") -> Similarity:
    """The similarity that `text` names.

    Raises:
        MatchError: there is none of this name, or it cannot be loaded.
    """
    if text == "keypoints":
        from .keypoints import KeypointSimilarity

        return KeypointSimilarity()
    if text == "object" or text == "object:":
        raise MatchError("The similarity object needs an encoder: object:PATH, such as DINOv2's folder.")
    if text.startswith("object:"):
        return RegionSimilarity(make_descriptor(text.removeprefix("object:"), device))
    if not text.startswith("faces:") and _FUNCTION.match(text):
        return FunctionSimilarity(text)
    try:
        return DescribedSimilarity(make_descriptor(text, device))
    except MatchError as error:
        if "There is no descriptor" in str(error):
            raise MatchError(f"There is no similarity {text!r}. Give one of: {HELP}.") from None
        raise
