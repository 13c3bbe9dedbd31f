"""ACE++ in a real ComfyUI: from a unit through core's own nodes on a small random FLUX to the picture at its own size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from comfyui_ace.training.workflows.ace_graph import ACEGraph
from host.harness.capture_runs import CaptureFolder
from host.harness.comfy_server import PromptFailedError
from host.harness.edits import BUNDLE, as_tensor, messages, shown
from host.harness.edits import photo as make_photo
from PIL import Image, ImageDraw
from safetensors.torch import save_file

WIDTH, HEIGHT = 131, 90
HIDDEN = 64  # of flux_pack's FLUX


@pytest.fixture(scope="module")
def source(comfy) -> str:
    return comfy.upload_image(make_photo((WIDTH, HEIGHT)), "plus-photo.png")


@pytest.fixture(scope="module")
def reference(comfy) -> str:
    return comfy.upload_image(make_photo((70, 80), turn=90), "plus-reference.png")


@pytest.fixture(scope="module")
def mask_file(comfy) -> str:
    mask = Image.new("L", (WIDTH, HEIGHT))
    ImageDraw.Draw(mask).ellipse((40, 20, 100, 70), fill=255)
    return comfy.upload_image(mask.convert("RGB"), "plus-mask.png")


class PlusGraph(ACEGraph):
    """A graph with a small FLUX; ``model`` may be replaced by one with a LoRA."""

    def __init__(self, kind: str = "FLUX Fill"):
        super().__init__()
        loaded = self.node("ProbeFlux", kind=kind)
        self.model, self.clip, self.vae = loaded[0], loaded[1], loaded[2]

    def mask(self, name: str):
        return self.node("LoadImageMask", image=name, channel="red")

    def encode(self, unit, **settings):
        standard = {"negative": "", "task": "edit the picture", "repainting_scale": 1.0, "keep_pixels": False}
        standard |= {"max_seq_len": 4096, "layout": "as the model", "noise_mask": False, "batch_size": 1}
        parts = {"clip": self.clip, "vae": self.vae, "model": self.model}
        return self.node("ACEEncodePlus", context=unit, **{**parts, **standard, **settings})

    def sample(self, encoded):
        guided = self.node("FluxGuidance", conditioning=encoded[0], guidance=50.0)
        numbers = {"seed": 1, "steps": 2, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
        links = {"positive": guided, "negative": encoded[1], "latent_image": encoded[2]}
        sampled = self.node("KSampler", model=self.model, **links, **numbers)
        return self.node("VAEDecode", samples=sampled, vae=self.vae)

    def show_image(self, image):
        return self.node("PreviewImage", images=image)


def pixels(result, node) -> torch.Tensor:
    (picture,) = result.images[node.id]
    return as_tensor(picture.convert("RGB"))


def unit_of(g: ACEGraph, source: str, reference: str | None = None, mask=None, words: str = "put it on the table"):
    masked = {} if mask is None else {"mask": mask}
    images = [g.ace_image(g.load_image(source), **masked)]
    if reference is not None:
        images.append(g.ace_image(g.load_image(reference), "{image1}"))
    return g.unit(words, *images)


@pytest.mark.parametrize("kind", ["FLUX Fill", "ACE++ full fine-tune"])
def test_the_canvas_is_undone_at_the_pictures_own_size(comfy, source, reference, mask_file, kind):
    g = PlusGraph(kind)
    mask, photo = g.mask(mask_file), g.load_image(source)
    encoded = g.encode(unit_of(g, source, reference, mask))
    canvas = g.sample(encoded)
    whole, original = g.show_image(canvas), g.show_image(photo)
    cropped = g.show_image(g.node("ACECrop", result=canvas, fit=encoded[3], trim=0))
    kept = g.keep_detail(photo, canvas, vae=g.vae, fit=encoded[3])
    detailed = g.show_image(kept)
    pasted = g.show_image(g.paste_back(photo, kept, mask=mask, fit=encoded[3]))
    from_canvas = g.show_image(g.paste_back(photo, canvas, mask=mask, fit=encoded[3]))
    run = comfy.run(g)
    assert pixels(run, whole).shape == (1, 80, 208, 3)  # 78 columns of reference, 131 of the picture, in whole patches
    for node in (cropped, detailed, pasted, from_canvas):
        assert pixels(run, node).shape == (1, HEIGHT, WIDTH, 3)
    outside = torch.from_numpy(np.asarray(Image.open(comfy.base_dir / "input" / mask_file).convert("L")) == 0)
    for node in (pasted, from_canvas):
        assert torch.equal(pixels(run, node)[0][outside], pixels(run, original)[0][outside])
        assert not torch.equal(pixels(run, node), pixels(run, original))


def test_a_new_picture_is_trimmed_to_the_size_asked_for(comfy, reference):
    g = PlusGraph()
    size = {"task": "new picture", "task.width": 112, "task.height": 96}
    encoded = g.encode(unit_of(g, reference, words="the same cup on a table"), **size)
    cropped = g.show_image(g.node("ACECrop", result=g.sample(encoded), fit=encoded[3], trim=30))
    assert pixels(comfy.run(g), cropped).shape == (1, 96, 112, 3)


def test_a_lora_of_the_published_names_is_taken_by_core(comfy, source):
    generator = torch.Generator().manual_seed(2)
    name, rows, columns = "lora_unet_double_blocks_1_img_attn_qkv", 3 * HIDDEN, HIDDEN
    tensors = {
        f"{name}.lora_down.weight": torch.randn(4, columns, generator=generator),
        f"{name}.lora_up.weight": torch.randn(rows, 4, generator=generator),
        f"{name}.alpha": torch.tensor(4.0),
    }
    file = comfy.base_dir / "models" / "loras" / "plus-lora.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file)
    mark = comfy.log_mark()
    results = []
    for lora in (False, True):
        g = PlusGraph()
        if lora:
            g.model = g.load_lora(g.model, file.name)[0]
        node = g.show_image(g.sample(g.encode(unit_of(g, source))))
        results.append(pixels(comfy.run(g), node))
    assert "not loaded" not in comfy.log_text(mark)
    assert not torch.equal(*results)


def test_what_it_does_not_take_is_said_on_the_node(comfy, source, reference):
    cases = []
    g = PlusGraph("ACE++ full fine-tune")
    g.show_image(g.sample(g.encode(unit_of(g, source), layout="LoRA: 16 channels")))
    cases.append((g, "the connected MODEL is the fully fine-tuned model"))
    g = PlusGraph()
    first = unit_of(g, source)
    rounds = g.node("ACERound", context=first, result=g.load_image(source))
    g.show_image(g.sample(g.encode(g.long_context(g.unit("and now this", rounds[1]), rounds[0]))))
    cases.append((g, "earlier round.*connect the Condition Unit itself"))
    g = PlusGraph()
    images = [
        g.ace_image(g.load_image(name), word)
        for name, word in zip((source, reference, reference), ("{image}", "{image1}", "{image2}"), strict=True)
    ]
    g.show_image(g.sample(g.encode(g.unit("put both there", *images))))
    cases.append((g, "one reference beside the picture to edit.*disconnect"))
    g = PlusGraph("FLUX")
    g.show_image(g.sample(g.encode(unit_of(g, source))))
    cases.append((g, "needs FLUX.1-Fill-dev"))
    for graph, words in cases:
        with pytest.raises(PromptFailedError, match=words):
            comfy.run(graph)


def test_preview_shows_the_canvas(comfy, source, reference, mask_file):
    g = PlusGraph()
    unit = unit_of(g, source, reference, g.mask(mask_file))
    fields = {"repainting_scale": 0.5, "keep_pixels": False, "max_seq_len": 4096}
    named = {f"resolution.{name}": value for name, value in fields.items()}
    preview = g.node("ACEPreview", context=unit, resolution="ACE++: edit the picture", **named)
    words = g.node("PreviewAny", source=preview[1])
    run = comfy.run(g)
    assert "canvas: 208×80, 65 tokens" in shown(run, words) and "put it on the table" in shown(run, words)
    (sheet,) = run.images[preview.id]
    assert sheet.width >= 700
    g.node("ACEPreview", context=g.unit("a tree"), resolution="ACE++: edit the picture", **named)
    with pytest.raises(PromptFailedError, match="no picture to edit"):
        comfy.run(g)


def test_one_unit_feeds_ace_and_ace_plus(comfy, bundle, source, reference, mask_file):
    g = PlusGraph()
    mask, photo = g.mask(mask_file), g.load_image(source)
    unit = unit_of(g, source, reference, mask, "fill the marked part of {image} with {image1}")
    small = g.sampler(g.load_bundle(BUNDLE), unit, steps=2, cfg=1.0)
    encoded = g.encode(unit)
    shown_ = [
        g.show_image(g.paste_back(photo, result, mask=mask, fit=fit))
        for result, fit in ((small[0], small[2]), (g.sample(encoded), encoded[3]))
    ]
    run = comfy.run(g)
    one, other = (pixels(run, node) for node in shown_)
    assert one.shape == other.shape == (1, HEIGHT, WIDTH, 3) and not torch.equal(one, other)
    assert messages(run, encoded) == ""


def test_capture_takes_it_as_a_teacher(comfy, reference, tmp_path):
    """Between the markers: pairs of what came in and what ACE++ made of it, at the source's own size."""
    folder = CaptureFolder(tmp_path)
    sources = [folder.picture(f"source{k}.png", k, (WIDTH, HEIGHT)) for k in range(2)]
    g = PlusGraph()
    marked = g.node("ACECaptureSource", image=g.load_image("example.png"), index=0)
    images = g.ace_image(marked), g.ace_image(g.load_image(reference), "{image1}")
    encoded = g.encode(g.unit("{image} in the colours of {image1}", *images), repainting_scale=0.0)
    whole = g.node("ACECrop", result=g.sample(encoded), fit=encoded[3], trim=0)
    words = {"instruction": "{image} in those colours", "dataset": "captured", "tags": "", "seed": -1, "checks": ""}
    g.save_image(g.node("ACECaptureResult", image=whole, **words), "teacher")
    done = folder.run(g, servers=[comfy.url])
    assert done.code == 0, done.errors
    folder.check()
    rows = list(folder.dataset.rows())
    assert {row.instruction for row in rows} == {"{image} in those colours"} and len(rows) == 2
    for pair in folder.dataset:
        assert pair.target.shape == (HEIGHT, WIDTH, 3)
        assert any(np.array_equal(pair.source, source) for source in sources)
        assert not np.array_equal(pair.target, pair.source)
