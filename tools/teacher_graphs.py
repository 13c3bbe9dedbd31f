"""The graphs of seven specialist teachers, one for each of OmniEdit's tasks (§3.2), on models of the artist's own.

Core's nodes paint; the pack's keep the pairs and weigh them. They lie in ``workflows/teachers``, where the template browser
does not look, because none of them runs on a fresh install; docs/teachers.md goes from them to one student.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from comfyui_ace.training.workflows.ace_graph import ACEGraph
from comfyui_ace.training.workflows.graph import NodeRef
from model_files import CLIP_L, FLUX_FILL, FLUX_VAE, SDXL, SDXL_CANNY, T5
from plus_graphs import load_flux
from workflow_graphs import COFFEE, MASKED_FLOWER, MASKED_ROCKET, MASKS, PHOTOS, TEMPLE, Workflow

FOLDER = "teachers"
_MEGAPIXEL = {"upscale_method": "lanczos", "megapixels": 1.0, "resolution_steps": 16}
_FLAWS = "blurry, low quality, text, watermark"


class _Capture(NamedTuple):
    """What is kept of a pair beside its pictures."""

    dataset: str
    instruction: str

    @property
    def widgets(self) -> dict[str, Any]:
        """Of Capture Result and Capture Pair; the tag is the kind of edit, within which pairs are weighed."""
        tags = self.dataset.replace("-", " ")
        return {"instruction": self.instruction, "dataset": self.dataset, "tags": tags, "seed": -1, "checks": ""}


def _mask(g: ACEGraph, photo: NodeRef, expand: int, inverse: bool = False) -> NodeRef:
    """The painted mask, or all but it, so many pixels larger, since a brush stops short of soft edges and shadows."""
    painted = g.node("InvertMask", mask=photo[1]) if inverse else photo[1]
    return g.node("GrowMask", mask=painted, expand=expand, tapered_corners=True)


def _paste(g: ACEGraph, picture: Any, painted: NodeRef, mask: Any) -> NodeRef:
    """What was painted under the mask; every other pixel is the photograph's, at its own size."""
    return g.node("ImageCompositeMasked", destination=picture, source=painted, mask=mask, x=0, y=0, resize_source=True)


