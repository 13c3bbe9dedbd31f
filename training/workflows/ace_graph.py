"""A graph builder for ACE's nodes: the steps that most graphs with ACE have in common."""

from __future__ import annotations

from typing import Any

from .graph import Graph, NodeRef

BUNDLE = "ace-tiny"  # comes with the pack
PICTURE = "example.png"  # lies in the input folder of every ComfyUI


class ACEGraph(Graph):
    """A graph under construction, with a method for each common node; all return the node they add."""

    def load_bundle(self, name: str = BUNDLE) -> NodeRef:
        """MODEL, CLIP, VAE of a bundle that is on this machine."""
        return self.node("ACELoadBundle", bundle=name, download=False, weight_dtype="default")

    def load_image(self, name: str = PICTURE) -> NodeRef:
        """IMAGE and MASK of a file in the input folder."""
        return self.node("LoadImage", image=name)

    def load_lora(self, model: Any, name: str, strength: float = 1.0) -> NodeRef:
        """The model with a LoRA."""
        return self.node("LoraLoaderModelOnly", model=model, lora_name=name, strength_model=strength)

    def ace_image(self, image: Any, indicator: str = "{image}", **inputs: Any) -> NodeRef:
        """A condition image and its indicator."""
        return self.node("ACEImage", image=image, indicator=indicator, **inputs)

    def unit(self, instruction: str, *images: NodeRef, edit: str = "first image") -> NodeRef:
        """A condition unit of an instruction and its images, in indicator order."""
        sockets = {"image": images[0]} if images else {}
        sockets |= {f"more.image{k}": image for k, image in enumerate(images[1:])}
        return self.node("ACEConditionUnit", instruction=instruction, edit=edit, **sockets)

    def long_context(self, unit: NodeRef, history: Any = None, max_rounds: int = 4) -> NodeRef:
        """A unit after the rounds of ``history``."""
        earlier = {} if history is None else {"history": history}
        return self.node("ACELongContext", unit=unit[0], max_rounds=max_rounds, **earlier)

    def sampler(self, models: NodeRef, context: Any, *, model: Any = None, seed: int = 1, **inputs: Any) -> NodeRef:
        """Image, latent and fit.

        Args:
            models: of :meth:`load_bundle`.
            context: a long context or a unit.
            model: in place of the bundle's, with a LoRA for example.
            seed: of the noise.
            inputs: further inputs of the node, in place of the usual ones.
        """
        settings = {"negative": "", "seed": seed, "steps": 20, "cfg": 0.0, "guidance_rescale": 0.5}
        settings |= {"resolution": "as the model", "batch_size": 1, "result_size": "as sampled"}
        settings |= {"keep_detail": 0.0}
        return self.node(
            "ACESampler",
            model=model or models[0],
            clip=models[1],
            vae=models[2],
            context=context,
            **{**settings, **inputs},
        )

    def keep_detail(self, source: Any, result: Any, **inputs: Any) -> NodeRef:
        settings = {"strength": 1.0, "radius": 4, "max_gain": 4.0, "color": 1.0}
        return self.node("ACEKeepDetail", source=source, result=result, **{**settings, **inputs})

    def paste_back(self, original: Any, result: Any, **inputs: Any) -> NodeRef:
        """The result inside the mask, the original around it."""
        seam = {"match_colors": False, "seam": "fade in", "seam.feather": 8}
        return self.node("ACEPasteBack", original=original, result=result, **seam, **inputs)

    def save_image(self, image: Any, prefix: str) -> NodeRef:
        """Writes the picture to the output folder's ``ACE``."""
        return self.node("SaveImage", images=image, filename_prefix=f"ACE/{prefix}")
