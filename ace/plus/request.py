"""What a condition unit asks of ACE++: a picture to edit or a size, at most one reference, and words."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..lcu.units import ConditionImage, ConditionUnit, LongContext
from ..notices import Notify, silent


@dataclass(frozen=True, eq=False)
class Request:
    """What is to be made.

    Attributes:
        instruction: with the indicators as the artist wrote them, normalized.
        source: (B, H, W, C), the picture to edit; None for a new one.
        mask: (B or 1, H, W), where the source may change; None means everywhere.
        reference: (B, h, w, C), or None.
        size: (height, width) of a new picture; not looked at where there is a source.
        source_indicator: its word, or "".
        reference_indicator: its word, or "".
    """

    instruction: str
    source: torch.Tensor | None
    mask: torch.Tensor | None
    reference: torch.Tensor | None
    size: tuple[int, int] = (1024, 1024)
    source_indicator: str = ""
    reference_indicator: str = ""


def read_request(context: LongContext, new_size: tuple[int, int] | None = None, notify: Notify = silent) -> Request:
    """What a context asks for.

    Args:
        context: one unit. The picture it edits is the source, the other one the reference.
        new_size: (height, width) of a new picture, for which the unit's only picture is the reference; None edits.
        notify: told about masks that ACE++ has no place for.

    Raises:
        ValueError: earlier rounds, more pictures than ACE++ takes, or none to edit.
    """
    if context.history:
        raise ValueError(
            f"the context has {len(context.history)} earlier round(s), and ACE++ was not trained with any: connect the "
            "Condition Unit itself, with the result of the last round as its picture"
        )
    unit = context.unit
    source = None if new_size else _edited(unit)
    references = [image for image in unit.images if image is not source]
    _check_number(unit, references, source)
    reference = references[0] if references else None
    if reference is not None and reference.mask is not None and reference.mask.any():
        notify(f"the mask of {reference.indicator} is not used: ACE++ is shown a reference as a whole")
    return Request(
        unit.instruction,
        None if source is None else source.image,
        None if source is None else source.mask,
        None if reference is None else reference.image,
        new_size or (0, 0),
        "" if source is None else source.indicator,
        "" if reference is None else reference.indicator,
    )


def _edited(unit: ConditionUnit) -> ConditionImage:
    if not unit.images:
        raise ValueError(
            "the unit has no picture to edit: connect one to the Condition Unit, or choose the task “new picture”"
        )
    return next(image for image in unit.images if unit.target in (None, image.indicator))


def _check_number(unit: ConditionUnit, references: list[ConditionImage], source: ConditionImage | None) -> None:
    if len(references) <= 1:
        return
    words = ", ".join(image.indicator for image in references)
    if source is None:
        raise ValueError(
            f"a new picture is made after one reference at most, but the unit has {words}: disconnect all but one"
        )
    raise ValueError(
        f"ACE++ takes one reference beside the picture to edit, {source.indicator}, but the unit has {words}: disconnect "
        "all but one, or choose ACE, which takes up to ten pictures"
    )
