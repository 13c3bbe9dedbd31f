"""The same workflow captured by its markers and over a folder: both keep what it really did, and the same of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from comfyui_ace.training.dataset.store import Pair
from host.harness.capture_graphs import capture_result, capture_source, wait_for_pairs
from host.harness.capture_runs import CaptureFolder
from host.harness.comfy_server import Graph, NodeRef
from host.harness.edits import EditGraph, photo
from PIL import Image

_SIZE = (64, 48)  # width, height
_SEED = 11


def _sharpened(g: Graph, source: NodeRef) -> NodeRef:
    return g.node("ImageSharpen", image=source, sharpen_radius=2, sigma=1.0, alpha=1.5)


def _colours_matched(g: Graph, source: NodeRef) -> NodeRef:
    """Core 0.8 has no node that matches colours: here the soft colours of a second picture are laid over the first."""
    style = capture_source(g, g.node("LoadImage", image="style.png"), index=1)
    colours = g.node("ImageBlur", image=style, blur_radius=12, sigma=8.0)
    return g.node("ImageBlend", image1=source, image2=colours, blend_factor=0.4, blend_mode="soft_light")


def _edited(g: EditGraph, source: NodeRef) -> NodeRef:
    unit = g.unit("{image} make it snow", g.node("ACEImage", image=source, indicator="{image}"))
    return g.sampler(unit, seed=_SEED, steps=2)


WORKFLOWS: dict[str, tuple[Callable[[], Graph], Callable, int]] = {
    "sharpened": (Graph, _sharpened, 1),
    "colours-matched": (Graph, _colours_matched, 2),
    "ace-edited": (lambda: EditGraph(bundle="ace-tiny"), _edited, 1),
}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_markers_and_a_folder_keep_the_same(comfy, tmp_path, name):
    begin, edit, pictures = WORKFLOWS[name]
    before, style = photo(_SIZE), photo(_SIZE, turn=180)
    comfy.upload_image(style, "style.png")
    g = begin()
    source = capture_source(g, g.node("LoadImage", image=comfy.upload_image(before, f"{name}.png")))
    # What such a small model makes of a photograph is not for the checks to judge.
    result = capture_result(
        g, edit(g, source)[0], name, instruction="{image} changed", checks="no_op=off, blank=off, size=off"
    )
    saved = g.node("SaveImage", images=result, filename_prefix=name)
    shown = np.asarray(comfy.run(g).images[saved.id][0])

    folder = CaptureFolder(tmp_path)
    folder.write("photo.png", before)
    seed = ("--first-seed", _SEED) if name == "ace-edited" else ()
    swept = folder.run(g, *seed, servers=[comfy.url])
    assert swept.code == 0, swept.errors
    folder.check()

    (by_markers,), (by_folder,) = wait_for_pairs(comfy, name, 1), folder.dataset
    for pair in (by_markers, by_folder):
        _assert_pair(pair, [before, style][:pictures], shown)


def _assert_pair(pair: Pair, pictures: list[Image.Image], shown: np.ndarray) -> None:
    assert pair.instruction == "{image} changed"
    for kept, picture in zip((pair.source, *pair.references), pictures, strict=True):
        np.testing.assert_array_equal(kept, np.asarray(picture))
    np.testing.assert_allclose(pair.target.astype(int), shown, atol=1)  # the host truncates when it saves
    assert np.abs(pair.target.astype(int) - pair.source).mean() > 1  # and something was done
