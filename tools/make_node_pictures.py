"""Makes the pictures of the help pages in ``web/docs/images``: each node on the canvas, wired as usual.

    .venv/bin/python tools/make_node_pictures.py [NODE-ID …]

Needs a ComfyUI as for the host tests, and Chromium. Neighbours are folded up, so that the node itself stays readable in
the narrow help pane; nodes that need no model are run and show what they made.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

from comfyui_ace.training.workflows.bench import Bench  # noqa: E402
from host.harness.browser import ComfyPage, launch_chromium  # noqa: E402
from host.harness.comfy_server import ComfyServer  # noqa: E402
from host.harness.graph import NodeRef  # noqa: E402
from PIL import Image  # noqa: E402

PICTURES = ROOT / "web" / "docs" / "images"
PHOTO = ROOT / "commands" / "data" / "cat.jpg"
MOST_BYTES = 60_000
_COLORS = (128, 64, 32, 16)  # tried until the file is small enough
FOLDER = "holiday photos"
_MARGIN = 10  # pixels around the nodes
_BADGES = "Comfy.NodeBadge.NodeSourceBadgeMode"  # the pack's folder name above each node
_CORNER = (340, 130)  # where on the page the upper left node goes, clear of the side bar

# Folds the neighbours up in columns left and right of the node, removes everything else, and returns the box around
# what is left, in graph coordinates. Called twice, because a folded node knows its width only once it was drawn.
_ARRANGE = """([id, open]) => {
    const graph = app.graph, node = graph.getNodeById(id), byId = key => graph.getNodeById(key);
    const unique = nodes => [...new Set(nodes)];
    const links = slots => slots.flatMap(slot => slot.links ?? [slot.link]).filter(link => link != null);
    const before = unique(links(node.inputs ?? []).map(link => byId(graph.links.get(link).origin_id)));
    const after = unique(links(node.outputs ?? []).map(link => byId(graph.links.get(link).target_id)));
    for (const other of [...graph.nodes]) if (![node, ...before, ...after].includes(other)) graph.remove(other);
    const width = other => other.flags.collapsed ? other._collapsed_width ?? 160 : other.size[0];
    const column = (nodes, x) => {
        let y = 0;
        for (const other of nodes) {
            if (open.includes(String(other.id))) other.setSize([220, 230]);
            else if (!other.flags.collapsed) {
                other.setSize([300, other.size[1]]);  // a folded node is no wider than it was
                other.collapse();
            }
            other.pos = [x(other), y];
            y += other.flags.collapsed ? 46 : other.size[1] + 60;
        }
    };
    // Links within a column would only run in circles.
    for (const nodes of [before, after]) for (const other of nodes) for (const slot of other.inputs ?? [])
        if (slot.link != null && nodes.includes(byId(graph.links.get(slot.link).origin_id)))
            other.disconnectInput(other.inputs.indexOf(slot));
    for (const other of graph.nodes) {
        const full = other.constructor.title, short = full.replace("ACE Edit: ", "");
        // A folded node shows twenty letters of its title.
        const fits = short.length > 20 ? short.slice(0, short.lastIndexOf(" ")) : short;
        other.title = other === node ? full : fits;
    }
    const size = node.computeSize();
    node.setSize([Math.max(300, size[0]), Math.max(size[1], Math.min(node.size[1], size[1] + 220))]);
    node.pos = [0, 0];
    column(before, other => -36 - width(other));
    column(after, () => node.size[0] + 36);
    app.canvas.deselectAll();
    app.canvas.draw(true, true);
    const boxes = graph.nodes.map(other => other.flags.collapsed
        ? [other.pos[0], other.pos[1] - 30, other.pos[0] + width(other), other.pos[1]]
        : [other.pos[0], other.pos[1] - 30, other.pos[0] + other.size[0], other.pos[1] + other.size[1]]);
    return [0, 1, 2, 3].map(k => (k < 2 ? Math.min : Math.max)(...boxes.map(box => box[k])));
}"""
_FIX_SEEDS = """() => app.graph.nodes.flatMap(node => node.widgets ?? [])
    .filter(widget => widget.name === "control_after_generate").forEach(widget => { widget.value = "fixed" })"""
_LOOK_AT = """([left, top, x, y]) => {
    const corner = app.canvas.canvas.getBoundingClientRect();
    app.canvas.ds.scale = 1;
    app.canvas.ds.offset = [x - corner.left - left, y - corner.top - top];
    app.canvas.draw(true, true);
}"""


@dataclass(frozen=True)
class Scene:
    """A node to be shown.

    Attributes:
        node: the one.
        shows: neighbours that stay unfolded, because they show what the node makes; the graph is run for them.
        run: whether to run the graph for what the node itself shows.
    """

    node: NodeRef
    shows: tuple[NodeRef, ...] = ()
    run: bool = False


def _load_bundle(g: Bench, photo: NodeRef) -> Scene:
    models = g.node("ACELoadBundle", bundle="ACE-0.6B-512px", download=False, weight_dtype="default")
    g.sampler(models, g.unit("", g.ace_image(photo)))
    return Scene(models)


def _load_model(g: Bench, photo: NodeRef) -> Scene:
    file = "ACE-0.6B-512px/models/dit/ace_0.6b_512px.pth"
    model = g.node("ACELoadModel", model_name=file, weight_dtype="default")
    g.sampler(g.bundle(), g.unit("", g.ace_image(photo)), model=model[0])
    return Scene(model)


def _load_text_encoder(g: Bench, photo: NodeRef) -> Scene:
    clip = g.node("ACELoadTextEncoder", text_encoder_name="t5xxl_fp8_e4m3fn.safetensors")
    g.set(g.sampler(g.bundle(), g.unit("", g.ace_image(photo))), clip=clip)
    return Scene(clip)


def _image(g: Bench, photo: NodeRef) -> Scene:
    image = g.ace_image(photo, mask=photo[1])
    g.unit("", image)
    return Scene(image)


def _condition_unit(g: Bench, photo: NodeRef) -> Scene:
    images = [g.ace_image(photo), g.ace_image(photo, "{image1}")]
    unit = g.unit("put the hat of {image1} on {image}", *images)
    g.sampler(g.bundle(), unit)
    return Scene(unit)


def _long_context(g: Bench, photo: NodeRef) -> Scene:
    models, first = g.bundle(), g.unit("{image} make it snow", g.ace_image(photo))
    earlier = g.node("ACERound", context=first, result=g.sampler(models, first))
    unit = g.unit("{image} add a red scarf", earlier[1])
    context = g.node("ACELongContext", unit=unit, history=earlier, max_rounds=4)
    g.sampler(models, context)
    return Scene(context)


def _round(g: Bench, photo: NodeRef) -> Scene:
    models, first = g.bundle(), g.unit("{image} make it snow", g.ace_image(photo))
    following = g.node("ACERound", context=first, result=g.sampler(models, first))
    unit = g.unit("{image} add a red scarf", following[1])
    g.node("ACELongContext", unit=unit, history=following, max_rounds=4)
    return Scene(following)


def _instruction(g: Bench, photo: NodeRef) -> Scene:
    task = {"task": "Element editing / Add an object", "task.object": "a red scarf", "task.place": "around its neck"}
    written = g.node("ACEInstruction", own_wording="", seed=0, language="English", **task)
    unit = g.unit("", g.ace_image(photo))
    g.set(unit, instruction=written[0])
    return Scene(written)


def _preview(g: Bench, photo: NodeRef) -> Scene:
    images = [g.ace_image(photo, mask=_mask(g, photo)), g.ace_image(photo, "{image1}")]
    unit = g.unit("put the hat of {image1} on {image}", *images)
    return Scene(g.node("ACEPreview", context=unit, resolution="512 px model"), run=True)


def _encode(g: Bench, photo: NodeRef) -> Scene:
    encoded, _ = _encoded_ksampler(g, photo)
    return Scene(encoded)


def _guidance_rescale(g: Bench, photo: NodeRef) -> Scene:
    _, rescaled = _encoded_ksampler(g, photo)
    return Scene(rescaled)


def _encoded_ksampler(g: Bench, photo: NodeRef) -> tuple[NodeRef, NodeRef]:
    models, unit = g.bundle(), g.unit("{image} make it snow", g.ace_image(photo))
    settings = {"negative": "", "resolution": "as the model", "batch_size": 1}
    encoded = g.node("ACEEncode", clip=models[1], vae=models[2], context=unit, model=models[0], **settings)
    rescaled = g.node("ACEGuidanceRescale", model=models[0], guidance_rescale=0.5)
    settings = {"seed": 1, "steps": 20, "cfg": 4.5, "sampler_name": "ddim", "scheduler": "simple", "denoise": 1.0}
    links = {"positive": encoded[0], "negative": encoded[1], "latent_image": encoded[2]}
    g.node("KSampler", model=rescaled, **links, **settings)
    return encoded, rescaled


def _sampler(g: Bench, photo: NodeRef) -> Scene:
    sampled = g.sampler(g.bundle(), g.unit("{image} make it snow", g.ace_image(photo)))
    g.save(sampled[0], "edit")
    return Scene(sampled)


def _condition_image(g: Bench, photo: NodeRef) -> Scene:
    edges = g.node("ACEConditionImage", image=photo, kind="Pencil sketch")
    g.ace_image(edges)
    return Scene(edges, (g.node("PreviewImage", images=edges),))


def _mask(g: Bench, photo: NodeRef, seed: int = 4) -> NodeRef:
    size = {"width": 512, "height": 512, "count": 1, "seed": seed, "least": 0.1, "most": 0.3}
    return g.node("ACERandomMask", image=photo, kind="strokes", style="thick", **size)


def _mask_prepare(g: Bench, photo: NodeRef) -> Scene:
    shape = {"threshold": 128, "invert": False, "fill_holes": True, "grow": 8, "corners": "round", "feather": 16}
    rules = {"unite": False, "alpha_marks": "transparent", "if_shapes_differ": "tell me"}
    mask = g.node("ACEMaskPrepare", mask=photo[1], image=photo, **shape, **rules)
    g.ace_image(photo, mask=mask[0])
    _paste_back_node(g, photo, photo, mask=mask[1], seam="as the mask fades")
    return Scene(mask)


def _random_mask(g: Bench, photo: NodeRef) -> Scene:
    mask = _mask(g, photo)
    hole = g.node("ACEInpaint", image=photo, mask=mask, way="blank: paint something new", indicator="{image}")
    g.unit("", hole)
    return Scene(mask, (g.node("MaskPreview", mask=mask),))


def _inpaint(g: Bench, photo: NodeRef) -> Scene:
    hole = g.node(
        "ACEInpaint", image=photo, mask=_mask(g, photo), way="blank: paint something new", indicator="{image}"
    )
    g.unit("", hole)
    _paste_back_node(g, photo, photo, mask=hole[2])
    return Scene(hole, (g.node("PreviewImage", images=hole[1]),))


def _outpaint(g: Bench, photo: NodeRef) -> Scene:
    sides = {"extend.left": 0.25, "extend.top": 0.0, "extend.right": 0.25, "extend.bottom": 0.0}
    place = {"extend": "by ratio", "overlap": 8, "round_up": True, "indicator": "{image}"}
    canvas = g.node("ACEOutpaint", image=photo, **place, **sides)
    g.unit("", canvas)
    _paste_back_node(g, photo, photo, placement=canvas[3])
    return Scene(canvas, (g.node("PreviewImage", images=canvas[1]),))


def _paste_back_node(g: Bench, original: NodeRef, result, seam: str = "fade in", **links) -> NodeRef:
    field = {"seam.feather": 8} if seam == "fade in" else {}
    return g.node("ACEPasteBack", original=original, result=result, match_colors=False, seam=seam, **field, **links)


def _paste_back(g: Bench, photo: NodeRef) -> Scene:
    mask = _mask(g, photo)
    sampled = g.sampler(g.bundle(), g.unit("{image} make it snow", g.ace_image(photo, mask=mask)))
    pasted = _paste_back_node(g, photo, sampled[0], mask=mask, fit=sampled[2])
    g.save(pasted, "edit")
    return Scene(pasted)


def _captured(g: Bench, photo: NodeRef) -> tuple[NodeRef, NodeRef]:
    """Marked source and marked result of an edit that needs no model."""
    source = g.node("ACECaptureSource", image=photo[0], mask=photo[1], index=0)
    inverted = g.node("ImageInvert", image=source)
    words = {"instruction": "{image} as a photographic negative", "dataset": "my-pairs"}
    result = g.node("ACECaptureResult", image=inverted, **words, tags="", seed=-1, checks="")
    g.save(result, "edit")
    return source, result


def _capture_source(g: Bench, photo: NodeRef) -> Scene:
    return Scene(_captured(g, photo)[0])


def _capture_result(g: Bench, photo: NodeRef) -> Scene:
    return Scene(_captured(g, photo)[1], run=True)


def _capture_pair(g: Bench, photo: NodeRef) -> Scene:
    words = {"instruction": "{image} as a photographic negative", "dataset": "my-pairs", "tags": "", "checks": ""}
    inverted = g.node("ImageInvert", image=photo)
    return Scene(g.node("ACECapturePair", source=photo[0], result=inverted, seed=-1, **words), run=True)


def _load_dataset(g: Bench, photo: NodeRef) -> Scene:
    loaded = g.node("ACELoadDataset", dataset="my-pairs", split="all", pictures=0, first=0)
    g.node("ACEBrowseDataset", dataset=loaded, number=0, pair_id="", split="all")
    return Scene(loaded)


def _browse_dataset(g: Bench, photo: NodeRef) -> Scene:
    loaded = g.node("ACELoadDataset", dataset="my-pairs", split="all", pictures=0, first=0)
    browse = g.node("ACEBrowseDataset", dataset=loaded, number=0, pair_id="", split="all")
    g.node("PreviewImage", images=browse[2])
    return Scene(browse, run=True)


def _sweep(g: Bench, photo: NodeRef) -> Scene:
    words = {"dataset": "my-pairs", "instruction": "{image} as an oil painting", "tags": "", "checks": ""}
    folders = {"folder": FOLDER, "masks": "none", "second_folder": "none"}
    return Scene(g.node("ACESweep", **folders, **words, seeds=1, action="start", retry_set_aside=False))


def _training(g: Bench, kind: str) -> Scene:
    loaded = g.node("ACELoadDataset", dataset="my-pairs", split="all", pictures=0, first=0)
    controls = {"steps": 2000, "rank": 32, "learning_rate": 0.0002, "batch_size": 4, "seed": 0, "config": "(standard)"}
    named = {"dataset_name": "(the connected one)", "bundle": "ACE-0.6B-512px", "name": "my edit"}
    return Scene(g.node(kind, dataset=loaded, **named, **controls))


def _train(g: Bench, photo: NodeRef) -> Scene:
    return _training(g, "ACETrain")


def _distil(g: Bench, photo: NodeRef) -> Scene:
    return _training(g, "ACEDistil")


SCENES: dict[str, Callable[[Bench, NodeRef], Scene]] = {
    "ACELoadBundle": _load_bundle,
    "ACELoadModel": _load_model,
    "ACELoadTextEncoder": _load_text_encoder,
    "ACEImage": _image,
    "ACEConditionUnit": _condition_unit,
    "ACELongContext": _long_context,
    "ACERound": _round,
    "ACEInstruction": _instruction,
    "ACEPreview": _preview,
    "ACEEncode": _encode,
    "ACEGuidanceRescale": _guidance_rescale,
    "ACESampler": _sampler,
    "ACEConditionImage": _condition_image,
    "ACEMaskPrepare": _mask_prepare,
    "ACERandomMask": _random_mask,
    "ACEInpaint": _inpaint,
    "ACEOutpaint": _outpaint,
    "ACEPasteBack": _paste_back,
    "ACECaptureSource": _capture_source,
    "ACECaptureResult": _capture_result,
    "ACECapturePair": _capture_pair,
    "ACELoadDataset": _load_dataset,
    "ACEBrowseDataset": _browse_dataset,
    "ACESweep": _sweep,
    "ACETrain": _train,
    "ACEDistil": _distil,
}


def take_picture(page: ComfyPage, name: str, photo: str) -> Image.Image:
    """The node ``name`` in its scene; ``photo`` is a file in the input folder."""
    page.page.evaluate("id => app.extensionManager.setting.set(id, 'None')", _BADGES)
    g = Bench()
    scene = SCENES[name](g, g.node("LoadImage", image=photo))
    page.load_prompt(g)
    page.page.evaluate(_FIX_SEEDS)
    if scene.run or scene.shows:
        page.queue()
    shown = [ref.id for ref in scene.shows]
    for _ in range(2):
        left, top, right, bottom = page.page.evaluate(_ARRANGE, [scene.node.id, shown])
        page.page.evaluate(_LOOK_AT, [left, top, *_CORNER])
        page.settle()
    clip = {"x": _CORNER[0] - _MARGIN, "y": _CORNER[1] - _MARGIN}
    clip |= {"width": right - left + 2 * _MARGIN, "height": bottom - top + 2 * _MARGIN}
    return Image.open(io.BytesIO(page.page.screenshot(clip=clip)))


def write(picture: Image.Image, path: Path) -> None:
    """As a PNG with as many colours as the size limit allows.

    Raises:
        ValueError: it is too large even with the fewest colours.
    """
    for colors in _COLORS:
        buffer = io.BytesIO()
        picture.convert("RGB").quantize(colors, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        if buffer.tell() <= MOST_BYTES:
            path.write_bytes(buffer.getvalue())
            return
    raise ValueError(f"{path.name} would take {buffer.tell()} bytes; at most {MOST_BYTES} are allowed")


def make_pictures(server: ComfyServer, names: list[str]) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    photo = server.upload_image(PHOTO, PHOTO.name)
    _fill_folders(server)
    with launch_chromium() as chromium:
        for name in names:
            page = ComfyPage(chromium, server)
            write(take_picture(page, name, photo), PICTURES / f"{name}.png")
            page.close()


def _fill_folders(server: ComfyServer) -> None:
    """A folder to sweep over, and a dataset to look at."""
    import numpy as np
    from comfyui_ace.training.dataset.store import Dataset, Pair

    folder = server.base_dir / "input" / FOLDER
    folder.mkdir()
    dataset = Dataset.create(server.base_dir / "output" / "datasets", "my-pairs")
    with Image.open(PHOTO) as photo:
        photo.save(folder / PHOTO.name)
        for number in range(6):
            before = np.asarray(photo.convert("RGB").rotate(60 * number).resize((128, 128)))
            dataset.append(Pair(target=255 - before, source=before, instruction=f"negative of picture {number}"))


if __name__ == "__main__":
    with ComfyServer() as comfy:
        make_pictures(comfy, sys.argv[1:] or list(SCENES))
