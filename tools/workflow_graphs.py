"""The graphs of the shipped workflows, in the order an artist would wire them.

:mod:`make_workflows` opens each in the real front end, lays it out, runs it and writes ``workflows/``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from comfyui_ace.ace.bundles.bundle import SHIPPED_BUNDLES, find_bundle
from comfyui_ace.training.workflows.ace_graph import BUNDLE, ACEGraph
from comfyui_ace.training.workflows.graph import Graph, NodeRef

# Names of pictures that come with the pack; opening or running a graph that names one copies it into the input folder.
TEMPLE, FLOWER, COFFEE, CAT, ROCKET = (
    f"ACE Edit {name}.jpg" for name in ("temple", "flower", "coffee", "cat", "rocket")
)
HOUSE = "ACE Edit house.png"
MASKED_FLOWER, MASKED_ROCKET = (f"ACE Edit {name} masked.png" for name in ("flower", "rocket"))
PHOTOS, MASKS, SECOND_PICTURES = (f"ACE Edit {name}" for name in ("photos", "masks", "second pictures"))


@dataclass(frozen=True)
class Workflow:
    """One shipped workflow. All but those in a folder of their own run on a fresh install, and are templates.

    Attributes:
        name: of its file, and what the template browser shows; numbers are the order of learning.
        note: Markdown for the note in the graph.
        build: makes the graph.
        before: the picture that its thumbnail shows beside the result, or "" for the result alone.
        centre: of what the thumbnail shows, 0 … 1 of the width.
        pairs: it captures pairs and distils; its thumbnail shows what the teacher makes.
        folder: inside ``workflows/``, for one that is no template.
        note_height: of the note, in pixels; more for a longer one.
    """

    name: str
    note: str
    build: Callable[[], Graph]
    before: str = ""
    centre: float = 0.5
    pairs: bool = False
    folder: str = ""
    note_height: int = 300


def _sample(g: ACEGraph, models: NodeRef, context, **inputs) -> NodeRef:
    """The Sampler with what the shipped bundle recommends, as numbers."""
    defaults = find_bundle(SHIPPED_BUNDLES / BUNDLE).defaults
    return g.sampler(models, context, **{"steps": defaults.steps, "cfg": defaults.guidance_scale, **inputs})


def _edit(g: ACEGraph, models: NodeRef, context, **inputs) -> NodeRef:
    """The same for an edit that keeps what the picture shows: at its size, with its detail."""
    return _sample(g, models, context, **{"result_size": "as the source", "keep_detail": 1.0, **inputs})


def instruction_edit() -> Graph:
    """One picture and an instruction."""
    g = ACEGraph()
    models, photo = g.load_bundle(), g.load_image(TEMPLE)
    unit = g.unit("{image} make it warm like evening light", g.ace_image(photo[0]))
    g.node("ACEPreview", context=unit, resolution="as the model", model=models[0])
    g.save_image(_edit(g, models, unit)[0], "edit by instruction")
    return g


def _blueprint(g: Graph, picture) -> NodeRef:
    """A teacher of core's nodes: one channel, one ink."""
    channel = g.node("ImageToMask", image=picture, channel="green")
    grey = g.node("MaskToImage", mask=channel)
    ink = g.node("EmptyImage", width=64, height=64, batch_size=1, color=0x0A2C66)
    return g.node("ImageBlend", image1=grey, image2=ink, blend_factor=1.0, blend_mode="screen")


def _distil(g: Graph, result, dataset: str, instruction: str, **folders: str) -> None:
    """What makes pairs of a teacher's result, and a LoRA of the pairs."""
    words = {"instruction": instruction, "dataset": dataset, "tags": "", "seed": -1, "checks": ""}
    kept = g.node("ACECaptureResult", image=result, **words)
    g.node("SaveImage", images=kept, filename_prefix=f"ACE/{dataset}")
    where = {"folder": PHOTOS, "masks": "none", "second_folder": "none", **folders}
    settings = {"dataset": "", "instruction": "", "tags": "", "seeds": 1, "checks": "", "action": "start"}
    g.node("ACESweep", **where, **settings, retry_set_aside=False)
    training = {"steps": 300, "rank": 64, "learning_rate": 0.001, "batch_size": 4, "seed": 0, "config": "(standard)"}
    g.node("ACEDistil", dataset_name=dataset, bundle=BUNDLE, name=dataset, **training)


def distil_this_graph() -> Graph:
    """A graph of core's nodes becomes one LoRA."""
    g = ACEGraph()
    photo = g.load_image(TEMPLE)
    source = g.node("ACECaptureSource", image=photo[0], index=0)
    _distil(g, _blueprint(g, source), "blueprint", "{image} as a blueprint")
    return g


