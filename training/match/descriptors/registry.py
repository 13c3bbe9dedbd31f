"""Descriptors by what a user writes: a name, or a path."""

from __future__ import annotations

from pathlib import Path

from ..errors import MatchError
from .base import Descriptor
from .layout import LayoutDescriptor
from .style import StyleDescriptor

_BUILT_IN = {"layout": LayoutDescriptor, "style": StyleDescriptor}
HELP = (
    "layout (built in: the same scene, no download), style (built in: palette and texture), the path of a vision "
    "encoder (a file of models/clip_vision or a folder with config.json: SigLIP, CLIP, DINOv2, CSD …), or "
    "faces:DETECTOR.onnx,RECOGNISER.onnx"
)


def make_descriptor(text: str, device: str = "cpu") -> Descriptor:
    """The descriptor that `text` names.

    Raises:
        MatchError: there is none of this name, or it cannot be loaded.
    """
    if text in _BUILT_IN:
        return _BUILT_IN[text]()
    if text.startswith("faces:"):
        from .faces import FaceDescriptor

        files = text.removeprefix("faces:").split(",")
        if len(files) != 2:
            raise MatchError(f"Faces are given as faces:DETECTOR.onnx,RECOGNISER.onnx; got {text!r}.")
        return FaceDescriptor(*files)
    if not Path(text).exists():
        raise MatchError(f"There is no descriptor {text!r}. Give one of: {HELP}.")
    from .encoded import EncodedDescriptor

    return EncodedDescriptor(text, device)
