"""The graphs of the workflows for ACE++, which need a FLUX Fill of the artist's own.

They are no templates, for none of them runs on a fresh install: they lie in ``workflows/flux-fill``, where the template
browser does not look, and name the files that they need with where these are published.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from comfyui_ace.ace.instructions.registry import families, subtasks
from comfyui_ace.training.workflows.ace_graph import ACEGraph
from comfyui_ace.training.workflows.graph import NodeRef
from model_files import CLIP_L, FLUX_FILL, FLUX_VAE, LOCAL_LORA, PORTRAIT_LORA, SUBJECT_LORA, T5
from workflow_graphs import CAT, COFFEE, MASKED_FLOWER, PHOTOS, Workflow

FOLDER = "flux-fill"
PORTRAIT, CUP = "ACE Edit portrait.jpg", "ACE Edit cup.jpg"


class _Flux(NamedTuple):
    """Links: MODEL with its LoRA, CLIP, VAE."""

    model: Any
    clip: Any
    vae: Any


def load_flux(g: ACEGraph, lora: str = "") -> _Flux:
    """FLUX Fill, with a LoRA of ACE++."""
    model = g.node("UNETLoader", unet_name=FLUX_FILL, weight_dtype="default")
    clip = g.node("DualCLIPLoader", clip_name1=CLIP_L, clip_name2=T5, type="flux", device="default")
    vae = g.node("VAELoader", vae_name=FLUX_VAE)
    return _Flux((g.load_lora(model, lora) if lora else model)[0], clip[0], vae[0])


def encode_plus(g: ACEGraph, flux: _Flux, unit: NodeRef, **settings) -> NodeRef:
    """Encode for ACE++: positive, negative, latent, fit."""
    standard = {"negative": "", "task": "edit the picture", "repainting_scale": 1.0, "keep_pixels": False}
    standard |= {"max_seq_len": 6144, "layout": "as the model", "noise_mask": False, "batch_size": 1}
    parts = {"clip": flux.clip, "vae": flux.vae, "model": flux.model}
    return g.node("ACEEncodePlus", context=unit, **parts, **{**standard, **settings})


def sample_plus(g: ACEGraph, flux: _Flux, unit: NodeRef, seed: int = 1, **settings) -> tuple[NodeRef, list]:
    """The whole way from a unit: the painted canvas, and its fit."""
    encoded = encode_plus(g, flux, unit, **settings)
    guided = g.node("FluxGuidance", conditioning=encoded[0], guidance=50.0)
    numbers = {"seed": seed, "steps": 28, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    links = {"model": flux.model, "positive": guided, "negative": encoded[1], "latent_image": encoded[2]}
    return g.node("VAEDecode", samples=g.node("KSampler", **links, **numbers), vae=flux.vae), encoded[3]


def _preview(g: ACEGraph, unit: NodeRef, task: str, **fields) -> None:
    settings = {"repainting_scale": 1.0, "keep_pixels": False, "max_seq_len": 6144, **fields}
    named = {f"resolution.{name}": value for name, value in settings.items()}
    g.node("ACEPreview", context=unit, resolution=f"ACE++: {task}", **named)


def _new_picture(photo: str, lora: str, words: str, name: str) -> ACEGraph:
    g = ACEGraph()
    flux, loaded = load_flux(g, lora), g.load_image(photo)
    unit = g.unit(words, g.ace_image(loaded[0]))
    _preview(g, unit, "new picture", width=1024, height=1024)
    canvas, fit = sample_plus(g, flux, unit, **{"task": "new picture", "task.width": 1024, "task.height": 1024})
    g.save_image(g.node("ACECrop", result=canvas, fit=fit, trim=30), name)
    return g


def portrait() -> ACEGraph:
    """A new picture of the person in a photograph."""
    words = (
        "Maintain the facial features. The person wears a dark green raincoat and stands in a rainy street at night."
    )
    return _new_picture(PORTRAIT, PORTRAIT_LORA, words, "portrait")


def subject() -> ACEGraph:
    """A new picture of the thing in a photograph."""
    words = "Show the cup on a wooden table by a window, beside an open book, in soft morning light."
    return _new_picture(CUP, SUBJECT_LORA, words, "subject")


def local_editing() -> ACEGraph:
    """What is under the mask is drawn, and painted again along the lines."""
    g = ACEGraph()
    flux, photo = load_flux(g, LOCAL_LORA), g.load_image(MASKED_FLOWER)
    lines = g.node("ACEConditionImage", image=photo[0], kind="Contour")
    place = {"x": 0, "y": 0, "resize_source": True}
    mixed = g.node("ImageCompositeMasked", destination=photo[0], source=lines, mask=photo[1], **place)
    task = f"{families()['control']} / {subtasks('control')['control-region']}"
    fields = {"task.feature": "contour", "task.caption": "a blue flower with dew on its petals"}
    words = g.node("ACEInstruction", own_wording="", seed=0, language="English", task=task, **fields)
    unit = g.unit("", g.ace_image(mixed, mask=photo[1]))
    g.set(unit, instruction=words[0])
    _preview(g, unit, "edit the picture", repainting_scale=0.5, max_seq_len=4096)
    canvas, fit = sample_plus(g, flux, unit, repainting_scale=0.5, max_seq_len=4096)
    g.save_image(g.paste_back(photo[0], canvas, mask=photo[1], fit=fit), "local editing")
    return g


def beside_ace() -> ACEGraph:
    """One unit for both models."""
    g = ACEGraph()
    models, flux = g.load_bundle(), load_flux(g, SUBJECT_LORA)
    photo, other = g.load_image(MASKED_FLOWER), g.load_image(CAT)
    images = g.ace_image(photo[0], mask=photo[1]), g.ace_image(other[0], "{image1}")
    unit = g.unit("fill the marked part of {image} with {image1}", *images)
    small = g.sampler(models, unit, steps=20, cfg=1.0)
    g.save_image(g.paste_back(photo[0], small[0], mask=photo[1], fit=small[2]), "by ACE")
    canvas, fit = sample_plus(g, flux, unit)
    g.save_image(g.paste_back(photo[0], canvas, mask=photo[1], fit=fit), "by ACE++")
    return g


def teacher() -> ACEGraph:
    """ACE++ colours grey pictures, between the markers of a capture."""
    g = ACEGraph()
    flux, photo = load_flux(g, LOCAL_LORA), g.load_image(COFFEE)
    source = g.node("ACECaptureSource", image=g.node("ACEConditionImage", image=photo[0], kind="Grayscale"), index=0)
    words = "{image} in natural colors"
    canvas, fit = sample_plus(g, flux, g.unit(words, g.ace_image(source[0])), repainting_scale=0.0, max_seq_len=4096)
    whole = g.node("ACECrop", result=canvas, fit=fit, trim=0)
    kept = g.node("ACECaptureResult", image=whole, instruction=words, dataset="colored", tags="", seed=-1, checks="")
    g.save_image(kept, "colored")
    folders = {"folder": PHOTOS, "masks": "none", "second_folder": "none"}
    settings = {"dataset": "", "instruction": "", "tags": "", "seeds": 1, "checks": "", "action": "start"}
    g.node("ACESweep", **folders, **settings, retry_set_aside=False)
    return g


_NEEDS = (
    "\n\n**This workflow needs FLUX.1-Fill-dev**, 12 billion parameters, with its text encoders and VAE, and a LoRA of "
    "ACE++: {files}. ComfyUI offers to download them; FLUX.1-Fill-dev asks you to accept its licence first, which is not for "
    "commercial use. It was wired and run with small random weights only: nobody has seen its pictures here."
)


def _note(text: str, lora: str) -> str:
    return text + _NEEDS.format(files=", ".join(f"`{name}`" for name in (FLUX_FILL, CLIP_L, T5, FLUX_VAE, lora)))


PLUS_WORKFLOWS = (
    Workflow(
        "ACE++ portrait",
        _note(
            "The person of **Load Image** in a new picture. **Preview** shows the canvas: the photograph on the left, grey "
            "for what is to be painted. **Crop** takes the right side.",
            PORTRAIT_LORA,
        ),
        portrait,
        folder=FOLDER,
    ),
    Workflow(
        "ACE++ subject",
        _note("As *ACE++ portrait*, for things: the one of **Load Image** in a new picture.", SUBJECT_LORA),
        subject,
        folder=FOLDER,
    ),
    Workflow(
        "ACE++ local editing",
        _note(
            "What is under the mask becomes a drawing and is painted again along its lines. *repainting_scale* 0.5 lets the "
            "model see the drawing; **Instruction** writes the sentence; **Paste Back** keeps the rest.",
            LOCAL_LORA,
        ),
        local_editing,
        folder=FOLDER,
    ),
    Workflow(
        "ACE++ beside ACE",
        _note("One **Condition Unit** for both models: the same pictures, mask and words, side by side.", SUBJECT_LORA),
        beside_ace,
        folder=FOLDER,
    ),
    Workflow(
        "ACE++ as a teacher",
        _note(
            "Press **Run**: *Sweep* takes the colour from each photograph, lets ACE++ colour it, and keeps both as a pair. "
            "**Distil** or **Train** teaches the pairs to ACE, which is twenty times smaller.",
            LOCAL_LORA,
        ),
        teacher,
        folder=FOLDER,
    ),
)
