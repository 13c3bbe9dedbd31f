"""The choice of size that Encode and Sampler share."""

from __future__ import annotations

from comfy_api.latest import io

from ..ace.pictures.resolution import Resolution
from .host.choices import require_choice
from .host.model import require_ace

_AS_MODEL, _SMALL, _LARGE = "as the model", "512 px model", "1024 px model"
_MEGAPIXELS, _EXACT, _SOURCE = "megapixels", "exact size", "source size"
_PUBLISHED_TOKENS = {_SMALL: 1024, _LARGE: 4096}


def resolution_input(*more: io.DynamicCombo.Option) -> io.DynamicCombo.Input:
    """The widget for the size that the model works at, with further options at the end."""
    side = {"min": 16, "max": 8192, "step": 16}
    return io.DynamicCombo.Input(
        "resolution",
        options=[
            io.DynamicCombo.Option(_AS_MODEL, []),
            io.DynamicCombo.Option(_SMALL, []),
            io.DynamicCombo.Option(_LARGE, []),
            io.DynamicCombo.Option(
                _MEGAPIXELS,
                [
                    io.Float.Input(
                        "megapixels",
                        default=0.25,
                        min=0.01,
                        max=16.0,
                        step=0.01,
                        tooltip="Area of every picture in millions of pixels; its shape is kept. Small ones are enlarged.",
                    )
                ],
            ),
            io.DynamicCombo.Option(
                _EXACT,
                [
                    io.Int.Input("width", default=512, tooltip="Width of the result, a multiple of 16.", **side),
                    io.Int.Input("height", default=512, tooltip="Height of the result, a multiple of 16.", **side),
                ],
            ),
            io.DynamicCombo.Option(_SOURCE, []),
            *more,
        ],
        tooltip="Size the model works at. “as the model”: pictures are scaled down to the size it was trained at, never "
        "up. “exact size” also sets the size of pictures made from text alone. “source size”: every picture keeps its own "
        "pixels, less up to 15 a side; large ones need much time and memory, and the model was not trained at them.",
    )


def to_resolution(choice: dict | None, model) -> Resolution:
    """The widget's value -> Resolution.

    Args:
        choice: the value; None where the workflow asks for something that this version does not know.
        model: MODEL to ask for its trained size, or None.

    Raises:
        ValueError: no value, a side that is no multiple of 16, or a MODEL of another family.
    """
    kind = require_choice(choice, "resolution")["resolution"]
    if kind == _MEGAPIXELS:
        return Resolution.megapixels(choice["megapixels"])
    if kind == _EXACT:
        return Resolution.exact(choice["height"], choice["width"])
    if kind in _PUBLISHED_TOKENS:
        return Resolution.published(_PUBLISHED_TOKENS[kind])
    trained = trained_tokens(model) or _PUBLISHED_TOKENS[_SMALL]
    return Resolution.source(trained) if kind == _SOURCE else Resolution.published(trained)


def trained_tokens(model) -> int | None:
    """Tokens of the largest picture in the training of a MODEL; None without one."""
    return None if model is None else require_ace(model).ace_defaults.max_tokens


def token_budget(choice: dict, model) -> int | None:
    """Tokens that a picture should have at most: of the connected MODEL, else of the one that the widget names.

    Returns:
        None where neither says.
    """
    named = _SMALL if choice["resolution"] == _AS_MODEL else choice["resolution"]
    return trained_tokens(model) or _PUBLISHED_TOKENS.get(named)
