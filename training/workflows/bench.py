"""The steps that most graphs with ACE share."""

from __future__ import annotations

from typing import Any

from .graph import Graph, NodeRef

BUNDLE = "ace-tiny"  # comes with the pack
PICTURE = "example.png"  # lies in the input folder of every ComfyUI


class Bench(Graph):
    """A graph under construction, with ACE's nodes at hand."""

    def bundle(self, name: str = BUNDLE) -> NodeRef:
        return self.node("ACELoadBundle", bundle=name, download=False, weight_dtype="default")

    def photo(self, name: str = PICTURE) -> NodeRef:
        return self.node("LoadImage", image=name)

    def lora(self, model: Any, name: str, strength: float = 1.0) -> NodeRef:
        return self.node("LoraLoaderModelOnly", model=model, lora_name=name, strength_model=strength)

    def ace_image(self, image: Any, indicator: str = "{image}", **inputs: Any) -> NodeRef:
        return self.node("ACEImage", image=image, indicator=indicator, **inputs)

    def unit(self, instruction: str, *images: NodeRef, edit: str = "first image") -> NodeRef:
        sockets = {"image": images[0]} if images else {}
        sockets |= {f"more.image{k}": image for k, image in enumerate(images[1:])}
        return self.node("ACEConditionUnit", instruction=instruction, edit=edit, **sockets)

    def long_context(self, unit: NodeRef, history: Any = None, max_rounds: int = 4) -> NodeRef:
        earlier = {} if history is None else {"history": history}
        return self.node("ACELongContext", unit=unit[0], max_rounds=max_rounds, **earlier)

    def sampler(self, models: NodeRef, context: Any, *, model: Any = None, seed: int = 1, **inputs: Any) -> NodeRef:
        """Image, latent, fit. ``model`` takes the place of the bundle's, with a LoRA for example."""
        settings = {"negative": "", "seed": seed, "steps": 20, "cfg": 0.0, "guidance_rescale": 0.5}
        settings |= {"resolution": "as the model", "batch_size": 1, "result_size": "as sampled"}
        return self.node(
            "ACESampler",
            model=model or models[0],
            clip=models[1],
            vae=models[2],
            context=context,
            **{**settings, **inputs},
        )

    def paste_back(self, original: Any, result: Any, **inputs: Any) -> NodeRef:
        seam = {"match_colors": False, "seam": "fade in", "seam.feather": 8}
        return self.node("ACEPasteBack", original=original, result=result, **seam, **inputs)

    def save(self, image: Any, prefix: str) -> NodeRef:
        return self.node("SaveImage", images=image, filename_prefix=f"ACE/{prefix}")