def distil_a_masked_graph() -> Graph:
    """A teacher that changes what is under a mask."""
    g = ACEGraph()
    photo = g.load_image(MASKED_FLOWER)
    source = g.node("ACECaptureSource", image=photo[0], mask=photo[1], index=0)
    inked = _blueprint(g, source)
    place = {"x": 0, "y": 0, "resize_source": False}
    result = g.node("ImageCompositeMasked", destination=source, source=inked, mask=source[1], **place)
    _distil(g, result, "masked blueprint", "the marked part of {image} as a blueprint", masks=MASKS)
    return g


def distil_a_graph_of_two_pictures() -> Graph:
    """A teacher that takes two pictures."""
    g = ACEGraph()
    photo, other = g.load_image(TEMPLE), g.load_image(FLOWER)
    first = g.node("ACECaptureSource", image=photo[0], index=0)
    second = g.node("ACECaptureSource", image=other[0], index=1)
    both = g.node("ImageBlend", image1=first, image2=second, blend_factor=0.6, blend_mode="screen")
    words = "a double exposure of {image} and {image1}"
    _distil(g, both, "double exposure", words, second_folder=SECOND_PICTURES)
    return g


def text_to_image() -> Graph:
    """An instruction without a picture."""
    g = ACEGraph()
    models = g.load_bundle()
    unit = g.unit("a boat with an orange sail by the sea in daylight and the sun shines")
    # Words alone leave more open than an edit does: guidance decides.
    g.save_image(_sample(g, models, unit, steps=20, cfg=5.0, guidance_rescale=0.5, seed=3)[0], "text to image")
    return g


def masked_edit() -> Graph:
    """An edit of the masked part, pasted back."""
    g = ACEGraph()
    models, photo = g.load_bundle(), g.load_image(MASKED_FLOWER)
    unit = g.unit("invert only the marked part of {image}", g.ace_image(photo[0], mask=photo[1]))
    result = _edit(g, models, unit)
    g.save_image(g.paste_back(photo[0], result[0], mask=photo[1], fit=result[2])[0], "edit under a mask")
    return g


def inpaint() -> Graph:
    """The masked part is hidden and painted anew."""
    g = ACEGraph()
    models, photo = g.load_bundle(), g.load_image(MASKED_ROCKET)
    way = "blank: paint something new"
    hole = g.node("ACEInpaint", image=photo[0], mask=photo[1], way=way, indicator="{image}")
    result = _sample(g, models, g.unit("remove what is marked in {image}", hole[0]))
    g.save_image(g.paste_back(photo[0], result[0], mask=hole[2], fit=result[2])[0], "inpaint")
    return g


def outpaint() -> Graph:
    """The canvas is extended and the new border painted."""
    g = ACEGraph()
    models, photo = g.load_bundle(), g.load_image(COFFEE)
    sides = {"extend.left": 0.25, "extend.top": 0.0, "extend.right": 0.25, "extend.bottom": 0.0}
    words = {"indicator": "{image}", "overlap": 8, "round_up": True}
    canvas = g.node("ACEOutpaint", image=photo[0], **words, extend="by ratio", **sides)
    unit = g.unit("{image} continue the picture into the new border", canvas[0])
    result = _sample(g, models, unit)
    g.save_image(g.paste_back(photo[0], result[0], placement=canvas[3], fit=result[2])[0], "outpaint")
    return g


def two_references() -> Graph:
    """The instruction speaks of two pictures."""
    g = ACEGraph()
    models, photo, other = g.load_bundle(), g.load_image(MASKED_FLOWER), g.load_image(CAT)
    first = g.ace_image(photo[0], mask=photo[1])
    unit = g.unit("fill the marked part of {image} with {image1}", first, g.ace_image(other[0], "{image1}"))
    g.node("ACEPreview", context=unit, resolution="as the model", model=models[0])
    result = _sample(g, models, unit)
    g.save_image(g.paste_back(photo[0], result[0], mask=photo[1], fit=result[2])[0], "two pictures")
    return g


def controllable_from_edges() -> Graph:
    """Canny edges as the condition image."""
    g = ACEGraph()
    models, drawing = g.load_bundle(), g.load_image(HOUSE)
    edges = g.node("ACEConditionImage", image=drawing[0], kind="Canny edges")
    g.node("PreviewImage", images=edges[0])
    shown = "a fir on the left and a house with a red roof on the right in a green meadow in daylight with the sun"
    unit = g.unit(f"{{image}} colour this edge drawing as {shown}", g.ace_image(edges[0]))
    g.save_image(_sample(g, models, unit, seed=2)[0], "from edges")
    return g


def two_rounds() -> Graph:
    """Each round edits the result of the one before and knows its instructions."""
    g = ACEGraph()
    models, photo = g.load_bundle(), g.load_image(CAT)
    first = g.unit("make {image} black and white", g.ace_image(photo[0]))
    result = _edit(g, models, first)
    rounds = g.node("ACERound", context=first[0], result=result[0])
    context = g.long_context(g.unit("{image} make it warm like evening light", rounds[1]), rounds[0])
    g.save_image(_edit(g, models, context, seed=2)[0], "two rounds")
    return g


