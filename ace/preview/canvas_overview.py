"""The canvas of ACE++ in words and pictures, before any model is loaded."""

from __future__ import annotations

from ..lcu.units import LongContext
from ..notices import Notify, silent
from ..plus.canvas import PlusCanvas, PlusSettings, make_canvas
from ..plus.request import Request, read_request
from .overview import Card, Overview, Round


def canvas_overview(
    context: LongContext,
    settings: PlusSettings,
    new_size: tuple[int, int] | None = None,
    notify: Notify = silent,
) -> Overview:
    """What ACE++ will be given.

    Args:
        context: one unit.
        settings: how the pictures come onto the canvas.
        new_size: (height, width) of a new picture; None edits.
        notify: told every warning as well.

    Raises:
        ValueError: see :func:`ace.plus.request.read_request`.
    """
    warnings: list[str] = []

    def warn(message: str) -> None:
        warnings.append(message)
        notify(message)

    request = read_request(context, new_size, warn)
    canvas = make_canvas(request, settings, warn)
    if not request.instruction.strip():
        warn("the unit has no instruction: the model is told nothing about what to do")
    return Overview(
        (Round("This round", request.instruction, (_card(request, canvas),)),),
        None,
        tuple(warnings),
        "What ACE++ sees",
    )


def _card(request: Request, canvas: PlusCanvas) -> Card:
    batch, height, width = canvas.mask.shape
    fit = canvas.fit
    picture = request.source_indicator or f"a new {fit.source_width}×{fit.source_height}"
    if request.reference is not None:
        origin = f"{request.reference_indicator} left of {picture}"
    else:
        origin = f"from {fit.source_width}×{fit.source_height}" if request.source is not None else picture
    return Card("", "", canvas.image[0], canvas.mask[0], height, width, origin, batch=batch, title="canvas")
