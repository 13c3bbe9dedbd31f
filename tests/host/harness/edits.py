"""Prompts that edit with the random bundle, and what the same edit gives without a host.

g = EditGraph()
unit = g.unit("{image} make it snow", g.picture("photo.png"))
g.save_latent(g.sampler(unit, seed=3)[1])
latent = saved_latent(comfy, comfy.run(g))
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from comfyui_ace.ace.lcu.intake import condition_image
from comfyui_ace.ace.lcu.units import ConditionImage, ConditionUnit, LongContext
from comfyui_ace.ace.pipeline import ACEPipeline
from comfyui_ace.ace.vae import SCALING_FACTOR
from host.harness.comfy_server import PACK_ROOT, ComfyServer, Graph, NodeRef, Result
from PIL import Image
from safetensors.torch import load_file

BUNDLE = "random"
STEPS = 4
CFG = 4.5
SIZE = (96, 64)  # width, height: 24 tokens

_PHOTO = PACK_ROOT / "commands" / "data" / "cat.jpg"


def photo(size: tuple[int, int] = SIZE, mode: str = "RGB", turn: int = 0) -> Image.Image:
    """A real photograph, small; ``turn`` (degrees) makes another one of it."""
    return Image.open(_PHOTO).convert(mode).rotate(turn).resize(size, Image.Resampling.LANCZOS)


def as_tensor(picture: Image.Image) -> torch.Tensor:
    """(1, H, W, C) float32, 0 … 1, as ComfyUI loads it."""
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255.0)[None]


def condition(picture: Image.Image, mask: torch.Tensor | None = None, indicator: str = "{image}") -> ConditionImage:
    return condition_image(as_tensor(picture), mask, indicator)


class EditGraph(Graph):
    """A prompt that starts with the bundle's loader.

    ``model``, ``clip`` and ``vae`` are links; replace them to put something in between:
    ``g.model = g.node("EasyCache", model=g.model, …)[0]``.
    """

    def __init__(self, **loader: Any) -> None:
        super().__init__()
        loaded = self.load(**loader)
        self.model, self.clip, self.vae = loaded[0], loaded[1], loaded[2]

    def load(self, bundle: str = BUNDLE, **loader: Any) -> NodeRef:
        """Model, text encoder, VAE."""
        return self.node("ACELoadBundle", **{"bundle": bundle, "download": False, "weight_dtype": "default", **loader})

    def picture(self, name: str, indicator: str = "{image}", **inputs: Any) -> NodeRef:
        """LoadImage and ACE Image; without ``mask=`` the mask of LoadImage is plugged in, as artists do."""
        loaded = self.node("LoadImage", image=name)
        return self.node("ACEImage", **{"image": loaded[0], "mask": loaded[1], "indicator": indicator, **inputs})

    def unit(self, instruction: str, *pictures: NodeRef, edit: str = "first image") -> NodeRef:
        first = {"image": pictures[0]} if pictures else {}
        more = {f"more.image{k}": picture for k, picture in enumerate(pictures[1:])}
        return self.node("ACEConditionUnit", instruction=instruction, edit=edit, **first, **more)

    def context(self, unit: NodeRef, history: NodeRef | None = None, max_rounds: int = 4) -> NodeRef:
        earlier = {} if history is None else {"history": history}
        return self.node("ACELongContext", unit=unit, max_rounds=max_rounds, **earlier)

    def sampler(self, context: NodeRef, **settings: Any) -> NodeRef:
        """Our sampler in one node: image, latent."""
        standard = {"negative": "", "seed": 0, "steps": STEPS, "cfg": CFG, "guidance_rescale": 0.5, "batch_size": 1}
        return self.node(
            "ACESampler",
            **{"model": self.model, "clip": self.clip, "vae": self.vae, "context": context},
            **{"resolution": "as the model", **standard, **settings},
        )

    def encode(self, context: NodeRef, **settings: Any) -> NodeRef:
        """Positive, negative, latent."""
        standard = {"negative": "", "resolution": "as the model", "batch_size": 1, "model": self.model}
        return self.node(
            "ACEEncode", **{"clip": self.clip, "vae": self.vae, "context": context, **standard, **settings}
        )

    def ksampler(self, positive: Any, negative: Any, latent: Any, rescale: float | None = 0.5, **settings: Any):
        """Core's sampler behind our Guidance Rescale (or without, ``rescale=None``)."""
        model = self.model
        if rescale is not None:
            model = self.node("ACEGuidanceRescale", model=model, guidance_rescale=rescale)
        standard = {
            "seed": 0,
            "steps": STEPS,
            "cfg": CFG,
            "sampler_name": "ddim",
            "scheduler": "simple",
            "denoise": 1.0,
        }
        links = {"model": model, "positive": positive, "negative": negative, "latent_image": latent}
        return self.node("KSampler", **{**links, **standard, **settings})

    def encoded_ksampler(self, context: NodeRef, **settings: Any) -> NodeRef:
        """Encode and core's sampler, wired as usual."""
        encoded = self.encode(context)
        return self.ksampler(encoded[0], encoded[1], encoded[2], **settings)

    def save_latent(self, latent: Any) -> NodeRef:
        """Core's SaveLatent, for :func:`saved_latent`."""
        return self.node("SaveLatent", samples=latent, filename_prefix="latents/test")

    def show(self, value: Any) -> NodeRef:
        """A sink for any value; its text is in the result's outputs."""
        return self.node("PreviewAny", source=value)


def saved_latent(server: ComfyServer, result: Result) -> torch.Tensor:
    """The only latent that a prompt saved, (B, 4, h, w), in the host's scale."""
    (item,) = [item for output in result.outputs.values() for item in output.get("latents", ())]
    return load_file(server.base_dir / "output" / item["subfolder"] / item["filename"])["latent_tensor"]


def run_latent(server: ComfyServer, graph: EditGraph, latent: Any, **options: Any) -> torch.Tensor:
    """Saves a latent, runs the graph, and reads it: (B, 4, h, w), in the host's scale."""
    graph.save_latent(latent)
    return saved_latent(server, server.run(graph, **options))


def standalone(pipeline: ACEPipeline, context: ConditionUnit | LongContext, **settings: Any) -> torch.Tensor:
    """The latent (B, 4, h, w) that the pipeline gives without a host, in the host's scale."""
    if isinstance(context, ConditionUnit):
        context = LongContext(context)
    return pipeline(context, **{"steps": STEPS, "guidance_scale": CFG, **settings}).latents / SCALING_FACTOR


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Norm of the difference over the norm of what was expected, of two tensors (…) of one shape."""
    assert found.shape == expected.shape, (found.shape, expected.shape)
    return ((found.double() - expected.double()).norm() / expected.double().norm()).item()


def messages(result: Result, node: NodeRef) -> str:
    """The last text shown on a node."""
    texts: Mapping[str, str] = dict(result.texts)
    return texts.get(node.id, "")


def shown(result: Result, sink: NodeRef) -> str:
    """What PreviewAny shows."""
    (text,) = result.outputs[sink.id]["text"]
    return text