def ksampler() -> Graph:
    """The same edit by core's sampler."""
    g = ACEGraph()
    models, photo = g.load_bundle(), g.load_image(FLOWER)
    unit = g.unit("invert the colors of {image}", g.ace_image(photo[0]))
    settings = {"negative": "", "resolution": "as the model", "batch_size": 1}
    encoded = g.node("ACEEncode", clip=models[1], vae=models[2], context=unit, model=models[0], **settings)
    model = g.node("ACEGuidanceRescale", model=models[0], guidance_rescale=0.5)
    settings = {"seed": 1, "steps": 20, "cfg": 1.0, "sampler_name": "ddim", "scheduler": "simple", "denoise": 1.0}
    latent = g.node(
        "KSampler", model=model, positive=encoded[0], negative=encoded[1], latent_image=encoded[2], **settings
    )
    g.save_image(g.node("VAEDecode", samples=latent, vae=models[2])[0], "with KSampler")
    return g


_OWN = "\n\nChoose your own picture in **Load Image**."
_SWAP = (
    "\n\nThe model is **ace-tiny**, which comes with the pack and runs anywhere. For real work choose *ACE-0.6B-512px* in "
    "**Load Bundle**, with *download* set to *if missing* the first time."
)
_STEPS = (
    "1. Press **Run**: *Sweep* runs the graph over {folders} and keeps a pair of each.\n"
    "2. Click **Distil** and press the ▶ above it: a LoRA is trained on the pairs, about five minutes on two cores.\n"
    "3. Press **Open workflow** on Distil: one small graph that does the same."
)

WORKFLOWS = (
    Workflow(
        "01 Edit by instruction",
        "Write what to do into **Condition Unit**; *{image}* means the picture. **Preview** shows what the model sees."
        + _OWN
        + _SWAP,
        instruction_edit,
        TEMPLE,
        centre=0.0,
    ),
    Workflow(
        "02 Distil this graph",
        "Any graph between *Capture Source* and *Capture Result* becomes one small workflow.\n\n"
        + _STEPS.format(folders="14 photographs"),
        distil_this_graph,
        TEMPLE,
        centre=0.0,
        pairs=True,
    ),
    Workflow(
        "03 Text to image",
        "Without a picture, ACE makes one from the text. Words alone need more guidance than an edit: *cfg* 5 and 20 "
        "steps. ace-tiny knows a small world: try *a red circle on a blue background* or *a cottage with a green roof on "
        "the grass under a blue sky*." + _SWAP,
        text_to_image,
    ),
    Workflow(
        "04 Edit under a mask",
        "The hole in the picture is the mask: it may change. **Paste Back** returns every other pixel untouched, at the "
        "picture's own size. Paint another: right click on *Load Image*, *Open in MaskEditor*." + _SWAP,
        masked_edit,
        FLOWER,
    ),
    Workflow(
        "05 Inpaint",
        "*blank* hides what is under the mask, so that ACE paints something new; *keep* shows it, to change what is there."
        + _SWAP,
        inpaint,
        ROCKET,
    ),
    Workflow(
        "06 Outpaint",
        "**Outpaint** extends the canvas; **Paste Back** puts the original into the middle again, pixel by pixel."
        + _SWAP,
        outpaint,
        COFFEE,
    ),
    Workflow(
        "07 Two pictures",
        "The instruction speaks of both pictures by their words, *{image}* and *{image1}*." + _SWAP,
        two_references,
        FLOWER,
    ),
    Workflow(
        "08 From edges",
        "**Condition Image** makes edges, sketches or colour maps without another model. For depth, pose or segmentation "
        "wire a preprocessor of *comfyui_controlnet_aux* in its place. **ace-tiny** knows drawings like this one."
        + _SWAP,
        controllable_from_edges,
        HOUSE,
    ),
    Workflow(
        "09 Two rounds",
        "**Next Round** carries result and history over, so that ACE knows what was asked before." + _SWAP,
        two_rounds,
        CAT,
    ),
    Workflow(
        "10 Distil a masked graph",
        "As *Distil this graph*, for one that changes a masked part: *Capture Source* takes the mask, too.\n\n"
        + _STEPS.format(folders="14 photographs and their masks"),
        distil_a_masked_graph,
        FLOWER,
        pairs=True,
    ),
    Workflow(
        "11 Distil a graph of two pictures",
        "As *Distil this graph*, for one that takes two pictures: each has a *Capture Source*, with *index* 0 and 1.\n\n"
        + _STEPS.format(folders="14 photographs, each with a second one"),
        distil_a_graph_of_two_pictures,
        TEMPLE,
        centre=0.0,
        pairs=True,
    ),
    Workflow(
        "12 With KSampler",
        "The same with core's sampler: sampler *ddim* (or *euler*), scheduler *simple*, and **Guidance Rescale**. *cfg* 1 "
        "suits edits with ace-tiny; take 4.5 for the published models." + _SWAP,
        ksampler,
        FLOWER,
    ),
)
