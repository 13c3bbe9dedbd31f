"""Socket types of the pack, and what all its node schemas share."""

from __future__ import annotations

from dataclasses import fields

import comfyui_version
from comfy_api.latest import io

CATEGORY = "ACE Edit"
# Front ends of ComfyUI 0.8 draw no growing socket at all for a minimum of 0, and its server does not enforce a minimum;
# later front ends draw one, and later servers enforce it.
MIN_SOCKETS = 1 if comfyui_version.__version__.startswith("0.8.") else 0

AceImage = io.Custom("ACE_IMAGE")  # ace.lcu.units.ConditionImage
AceUnit = io.Custom("ACE_UNIT")  # ace.lcu.units.ConditionUnit
AceContext = io.Custom("ACE_CONTEXT")  # ace.lcu.units.LongContext

AceFit = io.Custom("ACE_FIT")  # ace.pictures.fit.Fit, or None for a picture made from text alone
AcePlacement = io.Custom("ACE_PLACEMENT")  # ace.pictures.outpaint.Placement

AceDataset = io.Custom("ACE_DATASET")  # the folder of a dataset of training pairs, as text

# For an input's extra_dict: front ends fold away what is advanced; the oldest host knows no argument for it.
ADVANCED = {"advanced": True}

_KNOWN = {field.name for field in fields(io.Schema)}


def schema(**arguments) -> io.Schema:
    """A schema in the pack's category; fields that an older ComfyUI does not know yet are left out."""
    category = "/".join(filter(None, (CATEGORY, arguments.pop("category", ""))))
    arguments = {name: value for name, value in arguments.items() if name in _KNOWN}
    return io.Schema(category=category, **arguments)