def _fill(g: ACEGraph, picture: Any, mask: Any, words: str) -> NodeRef:
    """FLUX Fill paints under the mask what the words say."""
    flux = load_flux(g)
    text = g.node("CLIPTextEncode", clip=flux.clip, text=words)
    scaled = g.node("ImageScaleToTotalPixels", image=picture, **_MEGAPIXEL)
    conditions = {
        "positive": g.node("FluxGuidance", conditioning=text, guidance=30.0),
        "negative": g.node("ConditioningZeroOut", conditioning=text),
    }
    ready = g.node("InpaintModelConditioning", vae=flux.vae, pixels=scaled, mask=mask, noise_mask=True, **conditions)
    numbers = {"seed": 1, "steps": 20, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    links = {"model": flux.model, "positive": ready[0], "negative": ready[1], "latent_image": ready[2]}
    decoded = g.node("VAEDecode", samples=g.node("KSampler", **links, **numbers), vae=flux.vae)
    return _paste(g, picture, decoded, mask)


class _SDXL(NamedTuple):
    """Links: MODEL, VAE, and the conditionings of both texts."""

    model: Any
    vae: Any
    positive: Any
    negative: Any


def _load_sdxl(g: ACEGraph, words: str) -> _SDXL:
    loaded = g.node("CheckpointLoaderSimple", ckpt_name=SDXL)
    texts = [g.node("CLIPTextEncode", clip=loaded[1], text=text) for text in (words, _FLAWS)]
    return _SDXL(loaded[0], loaded[2], *(text[0] for text in texts))


def _repaint(g: ACEGraph, sdxl: _SDXL, latent: Any, denoise: float) -> NodeRef:
    """SDXL paints over a latent; the lower denoise is, the more stays."""
    numbers = {"seed": 1, "steps": 30, "cfg": 6.0, "sampler_name": "dpmpp_2m", "scheduler": "karras"}
    links = {"model": sdxl.model, "positive": sdxl.positive, "negative": sdxl.negative, "latent_image": latent}
    return g.node("VAEDecode", samples=g.node("KSampler", **links, **numbers, denoise=denoise), vae=sdxl.vae)


def _keep(g: ACEGraph, result: Any, capture: _Capture, masks: str = MASKS) -> ACEGraph:
    """The pair of a result and its Capture Source, and what makes many of it."""
    g.save_image(g.node("ACECaptureResult", image=result, **capture.widgets), capture.dataset)
    return _sweep_and_weigh(g, capture, masks)


def _sweep_and_weigh(g: ACEGraph, capture: _Capture, masks: str = MASKS) -> ACEGraph:
    """A folder's pairs, and afterwards their importance λ."""
    folders = {"folder": PHOTOS, "masks": masks, "second_folder": "none"}
    settings = {"dataset": "", "instruction": "", "tags": "", "seeds": 1, "checks": "", "action": "start"}
    g.node("ACESweep", **folders, **settings, retry_set_aside=False)
    dataset = g.node("ACELoadDataset", dataset=capture.dataset, split="all", pictures=0, first=0)
    judge = {"server": "", "model": "", "pairs": 0, "edit": "", "weights": "best share", "share": 0.5, "score": 9.0}
    g.node("ACEJudge", dataset=dataset, **judge, force=False)
    return g


def _painted_by_fill(capture: _Capture, photo: str, words: str, expand: int, inverse: bool = False) -> ACEGraph:
    """A teacher that fills a mask."""
    g = ACEGraph()
    loaded = g.load_image(photo)
    mask = _mask(g, loaded, expand, inverse)
    source = g.node("ACECaptureSource", image=loaded[0], mask=mask, index=0)
    return _keep(g, _fill(g, source[0], source[1], words), capture)


def object_swap() -> ACEGraph:
    """The marked thing becomes another."""
    capture = _Capture("object-swap", "replace what is marked in {image} with a bunch of red roses")
    return _painted_by_fill(capture, MASKED_FLOWER, "a bunch of red roses", 16)


def object_removal() -> ACEGraph:
    """The marked thing goes, and what is behind it is painted."""
    capture = _Capture("object-removal", "remove what is marked in {image}")
    return _painted_by_fill(capture, MASKED_ROCKET, "the empty background, nothing in front of it", 24)


def object_addition() -> ACEGraph:
    """Removal with source and result exchanged: the student learns to put there what was there."""
    g = ACEGraph()
    capture = _Capture("object-addition", "add what is missing in the marked part of {image}")
    photo = g.load_image(MASKED_ROCKET)
    mask = _mask(g, photo, 24)
    removed = _fill(g, photo[0], mask, "the empty background, nothing in front of it")
    g.node("PreviewImage", images=removed)
    g.node("ACECapturePair", source=removed, result=photo[0], mask=mask, **capture.widgets)
    return _sweep_and_weigh(g, capture)


def attribute() -> ACEGraph:
    """The marked thing stays what it is and gets another colour or material."""
    g = ACEGraph()
    capture = _Capture("attribute", "make what is marked in {image} of polished gold")
    photo = g.load_image(MASKED_FLOWER)
    source = g.node("ACECaptureSource", image=photo[0], mask=_mask(g, photo, 4), index=0)
    sdxl = _load_sdxl(g, "made of polished gold, a photograph")
    scaled = g.node("ImageScaleToTotalPixels", image=source[0], **_MEGAPIXEL)
    latent = g.node("VAEEncode", pixels=scaled, vae=sdxl.vae)
    masked = g.node("SetLatentNoiseMask", samples=latent, mask=source[1])
    return _keep(g, _paste(g, source[0], _repaint(g, sdxl, masked, 0.65), source[1]), capture)


def background() -> ACEGraph:
    """All but the marked thing is painted anew."""
    capture = _Capture("background", "put what is marked in {image} on a beach at sunset")
    return _painted_by_fill(capture, MASKED_FLOWER, "a beach at sunset", 4, inverse=True)


def _whole_picture(capture: _Capture, photo: str, words: str, denoise: float, strength: float) -> ACEGraph:
    """SDXL paints over the whole picture and keeps to its lines."""
    g = ACEGraph()
    loaded = g.load_image(photo)
    scaled = g.node("ImageScaleToTotalPixels", image=loaded[0], **_MEGAPIXEL)
    source = g.node("ACECaptureSource", image=scaled, index=0)
    sdxl = _load_sdxl(g, words)
    lines = g.node("Canny", image=source[0], low_threshold=0.1, high_threshold=0.3)
    net = g.node("ControlNetLoader", control_net_name=SDXL_CANNY)
    links = {"positive": sdxl.positive, "negative": sdxl.negative, "control_net": net, "image": lines}
    held = g.node("ControlNetApplyAdvanced", **links, strength=strength, start_percent=0.0, end_percent=0.8)
    latent = g.node("VAEEncode", pixels=source[0], vae=sdxl.vae)
    painted = _repaint(g, sdxl._replace(positive=held[0], negative=held[1]), latent, denoise)
    return _keep(g, painted, capture, masks="none")


def environment() -> ACEGraph:
    """Season, weather or light of the whole picture."""
    words = "a photograph in deep winter, snow on everything, overcast light"
    return _whole_picture(_Capture("environment", "make it winter in {image}"), TEMPLE, words, 0.65, 0.8)


def style() -> ACEGraph:
    """The whole picture as another kind of picture."""
    words = "a watercolor painting, wet edges, visible paper, pale washes of color"
    return _whole_picture(_Capture("style", "{image} as a watercolor painting"), COFFEE, words, 0.8, 0.6)


_PAINT = (
    "Mark it with a mask: right click on *Load Image*, *Open in MaskEditor*. For a folder put the masks, white where it is, "
    "into a second folder under the same names, and choose it as *masks* on **Sweep** (advanced)."
)
_STEPS = (
    "\n\n1. Choose your folder on **Sweep** (fourteen photographs come with the pack) and press **Run**: a pair of each is "
    "kept.\n2. Press ▶ above **Judge**: each pair gets a score, and the better half is learnt from. With a *server* a model "
    "looks at the edit, without one only faults of the pixels count.\n"
    "3. When all seven datasets are there, one student learns them: *docs/teachers.md* in the pack's folder."
)
_CHECKED = " Wired and checked, but not run with these models here: look at the first pairs before you sweep."
_FILL_FILES = (
    "\n\n**Needs FLUX.1-Fill-dev**: "
    + ", ".join(f"`{name}`" for name in (FLUX_FILL, CLIP_L, T5, FLUX_VAE))
    + ". Accept its licence first (not for commercial use); ComfyUI offers the download."
    + _CHECKED
)
_ANY = " Any other SDXL checkpoint will do."
_SDXL_FILES = f"\n\n**Needs SDXL**: `{SDXL}` in *checkpoints*.{_ANY}{_CHECKED}"
_CANNY_FILES = f"\n\n**Needs SDXL**: `{SDXL}` in *checkpoints*, `{SDXL_CANNY}` in *controlnet*.{_ANY}{_CHECKED}"


def _workflow(name: str, what: str, files: str, build) -> Workflow:
    return Workflow(name, what + _STEPS + files, build, folder=FOLDER, note_height=560)


TEACHER_WORKFLOWS = (
    _workflow(
        "Object swap",
        f"**A thing becomes another.** {_PAINT} Write the new thing into *CLIP Text Encode* and into the instruction.",
        _FILL_FILES,
        object_swap,
    ),
    _workflow(
        "Object removal",
        f"**A thing goes.** {_PAINT} Say in *CLIP Text Encode* what is behind it, not what goes; mark its shadow, too.",
        _FILL_FILES,
        object_removal,
    ),
    _workflow(
        "Object addition",
        f"**A thing comes**, learnt from its removal: **Capture Pair** keeps the emptied picture as the source and your "
        f"photograph as the result, so what is learnt is a real thing. {_PAINT} Say in the instruction what your masks mark. "
        "Failed removals are now sources, where the pixels' judge does not look: use a *server*.",
        _FILL_FILES,
        object_addition,
    ),
    _workflow(
        "Attribute",
        f"**A thing keeps its form and changes colour or material.** {_PAINT} Say what it is made of in *CLIP Text Encode*; "
        "*denoise* 0.5 changes less, 0.8 more.",
        _SDXL_FILES,
        attribute,
    ),
    _workflow(
        "Background",
        f"**A thing stays, all around it is new.** {_PAINT} *Invert Mask* turns that round. Describe the place in *CLIP Text "
        "Encode* and in the instruction.",
        _FILL_FILES,
        background,
    ),
    _workflow(
        "Environment",
        "**Season, weather, light.** *Canny* and the ControlNet hold the lines. Say what it is like in *CLIP Text "
        "Encode*; if things change, lower *denoise*; if too little does, lower the ControlNet's *strength*.",
        _CANNY_FILES,
        environment,
    ),
    _workflow(
        "Style",
        "**The same picture, painted.** *Canny* and the ControlNet hold the lines. Name the style in *CLIP Text "
        "Encode* and in the instruction; *denoise* says how far it may go.",
        _CANNY_FILES,
        style,
    ),
)
