"""Makes the pictures of the help pages in ``web/docs/images``: each node on the canvas, wired as usual.

    .venv/bin/python tools/make_node_pictures.py [NODE-ID …]

Needs a ComfyUI as for the host tests, and Chromium. Neighbours are collapsed, so that the node itself stays readable in
the narrow help pane; nodes that need no model are run and show what they made.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

from comfyui_ace.training.workflows.ace_graph import ACEGraph  # noqa: E402
from host.harness.browser import ComfyPage, launch_chromium  # noqa: E402
from host.harness.comfy_server import ComfyServer  # noqa: E402
from host.harness.graph import NodeRef  # noqa: E402
from model_files import MODELS  # noqa: E402
from node_screenshots import Scene, screenshot_node, write  # noqa: E402
from PIL import Image  # noqa: E402
from plus_graphs import encode_plus, load_flux, sample_plus  # noqa: E402

PICTURES = ROOT / "web" / "docs" / "images"
PHOTO = ROOT / "commands" / "data" / "cat.jpg"
FOLDER = "holiday photos"
_EDITNET = "night.safetensors"
_MODEL_FILES = (
    "ace/ACE-0.6B-512px/models/dit/ace_0.6b_512px.pth",
    "text_encoders/t5xxl_fp8_e4m3fn.safetensors",
    f"model_patches/{_EDITNET}",
)


def _load_bundle(g: ACEGraph, photo: NodeRef) -> Scene:
    models = g.node("ACELoadBundle", bundle="ACE-0.6B-512px", download=False, weight_dtype="default")
    g.sampler(models, g.unit("", g.ace_image(photo)))
    return Scene(models)


def _load_model(g: ACEGraph, photo: NodeRef) -> Scene:
    file = "ACE-0.6B-512px/models/dit/ace_0.6b_512px.pth"
    model = g.node("ACELoadModel", model_name=file, weight_dtype="default")
    g.sampler(g.load_bundle(), g.unit("", g.ace_image(photo)), model=model[0])
    return Scene(model)


def _load_text_encoder(g: ACEGraph, photo: NodeRef) -> Scene:
    clip = g.node("ACELoadTextEncoder", text_encoder_name="t5xxl_fp8_e4m3fn.safetensors")
    g.set(g.sampler(g.load_bundle(), g.unit("", g.ace_image(photo))), clip=clip)
    return Scene(clip)


def _load_editnet(g: ACEGraph, photo: NodeRef) -> Scene:
    models = g.load_bundle()
    steered = g.node("ACELoadEditNet", model=models[0], editnet_name=_EDITNET, strength=1.0)
    g.sampler(models, g.unit("", g.ace_image(photo)), model=steered[0])
    return Scene(steered)


def _image(g: ACEGraph, photo: NodeRef) -> Scene:
    image = g.ace_image(photo, "auto", mask=photo[1])
    g.unit("", image)
    return Scene(image)


def _condition_unit(g: ACEGraph, photo: NodeRef) -> Scene:
    images = [g.ace_image(photo, "auto"), g.ace_image(photo, "auto")]
    unit = g.unit("put the hat of {image1} on {image}", *images)
    g.sampler(g.load_bundle(), unit)
    return Scene(unit)


def _long_context(g: ACEGraph, photo: NodeRef) -> Scene:
    models, first = g.load_bundle(), g.unit("{image} make it snow", g.ace_image(photo))
    earlier = g.node("ACERound", context=first, result=g.sampler(models, first))
    unit = g.unit("{image} add a red scarf", earlier[1])
    context = g.node("ACELongContext", unit=unit, history=earlier, max_rounds=4)
    g.sampler(models, context)
    return Scene(context)


def _round(g: ACEGraph, photo: NodeRef) -> Scene:
    models, first = g.load_bundle(), g.unit("{image} make it snow", g.ace_image(photo))
    following = g.node("ACERound", context=first, result=g.sampler(models, first))
    unit = g.unit("{image} add a red scarf", following[1])
    g.node("ACELongContext", unit=unit, history=following, max_rounds=4)
    return Scene(following)


def _instruction(g: ACEGraph, photo: NodeRef) -> Scene:
    task = {"task": "Element editing / Add an object", "task.object": "a red scarf", "task.place": "around its neck"}
    written = g.node("ACEInstruction", own_wording="", seed=0, language="English", **task)
    unit = g.unit("", g.ace_image(photo))
    g.set(unit, instruction=written[0])
    return Scene(written)


def _preview(g: ACEGraph, photo: NodeRef) -> Scene:
    images = [g.ace_image(photo, mask=_mask(g, photo)), g.ace_image(photo, "{image1}")]
    unit = g.unit("put the hat of {image1} on {image}", *images)
    return Scene(g.node("ACEPreview", context=unit, resolution="512 px model"), run=True)


def _encode(g: ACEGraph, photo: NodeRef) -> Scene:
    encoded, _ = _encoded_ksampler(g, photo)
    return Scene(encoded)


def _encode_plus(g: ACEGraph, photo: NodeRef) -> Scene:
    images = [g.ace_image(photo), g.ace_image(photo, "{image1}")]
    return Scene(encode_plus(g, load_flux(g), g.unit("put the hat of {image1} on {image}", *images)))


def _crop(g: ACEGraph, photo: NodeRef) -> Scene:
    canvas, fit = sample_plus(g, load_flux(g), g.unit("", g.ace_image(photo)))
    cropped = g.node("ACECrop", result=canvas, fit=fit, trim=0)
    g.save_image(cropped, "edit")
    return Scene(cropped)


def _guidance_rescale(g: ACEGraph, photo: NodeRef) -> Scene:
    _, rescaled = _encoded_ksampler(g, photo)
    return Scene(rescaled)


def _encoded_ksampler(g: ACEGraph, photo: NodeRef) -> tuple[NodeRef, NodeRef]:
    models, unit = g.load_bundle(), g.unit("{image} make it snow", g.ace_image(photo))
    settings = {"negative": "", "resolution": "as the model", "batch_size": 1}
    encoded = g.node("ACEEncode", clip=models[1], vae=models[2], context=unit, model=models[0], **settings)
    rescaled = g.node("ACEGuidanceRescale", model=models[0], guidance_rescale=0.5)
    settings = {"seed": 1, "steps": 20, "cfg": 4.5, "sampler_name": "ddim", "scheduler": "simple", "denoise": 1.0}
    links = {"positive": encoded[0], "negative": encoded[1], "latent_image": encoded[2]}
    g.node("KSampler", model=rescaled, **links, **settings)
    return encoded, rescaled


def _sampler(g: ACEGraph, photo: NodeRef) -> Scene:
    sampled = g.sampler(g.load_bundle(), g.unit("{image} make it snow", g.ace_image(photo)), cfg=4.5)
    g.save_image(sampled[0], "edit")
    return Scene(sampled)


def _condition_image(g: ACEGraph, photo: NodeRef) -> Scene:
    edges = g.node("ACEConditionImage", image=photo, kind="Pencil sketch")
    g.ace_image(edges)
    return Scene(edges, (g.node("PreviewImage", images=edges),))


def _mask(g: ACEGraph, photo: NodeRef, seed: int = 4) -> NodeRef:
    size = {"width": 512, "height": 512, "count": 1, "seed": seed, "least": 0.1, "most": 0.3}
    return g.node("ACERandomMask", image=photo, kind="strokes", style="thick", **size)


def _mask_prepare(g: ACEGraph, photo: NodeRef) -> Scene:
    shape = {"threshold": 128, "invert": False, "fill_holes": True, "grow": 8, "corners": "round", "feather": 16}
    rules = {"unite": False, "alpha_marks": "auto", "if_shapes_differ": "tell me"}
    mask = g.node("ACEMaskPrepare", mask=photo[1], image=photo, **shape, **rules)
    g.ace_image(photo, mask=mask[0])
    _paste_back_node(g, photo, photo, mask=mask[1], seam="as the mask fades")
    return Scene(mask)


def _random_mask(g: ACEGraph, photo: NodeRef) -> Scene:
    mask = _mask(g, photo)
    hole = g.node("ACEInpaint", image=photo, mask=mask, way="blank: paint something new", indicator="{image}")
    g.unit("", hole)
    return Scene(mask, (g.node("MaskPreview", mask=mask),))


def _inpaint(g: ACEGraph, photo: NodeRef) -> Scene:
    hole = g.node(
        "ACEInpaint", image=photo, mask=_mask(g, photo), way="blank: paint something new", indicator="{image}"
    )
    g.unit("", hole)
    _paste_back_node(g, photo, photo, mask=hole[2])
    return Scene(hole, (g.node("PreviewImage", images=hole[1]),))


def _outpaint(g: ACEGraph, photo: NodeRef) -> Scene:
    sides = {"extend.left": 0.25, "extend.top": 0.0, "extend.right": 0.25, "extend.bottom": 0.0}
    place = {"extend": "by ratio", "overlap": 8, "round_up": True, "indicator": "{image}"}
    canvas = g.node("ACEOutpaint", image=photo, **place, **sides)
    g.unit("", canvas)
    _paste_back_node(g, photo, photo, placement=canvas[3])
    return Scene(canvas, (g.node("PreviewImage", images=canvas[1]),))


def _paste_back_node(g: ACEGraph, original: NodeRef, result, seam: str = "fade in", **links) -> NodeRef:
    field = {"seam.feather": 8} if seam == "fade in" else {}
    return g.node("ACEPasteBack", original=original, result=result, match_colors=False, seam=seam, **field, **links)


def _paste_back(g: ACEGraph, photo: NodeRef) -> Scene:
    mask = _mask(g, photo)
    sampled = g.sampler(g.load_bundle(), g.unit("{image} make it snow", g.ace_image(photo, mask=mask)))
    pasted = _paste_back_node(g, photo, sampled[0], mask=mask, fit=sampled[2])
    g.save_image(pasted, "edit")
    return Scene(pasted)


def _keep_detail(g: ACEGraph, photo: NodeRef) -> Scene:
    bundle = g.load_bundle()
    sampled = g.sampler(bundle, g.unit("{image} make it snow", g.ace_image(photo)))
    kept = g.keep_detail(photo, sampled[0], vae=bundle[2], fit=sampled[2])
    g.save_image(kept, "edit")
    return Scene(kept)


def _captured(g: ACEGraph, photo: NodeRef) -> tuple[NodeRef, NodeRef]:
    """Marked source and marked result of an edit that needs no model."""
    source = g.node("ACECaptureSource", image=photo[0], mask=photo[1], index=0)
    inverted = g.node("ImageInvert", image=source)
    words = {"instruction": "{image} as a photographic negative", "dataset": "my-pairs"}
    result = g.node("ACECaptureResult", image=inverted, **words, tags="", seed=-1, checks="")
    g.save_image(result, "edit")
    return source, result


def _capture_source(g: ACEGraph, photo: NodeRef) -> Scene:
    return Scene(_captured(g, photo)[0])


def _capture_result(g: ACEGraph, photo: NodeRef) -> Scene:
    return Scene(_captured(g, photo)[1], run=True)


def _capture_pair(g: ACEGraph, photo: NodeRef) -> Scene:
    words = {"instruction": "{image} as a photographic negative", "dataset": "negatives", "tags": "", "checks": ""}
    inverted = g.node("ImageInvert", image=photo)
    return Scene(g.node("ACECapturePair", source=photo[0], result=inverted, seed=-1, **words), run=True)


def _load_dataset(g: ACEGraph, photo: NodeRef) -> Scene:
    loaded = g.node("ACELoadDataset", dataset="my-pairs", split="all", pictures=0, first=0)
    g.node("ACEBrowseDataset", dataset=loaded, number=0, pair_id="", split="all")
    return Scene(loaded)


def _judge(g: ACEGraph, photo: NodeRef) -> Scene:
    loaded = g.node("ACELoadDataset", dataset="my-pairs", split="all", pictures=0, first=0)
    widgets = {"server": "", "model": "", "pairs": 0, "edit": "", "weights": "at least", "share": 0.3, "score": 6.0}
    judge = g.node("ACEJudge", dataset=loaded, **widgets, force=False)
    g.node("PreviewAny", source=judge[1])
    return Scene(judge, run=True)


def _label(g: ACEGraph, photo: NodeRef) -> Scene:
    loaded = g.node("ACELoadDataset", dataset="my-pairs", split="all", pictures=0, first=0)
    widgets = {"server": "", "model": "", "pairs": 0, "language": "English", "rewrites": 0, "rows": "propose only"}
    label = g.node("ACELabel", dataset=loaded, **widgets)
    g.node("PreviewAny", source=label[1])
    return Scene(label, run=True)


def _browse_dataset(g: ACEGraph, photo: NodeRef) -> Scene:
    loaded = g.node("ACELoadDataset", dataset="my-pairs", split="all", pictures=0, first=0)
    browse = g.node("ACEBrowseDataset", dataset=loaded, number=0, pair_id="", split="all")
    g.node("PreviewImage", images=browse[2])
    return Scene(browse, run=True)


def _sweep(g: ACEGraph, photo: NodeRef) -> Scene:
    words = {"dataset": "my-pairs", "instruction": "{image} as an oil painting", "tags": "", "checks": ""}
    folders = {"folder": FOLDER, "masks": "none", "second_folder": "none"}
    return Scene(g.node("ACESweep", **folders, **words, seeds=1, action="start", retry_set_aside=False))


def _training(g: ACEGraph, kind: str) -> Scene:
    loaded = g.node("ACELoadDataset", dataset="my-pairs", split="all", pictures=0, first=0)
    controls = {"steps": 2000, "rank": 32, "learning_rate": 0.0002, "batch_size": 4, "seed": 0, "config": "(standard)"}
    named = {"dataset_name": "(the connected one)", "bundle": "ACE-0.6B-512px", "name": "my edit"}
    return Scene(g.node(kind, dataset=loaded, **named, **controls))


def _train(g: ACEGraph, photo: NodeRef) -> Scene:
    return _training(g, "ACETrain")


def _distil(g: ACEGraph, photo: NodeRef) -> Scene:
    return _training(g, "ACEDistil")


def _chat_answer(g: ACEGraph, photo: NodeRef) -> Scene:
    return Scene(g.node("ACEChatAnswer", image=photo, chat="", turn=""), run=True)


SCENES: dict[str, Callable[[ACEGraph, NodeRef], Scene]] = {
    "ACELoadBundle": _load_bundle,
    "ACELoadModel": _load_model,
    "ACELoadTextEncoder": _load_text_encoder,
    "ACELoadEditNet": _load_editnet,
    "ACEImage": _image,
    "ACEConditionUnit": _condition_unit,
    "ACELongContext": _long_context,
    "ACERound": _round,
    "ACEInstruction": _instruction,
    "ACEPreview": _preview,
    "ACEEncode": _encode,
    "ACEEncodePlus": _encode_plus,
    "ACEGuidanceRescale": _guidance_rescale,
    "ACESampler": _sampler,
    "ACEConditionImage": _condition_image,
    "ACEMaskPrepare": _mask_prepare,
    "ACERandomMask": _random_mask,
    "ACEInpaint": _inpaint,
    "ACEOutpaint": _outpaint,
    "ACEKeepDetail": _keep_detail,
    "ACEPasteBack": _paste_back,
    "ACECrop": _crop,
    "ACECaptureSource": _capture_source,
    "ACECaptureResult": _capture_result,
    "ACECapturePair": _capture_pair,
    "ACELoadDataset": _load_dataset,
    "ACEBrowseDataset": _browse_dataset,
    "ACEJudge": _judge,
    "ACELabel": _label,
    "ACESweep": _sweep,
    "ACETrain": _train,
    "ACEDistil": _distil,
    "ACEChatAnswer": _chat_answer,
}


def make_pictures(server: ComfyServer, names: list[str]) -> None:
    """Makes the pictures of the nodes of these ids."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    photo = server.upload_image(PHOTO, PHOTO.name)
    _fill_folders(server)
    with launch_chromium() as chromium:
        page = ComfyPage(chromium, server)  # one for all: each scene opens in a tab of its own
        for number, name in enumerate(names):
            write(screenshot_node(page, SCENES[name], photo, 1 + 100 * number), PICTURES / f"{name}.png")
        page.close()


def _fill_folders(server: ComfyServer) -> None:
    """A folder to sweep over, a dataset to look at, and names of models, without which their loaders are framed in red."""
    import numpy as np
    from comfyui_ace.training.dataset.store import Dataset, Pair

    folder = server.base_dir / "input" / FOLDER
    folder.mkdir()
    for name in (*_MODEL_FILES, *(f"{folder}/{name}" for name, (_, folder) in MODELS.items())):
        path = server.base_dir / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    dataset = Dataset.create(server.base_dir / "output" / "datasets", "my-pairs")
    with Image.open(PHOTO) as photo:
        photo.save(folder / PHOTO.name)
        for number in range(6):
            before = np.asarray(photo.convert("RGB").rotate(60 * number).resize((128, 128)))
            dataset.append(Pair(target=255 - before, source=before, instruction=f"negative of picture {number}"))


if __name__ == "__main__":
    with ComfyServer() as comfy:
        make_pictures(comfy, sys.argv[1:] or list(SCENES))
