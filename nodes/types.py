"""Socket types of the pack, and what all its node schemas share."""

from __future__ import annotations

from dataclasses import fields

from comfy_api.latest import io

CATEGORY = "ACE Edit"

AceImage = io.Custom("ACE_IMAGE")  # ace.lcu.ConditionImage
AceUnit = io.Custom("ACE_UNIT")  # ace.lcu.ConditionUnit
AceContext = io.Custom("ACE_CONTEXT")  # ace.lcu.LongContext

AceFit = io.Custom("ACE_FIT")  # ace.preprocess.Fit, or None for a picture made from text alone
AcePlacement = io.Custom("ACE_PLACEMENT")  # ace.outpaint.Placement

AceDataset = io.Custom("ACE_DATASET")  # the folder of a dataset of training pairs, as text

_KNOWN = {field.name for field in fields(io.Schema)}


def schema(**arguments) -> io.Schema:
    """A schema in the pack's category; fields that an older ComfyUI does not know yet are left out."""
    category = "/".join(filter(None, (CATEGORY, arguments.pop("category", ""))))
    arguments = {name: value for name, value in arguments.items() if name in _KNOWN}
    return io.Schema(category=category, **arguments)
