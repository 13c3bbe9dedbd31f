"""The ACE model and everything needed to run it without a host.

What most programs need is here by name and is imported when it is first used: `import comfyui_ace.ace` itself loads no torch.

    pipeline = ACEPipeline.load(find_bundle(FOLDER))
    unit = ConditionUnit("{image} make it snow", [ConditionImage(load_picture("photo.jpg"))])
    save_picture(pipeline(LongContext(unit), seed=1).images[0], "snow.png")

lcu            what the artist means: units, indicators, rounds
pictures       everything done to pixels and masks
instructions   the paper's tasks, and sentences that ask for them
preview        what the model will see, drawn
plus           ACE++: the same unit as channels of FLUX Fill
text, vae      words and pictures -> tensors
encode         a long context -> a `Conditioning`
model          the network and its sampler
weights        files with weights
detail         what the VAE took of a picture, given back to its edit
bundles        whole models in a folder
pipeline       all of it: a long context in, pictures out
files          atomic writes, checksums
text_files     text in any encoding
devices        where a model can run, and how precisely
notices        how functions say what they changed
packages       what to do about Python packages that are missing
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .bundles.bundle import find_bundle
    from .lcu.units import ConditionImage, ConditionUnit, LongContext
    from .model.conditioning import Conditioning
    from .model.sampler import sample
    from .pictures.image_files import load_picture, save_picture
    from .pipeline import ACEPipeline
    from .weights.checkpoint import load_model

_HOMES = {
    "ACEPipeline": "pipeline",
    "ConditionImage": "lcu.units",
    "ConditionUnit": "lcu.units",
    "Conditioning": "model.conditioning",
    "LongContext": "lcu.units",
    "find_bundle": "bundles.bundle",
    "load_model": "weights.checkpoint",
    "load_picture": "pictures.image_files",
    "sample": "model.sampler",
    "save_picture": "pictures.image_files",
}
__all__ = [
    "ACEPipeline",
    "ConditionImage",
    "ConditionUnit",
    "Conditioning",
    "LongContext",
    "bundles",
    "detail",
    "devices",
    "encode",
    "files",
    "find_bundle",
    "instructions",
    "lcu",
    "load_model",
    "load_picture",
    "model",
    "notices",
    "packages",
    "pictures",
    "pipeline",
    "plus",
    "preview",
    "sample",
    "save_picture",
    "text",
    "text_files",
    "vae",
    "weights",
]


def __getattr__(name: str):
    """Imports a public name when it is first asked for (PEP 562).

    Raises:
        AttributeError: there is no such name.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    """All names, also those that are not imported yet."""
    return sorted({*globals(), *__all__})
