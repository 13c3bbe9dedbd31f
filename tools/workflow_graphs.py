"""The graphs of the shipped workflows, in the order an artist would wire them.

:mod:`make_workflows` opens each in the real front end, lays it out, runs it and writes ``workflows/``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from comfyui_ace.training.workflows.bench import Bench
from comfyui_ace.training.workflows.graph import Graph, NodeRef

FOLDER = "photos"
LORA = "ace-lora.safetensors"


@dataclass(frozen=True)
class Workflow:
    """One shipped workflow.

    Attributes:
        name: of its file, and what the template browser shows.
        note: Markdown for the note in the graph.
        build: makes the graph.
        needs: what has to be on the user's machine beside the pack, or "".
        stand_in: for a workflow that cannot run without it, the same with what the pack brings, to make the thumbnail.
    """

    name: str
    note: str
    build: Callable[[], Graph]
    needs: str = ""
    stand_in: Callable[[], Graph] | None = None


def text_to_image() -> Graph:
    g = Bench()
    models = g.bundle()
    unit = g.unit("a red circle on a blue background")
    g.save(g.sampler(models, unit)[0], "text to image")
    return g


def instruction_edit() -> Graph:
    g = Bench()
    models, photo = g.bundle(), g.photo()
    unit = g.unit("invert the colors of {image}", g.ace_image(photo[0]))
    g.node("ACEPreview", context=unit, resolution="as the model", model=models[0])
    g.save(g.sampler(models, unit)[0], "instruction edit")
    return g


def _random_mask(g: Bench, image) -> NodeRef:
    size = {
        "width": 512,
        "height": 512,
        "count": 1,
        "seed": 4,
        "kind": "boxes",
        "style": "medium",
        "least": 0.1,
        "most": 0.3,
    }
    return g.node("ACERandomMask", image=image, **size)


def masked_edit() -> Graph:
    g = Bench()
    models, photo = g.bundle(), g.photo()
    mask = _random_mask(g, photo[0])
    unit = g.unit("invert only the marked part of {image}", g.ace_image(photo[0], mask=mask[0]))
    result = g.sampler(models, unit)
    g.save(g.paste_back(photo[0], result[0], mask=mask[0], fit=result[2])[0], "masked edit")
    return g


def inpaint() -> Graph:
    g = Bench()
    models, photo = g.bundle(), g.photo()
    mask = _random_mask(g, photo[0])
    hole = g.node("ACEInpaint", image=photo[0], mask=mask[0], way="blank: paint something new", indicator="{image}")
    unit = g.unit("fill the marked part of {image} with yellow", hole[0])
    result = g.sampler(models, unit)
    g.save(g.paste_back(photo[0], result[0], mask=hole[2], fit=result[2])[0], "inpaint")
    return g


def outpaint() -> Graph:
    g = Bench()
    models, photo = g.bundle(), g.photo()
    canvas = g.node(
        "ACEOutpaint",
        image=photo[0],
        indicator="{image}",
        overlap=8,
        round_up=True,
        **{"extend": "by ratio", "extend.left": 0.25, "extend.top": 0.0, "extend.right": 0.25, "extend.bottom": 0.0},
    )
    unit = g.unit("{image} continue the picture into the new border", canvas[0])
    result = g.sampler(models, unit)
    g.save(g.paste_back(photo[0], result[0], placement=canvas[3], fit=result[2])[0], "outpaint")
    return g


def two_references() -> Graph:
    g = Bench()
    models, photo, other = g.bundle(), g.photo(), g.photo()
    second = g.node("ImageInvert", image=other[0])
    mask = _random_mask(g, photo[0])
    first = g.ace_image(photo[0], mask=mask[0])
    unit = g.unit("fill the marked part of {image} with {image1}", first, g.ace_image(second[0], "{image1}"))
    g.node("ACEPreview", context=unit, resolution="as the model", model=models[0])
    g.save(g.sampler(models, unit)[0], "two references")
    return g


def controllable_from_edges() -> Graph:
    g = Bench()
    models, photo = g.bundle(), g.photo()
    edges = g.node("ACEConditionImage", image=photo[0], kind="Canny edges")
    g.node("PreviewImage", images=edges[0])
    unit = g.unit("{image} colour this edge drawing as a sunny day", g.ace_image(edges[0]))
    g.save(g.sampler(models, unit)[0], "from edges")
    return g


def from_depth() -> Graph:
    g = Bench()
    models, photo = g.bundle(), g.photo()
    depth = g.node(
        "DepthAnythingV2Preprocessor", image=photo[0], ckpt_name="depth_anything_v2_vitl.pth", resolution=512
    )
    g.node("PreviewImage", images=depth[0])
    unit = g.unit("{image} follow this depth map: a snowy street at night", g.ace_image(depth[0]))
    g.save(g.sampler(models, unit)[0], "from depth")
    return g


def three_rounds() -> Graph:
    g = Bench()
    models, photo = g.bundle(), g.photo()
    first = g.unit("invert the colors of {image}", g.ace_image(photo[0]))
    result, context = g.sampler(models, first), first
    for k, instruction in enumerate(("make {image} sepia", "brighten {image}")):
        rounds = g.node("ACERound", context=context[0], result=result[0])
        unit = g.unit(instruction, rounds[1])
        context = g.long_context(unit, rounds[0])
        result = g.sampler(models, context, seed=2 + k)
    g.node("ACEPreview", context=context[0], resolution="as the model", model=models[0])
    g.save(result[0], "three rounds")
    return g


def ksampler() -> Graph:
    g = Bench()
    models, photo = g.bundle(), g.photo()
    unit = g.unit("invert the colors of {image}", g.ace_image(photo[0]))
    encoded = g.node(
        "ACEEncode",
        clip=models[1],
        vae=models[2],
        context=unit,
        negative="",
        resolution="as the model",
        batch_size=1,
        model=models[0],
    )
    model = g.node("ACEGuidanceRescale", model=models[0], guidance_rescale=0.5)
    settings = {"seed": 1, "steps": 20, "cfg": 2.0, "sampler_name": "ddim", "scheduler": "simple", "denoise": 1.0}
    latent = g.node(
        "KSampler", model=model, positive=encoded[0], negative=encoded[1], latent_image=encoded[2], **settings
    )
    g.save(g.node("VAEDecode", samples=latent, vae=models[2])[0], "KSampler")
    return g


def with_lora() -> Graph:
    g = Bench()
    models, photo = g.bundle(), g.photo()
    model = g.lora(models[0], LORA, 0.8)
    unit = g.unit("invert the colors of {image}", g.ace_image(photo[0]))
    g.save(g.sampler(models, unit, model=model[0])[0], "with LoRA")
    return g


def refine_by_ace() -> Graph:
    g = Bench()
    models, photo = g.bundle(), g.photo()
    unit = g.unit("brighten {image}", g.ace_image(photo[0]))
    edited = g.sampler(models, unit)
    latent = g.node("VAEEncode", pixels=edited[0], vae=models[2])
    settings = {"negative": "", "resolution": "as the model", "batch_size": 1}
    encoded = g.node("ACEEncode", clip=models[1], vae=models[2], context=unit, model=models[0], **settings)
    _refine(g, models[0], encoded[0], encoded[1], latent, models[2])
    return g


def _refine(g: Bench, model, positive, negative, latent, vae) -> None:
    """Some noise, and away with it again (SDEdit, Meng et al. 2022)."""
    settings = {"seed": 1, "steps": 20, "cfg": 6.0, "sampler_name": "dpmpp_2m", "scheduler": "karras", "denoise": 0.35}
    refined = g.node("KSampler", model=model, positive=positive, negative=negative, latent_image=latent, **settings)
    g.save(g.node("VAEDecode", samples=refined, vae=vae)[0], "refined")


def refine() -> Graph:
    g = Bench()
    models, photo = g.bundle(), g.photo()
    unit = g.unit("brighten {image}", g.ace_image(photo[0]))
    edited = g.sampler(models, unit)
    larger = g.node("ImageScaleToTotalPixels", image=edited[0], upscale_method="lanczos", megapixels=0.25)
    other = g.node("CheckpointLoaderSimple", ckpt_name="v1-5-pruned-emaonly-fp16.safetensors")
    latent = g.node("VAEEncode", pixels=larger[0], vae=other[2])
    positive = g.node("CLIPTextEncode", clip=other[1], text="a bright, detailed picture")
    negative = g.node("CLIPTextEncode", clip=other[1], text="blurry")
    _refine(g, other[0], positive, negative, latent, other[2])
    return g


def batch_over_a_folder() -> Graph:
    g = Bench()
    models = g.bundle()
    photos = g.node("LoadImageDataSetFromFolder", folder=FOLDER)
    unit = g.unit("invert the colors of {image}", g.ace_image(photos[0]))
    g.save(g.sampler(models, unit)[0], "folder")
    return g


_SWAP = (
    "\n\nIt uses **ace-tiny**, the small model that comes with the pack and runs anywhere; for real work choose "
    "*ACE-0.6B-512px* in **Load Bundle** (switch *download* on the first time)."
)

WORKFLOWS = (
    Workflow("01 Text to image", "Without a picture, ACE makes one from the text." + _SWAP, text_to_image),
    Workflow(
        "02 Edit by instruction",
        "Write what to do into **Condition Unit**; `{image}` means the picture. **Preview** shows what the model sees."
        + _SWAP,
        instruction_edit,
    ),
    Workflow(
        "03 Edit under a mask",
        "White of the mask may change. **Paste Back** returns every other pixel untouched, at the picture's own size. "
        "In place of **Random Mask** take the mask you paint in Load Image (right click, *Open in MaskEditor*)."
        + _SWAP,
        masked_edit,
    ),
    Workflow(
        "04 Inpaint",
        "*blank* hides what is under the mask, so that ACE paints something new; *keep* shows it, to change what is there."
        + _SWAP,
        inpaint,
    ),
    Workflow(
        "05 Outpaint",
        "**Outpaint** extends the canvas; **Paste Back** puts the original into the middle again, pixel by pixel."
        + _SWAP,
        outpaint,
    ),
    Workflow(
        "06 Two pictures",
        "Each picture has its own word, chosen in its **Image** node; the instruction speaks of both." + _SWAP,
        two_references,
    ),
    Workflow(
        "07 From edges",
        "**Condition Image** makes edges, sketches or colour maps without another model. For depth, pose or segmentation "
        "wire a preprocessor of *comfyui_controlnet_aux* in its place." + _SWAP,
        controllable_from_edges,
    ),
    Workflow(
        "08 Three rounds",
        "**Next Round** carries result and history over, so that ACE knows what was asked before." + _SWAP,
        three_rounds,
    ),
    Workflow(
        "09 With KSampler",
        "The same with core's sampler: sampler *ddim* (or *euler*), scheduler *simple*, and **Guidance Rescale**. "
        "*cfg* 2 suits ace-tiny; take 4.5 for the published models." + _SWAP,
        ksampler,
    ),
    Workflow(
        "10 Refine with another model",
        "ACE edits, any checkpoint you have refines: lower *denoise* stays closer to the edit." + _SWAP,
        refine,
        needs="a Stable Diffusion checkpoint",
        stand_in=refine_by_ace,
    ),
    Workflow(
        "11 Folder of pictures",
        f"Put pictures into a folder *{FOLDER}* in ComfyUI's input folder (or choose another); each is edited in turn."
        + _SWAP,
        batch_over_a_folder,
    ),
    Workflow(
        "12 With a LoRA",
        "Core's LoRA loader works on ACE: choose a LoRA that was trained on this model, and how strongly it acts."
        + _SWAP,
        with_lora,
        needs="a LoRA for ACE",
        stand_in=instruction_edit,
    ),
    Workflow(
        "13 From depth",
        "The depth map comes from the pack *comfyui_controlnet_aux* (install it with ComfyUI-Manager if the node is red). In "
        "its place go DWPose, OneFormer segmentation or Lineart: ACE takes their pictures as they are." + _SWAP,
        from_depth,
        needs="the pack comfyui_controlnet_aux",
    ),
)
