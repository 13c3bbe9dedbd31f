"""Every shipped workflow, opened, run, saved and run again in the real front end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from host.harness.comfy_server import PACK_ROOT
from PIL import ImageChops
from safetensors.torch import save_file

FILES = sorted((PACK_ROOT / "workflows").glob("*.json"))
# What a workflow asks of the user's machine beside the pack, by a node that has no choice here.
NEEDS_A_MODEL = {"CheckpointLoaderSimple"}


@pytest.fixture(scope="module")
def inputs(comfy) -> None:
    """The input folder of a fresh ComfyUI, and what single workflows ask for: a folder of pictures, a LoRA."""
    source = comfy.host.directory / "input" / "example.png"
    folder = comfy.base_dir / "input"
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    for target in (folder / "example.png", folder / "photos" / "example.png"):
        shutil.copy(source, target)
    write_lora(comfy.base_dir / "models" / "loras" / "ace-lora.safetensors")


def write_lora(path: Path) -> None:
    """A LoRA of rank 1 for the shipped model's first query projection."""
    from comfyui_ace.ace.bundles.bundle import find_bundle
    from comfyui_ace.ace.weights.checkpoint import read_checkpoint

    width = read_checkpoint(find_bundle(PACK_ROOT / "bundles" / "ace-tiny").dit).config.hidden_size
    name = "diffusion_model.blocks.0.attn.q"
    generator = torch.Generator().manual_seed(0)
    down, up = (torch.randn(shape, generator=generator) for shape in ((1, width), (width, 1)))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}, path)


def saved_pictures(page, result) -> list:
    """Pictures of all SaveImage nodes, in the order of their ids."""
    prompt = page.export_prompt()
    return [
        image
        for node, images in sorted(result.images.items())
        if prompt[node]["class_type"] == "SaveImage"
        for image in images
    ]


def assert_healthy(page) -> None:
    assert page.missing_node_types() == []
    assert page.red_nodes() == []
    assert page.alerts() == []
    assert page.errors == []


def test_the_pack_ships_workflows_with_thumbnails(comfy):
    assert len(FILES) >= 11
    listed = comfy.fetch("/workflow_templates").json()["ace-edit"]
    assert sorted(listed) == [path.stem for path in FILES]
    for path in FILES:
        workflow = json.loads(path.read_text(encoding="utf-8"))
        notes = [node for node in workflow["nodes"] if node["type"] == "MarkdownNote"]
        assert len(notes) == 1 and notes[0]["widgets_values"][0].strip(), path.name
        assert comfy.fetch(f"/api/workflow_templates/ace-edit/{path.stem}.jpg").status == 200, path.stem


def open_from_template_browser(page, name: str) -> None:
    """As an artist does: open the browser, choose the pack, click the workflow."""
    page.page.evaluate("() => app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    browser = page.page.get_by_role("dialog")
    browser.get_by_text("ace-edit", exact=False).first.click()
    card = browser.get_by_text(name).first
    card.scroll_into_view_if_needed()
    page.screenshot("template-browser")
    card.click()
    page.page.wait_for_function("() => app.graph.nodes.some(node => node.type === 'ACELoadBundle')", timeout=60_000)
    page.settle()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_workflow_runs_and_survives_saving(comfy, inputs, open_page, path: Path):
    page = open_page(comfy)
    open_from_template_browser(page, path.stem)
    assert page.missing_node_types() == []
    if NEEDS_A_MODEL & {node["class_type"] for node in page.export_prompt().values()}:
        assert page.errors == []
        page.screenshot(f"workflow-{path.stem}")
        return
    first = saved_pictures(page, page.queue(timeout=300))
    assert_healthy(page)
    page.screenshot(f"workflow-{path.stem}")
    assert first and all(image.getextrema() for image in first)
    assert any(low != high for low, high in first[0].convert("RGB").getextrema()), "the result is one flat colour"

    page.load_workflow(page.save_workflow_json())
    # A picture that is already there would be served from the cache and not be written again.
    comfy.free()
    again = saved_pictures(page, page.queue(timeout=300))
    assert_healthy(page)
    assert [image.size for image in again] == [image.size for image in first]
    assert all(ImageChops.difference(a, b).getbbox() is None for a, b in zip(first, again, strict=True))
