"""Every shipped workflow on a fresh install, in both of the front end's renderings: opened, run, saved and run again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from host.harness.browser import ComfyPage
from host.harness.comfy_server import PACK_ROOT
from host.harness.node_boxes import assert_tidy
from PIL import ImageChops

FILES = sorted((PACK_ROOT / "workflows").glob("*.json"))
# What an artist starts by hand after a first look: it runs long, and makes files.
LONG = ("ACESweep", "ACEDistil")


@pytest.fixture(scope="module")
def both_pages(browser, comfy):
    """A page in either rendering for all workflows: each opens in a tab of its own, and starting a page takes seconds."""
    found = {}
    for name, nodes_2 in (("canvas", False), ("nodes-2", True)):
        found[name] = ComfyPage(browser, comfy, nodes_2=nodes_2)
        assert found[name].page.evaluate("() => LiteGraph.vueNodesMode ?? false") is nodes_2
    yield found
    for page in found.values():
        page.close()


@pytest.fixture
def pages(both_pages):
    for page in both_pages.values():
        page.dismiss_alerts()
        page.console.clear()
    return both_pages


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
    assert page.lasting_alerts() == []
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
    browser.get_by_text("ACE Edit", exact=True).first.click()
    card = browser.get_by_text(name).first
    card.scroll_into_view_if_needed()
    page.screenshot("template-browser")
    # The workflow before has a note, too, and for a moment the page has neither.
    page.page.evaluate("() => app.graph.nodes.forEach(node => { node.ofBefore = true; })")
    card.click()
    page.page.wait_for_function("() => app.graph.nodes.some(node => node.type === 'MarkdownNote' && !node.ofBefore)")
    page.settle()


def let_long_nodes_wait(page) -> None:
    """Mutes what an artist would start by hand."""
    page.page.evaluate(
        "types => app.graph.nodes.filter(n => types.includes(n.type)).forEach(n => { n.mode = 2 })", LONG
    )


LEAST_SCALE = 0.57  # below, the front end leaves words out


def assert_readable(page) -> None:
    """It opens with all its words, and with all its width, if there is room for that in letters that can be read."""
    page.page.wait_for_timeout(600)  # the front end's own view comes first
    view = """least => { const {scale, offset} = app.canvas.ds, {clientWidth} = app.canvas.canvas, {nodes} = app.graph;
        const right = nodes.map(node => node.pos[0] + node.size[0]);
        const width = Math.max(...right) - Math.min(...nodes.map(node => node.pos[0]));
        const outside = nodes.filter((node, index) => (right[index] + offset[0]) * scale > clientWidth);
        return scale >= least && (!outside.length || 0.6 * width + 130 > clientWidth) }"""
    page.page.wait_for_function(view, arg=LEAST_SCALE)


def choices_not_listed(page) -> list[str]:
    """Menus that show something they do not offer, which Nodes 2.0 frames in red."""
    return page.page.evaluate(
        """() => app.graph.nodes.flatMap(node => (node.widgets ?? [])
            .filter(widget => Array.isArray(widget.options?.values) && !widget.options.values.includes(widget.value))
            .map(widget => `${node.type}.${widget.name}: ${widget.value}`))"""
    )


# The ▶ of a selected node is the last of its buttons but one.
REACHABLE = """() => {
    const buttons = [...document.querySelectorAll(".selection-toolbox button")];
    const run = buttons[buttons.findIndex(one => one.dataset.testid === "more-options-button") - 1];
    const {left, right, top, bottom} = run?.getBoundingClientRect() ?? {};
    return Boolean(run?.contains(document.elementFromPoint((left + right) / 2, (top + bottom) / 2))) }"""


def assert_can_be_run_alone(page, kind: str) -> None:
    """As the notes of templates say: click the node, and press the ▶ above it."""
    nodes = f"app.graph.nodes.filter(node => node.type === '{kind}')"
    if not page.page.evaluate(f"() => {nodes}.length"):
        return
    page.page.evaluate(f"() => app.canvas.selectItems({nodes})")
    page.page.wait_for_function(REACHABLE, timeout=30_000)
    page.page.evaluate("() => app.canvas.deselectAll()")


def open_well(page, name: str, rendering: str) -> dict:
    """Opens a workflow, and looks at it before it has run; what it would run."""
    open_from_template_browser(page, name)
    assert page.missing_node_types() == []
    assert choices_not_listed(page) == []
    assert_readable(page)
    assert_tidy(page)
    # Nodes 2.0 of 0.8.0 spreads nodes beyond the window.
    if page.server.host.version >= (0, 33) or rendering == "canvas":
        assert_can_be_run_alone(page, "ACEDistil")
    let_long_nodes_wait(page)
    page.screenshot(f"opened-{name}-{rendering}")
    return page.export_prompt()


def run_well(page, name: str, rendering: str) -> list:
    """Runs it, and looks at it afterwards; what came of it."""
    pictures = saved_pictures(page, page.queue(timeout=300))
    assert_healthy(page)
    page.screenshot(f"workflow-{name}-{rendering}")
    assert_tidy(page)
    return pictures


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_workflow_runs_and_survives_saving(pages, path: Path):
    prompts = [open_well(page, path.stem, rendering) for rendering, page in pages.items()]
    assert prompts[0] == prompts[1]
    pictures = run_well(pages["canvas"], path.stem, "canvas")
    assert pictures
    for picture in pictures:
        assert any(low != high for low, high in picture.convert("RGB").getextrema()), "the result is one flat colour"
    # The server still has what it made, and only tells it again.
    run_well(pages["nodes-2"], path.stem, "nodes-2")

    for page in pages.values():
        before = page.export_prompt()
        page.load_workflow(page.save_workflow_json())
        assert page.export_prompt() == before
        assert_healthy(page)


def test_a_saved_workflow_gives_the_same_picture(comfy, pages):
    page = pages["canvas"]
    open_from_template_browser(page, FILES[0].stem)
    first = saved_pictures(page, page.queue(timeout=300))
    page.load_workflow(page.save_workflow_json())
    # A picture that is already there would be served from the cache and not be written again.
    comfy.free()
    again = saved_pictures(page, page.queue(timeout=300))
    assert_healthy(page)
    assert first and [image.size for image in again] == [image.size for image in first]
    assert all(ImageChops.difference(a, b).getbbox() is None for a, b in zip(first, again, strict=True))
