"""The artist's nodes in the real front end: growing sockets, menus with fields of their own, the preview on the canvas."""

from __future__ import annotations

import numpy as np
import pytest
from host.harness.comfy_server import Graph
from host.harness.edits import EditGraph, shown
from PIL import Image

# Each picture has a width of its own, so the summary tells which one an indicator means.
WIDTHS = {"{image}": 64, "{image1}": 80, "{image2}": 96, "{image3}": 112}
_UNIT = "app.graph.nodes.find(node => node.type === 'ACEConditionUnit')"


@pytest.fixture(scope="module")
def pictures(comfy) -> dict[str, str]:
    return {
        word: comfy.upload_image(Image.new("RGB", (width, 48), (2 * width, 90, 160)), f"grow{width}.png")
        for word, width in WIDTHS.items()
    }


def open_four_pictures(page, pictures: dict[str, str]) -> dict[str, str]:
    """Opens a preview of four pictures in one unit; returns the node id of each picture's ACE Image.

    The growing sockets are wired one by one, as an artist does: the front end does not open them from API prompts.
    """
    g = EditGraph()
    images = {
        word: g.node("ACEImage", image=g.node("LoadImage", image=name)[0], indicator=word)
        for word, name in pictures.items()
    }
    first, *others = images.values()
    unit = g.unit("{image} and {image3}", first)
    g.show(g.node("ACEPreview", context=unit, resolution="512 px model")[1])
    page.load_prompt(g)
    for node in others:
        connect(page, node.id, sockets(page)[-1])
    return {word: node.id for word, node in images.items()}


def pictures_seen(page) -> dict[str, int]:
    """Run, and read from the preview's summary which width each indicator means."""
    result = page.queue()
    (text,) = [output["text"][0] for output in result.outputs.values() if "text" in output]
    lines = [line[2:].split(": ") for line in text.splitlines() if line.startswith("- {")]
    return {word: int(rest.split("×")[0]) for word, rest in lines}


def links(page) -> dict[str, str]:
    """Socket -> node id, of the condition unit."""
    (unit,) = [node for node in page.export_prompt().values() if node["class_type"] == "ACEConditionUnit"]
    return {name: value[0] for name, value in unit["inputs"].items() if isinstance(value, list)}


def disconnect(page, socket: str) -> None:
    page.page.evaluate(
        f"name => {{ const unit = {_UNIT}; unit.disconnectInput(unit.inputs.findIndex(i => i.name === name)) }}", socket
    )
    page.settle()


def connect(page, node_id: str, socket: str) -> None:
    page.page.evaluate(
        f"([id, name]) => {{ const unit = {_UNIT};"
        "app.graph.getNodeById(id).connect(0, unit, unit.inputs.findIndex(i => i.name === name)) }",
        [node_id, socket],
    )
    page.settle()


def sockets(page) -> list[str]:
    names = page.page.evaluate(f"() => {_UNIT}.inputs.map(input => input.name)")
    return [name for name in names if name.startswith("more.")]


def test_growing_sockets_never_change_which_picture_is_meant(browser_page, pictures):
    """The front end moves later links down when a middle one is pulled out; indicators do not move with them."""
    ids = open_four_pictures(browser_page, pictures)
    assert sockets(browser_page) == ["more.image0", "more.image1", "more.image2", "more.image3"]
    assert pictures_seen(browser_page) == WIDTHS

    disconnect(browser_page, "more.image1")  # {image2}
    moved = links(browser_page)
    assert moved == {"image": ids["{image}"], "more.image0": ids["{image1}"], "more.image1": ids["{image3}"]}
    # Numbered through for the model, and still the picture of 112 pixels that {image3} named.
    assert pictures_seen(browser_page) == {"{image}": 64, "{image1}": 80, "{image2}": 112}

    connect(browser_page, ids["{image2}"], sockets(browser_page)[-1])
    assert set(links(browser_page).values()) == set(ids.values())
    assert links(browser_page) != links_of_start(ids), "the order of the sockets must really be another one"
    assert pictures_seen(browser_page) == WIDTHS

    browser_page.load_workflow(browser_page.save_workflow_json())
    assert pictures_seen(browser_page) == WIDTHS
    browser_page.screenshot("growing-sockets")
    assert browser_page.errors == [] and browser_page.red_nodes() == []


def links_of_start(ids: dict[str, str]) -> dict[str, str]:
    return dict(zip(("image", "more.image0", "more.image1", "more.image2"), ids.values(), strict=True))


def test_a_missing_picture_is_named_not_replaced_by_the_next(browser_page, pictures):
    open_four_pictures(browser_page, pictures)
    disconnect(browser_page, "more.image2")  # {image3}, which the instruction names
    with pytest.raises(AssertionError, match=r"names \{image3\}, but the unit has \{image\}, \{image1\}, \{image2\}"):
        browser_page.queue()
    assert [node["type"] for node in browser_page.red_nodes()] == ["ACEConditionUnit"]
    browser_page.dismiss_alerts()


def test_sockets_can_all_be_emptied_and_filled_again(browser_page, pictures):
    ids = open_four_pictures(browser_page, pictures)
    for _ in range(3):
        disconnect(browser_page, "more.image0")
    assert links(browser_page) == {"image": ids["{image}"]}
    for word in ("{image3}", "{image1}", "{image2}"):
        connect(browser_page, ids[word], sockets(browser_page)[-1])
    assert pictures_seen(browser_page) == WIDTHS


def our_inputs(page) -> dict[str, dict]:
    """Node id -> inputs of our nodes, as the front end would queue them."""
    return {id_: node["inputs"] for id_, node in page.export_prompt().items() if node["class_type"].startswith("ACE")}


def test_menus_keep_their_fields_and_links(browser_page, comfy):
    """Fields that belong to one choice of a menu: values and links survive saving, and go when the choice changes."""
    g = Graph()
    words = g.node("PrimitiveString", value="the red car")
    pixels = g.node("PrimitiveInt", value=16)
    instruction = g.node(
        "ACEInstruction",
        task="Element editing / Replace an object",
        own_wording="",
        seed=1,
        language="English",
        **{"task.object": words, "task.new": "a boat"},
    )
    read = g.node("PreviewAny", source=instruction)
    square = g.node("EmptyImage", width=32, height=32, batch_size=1, color=0xFFFFFF)
    sides = {"extend.left": 0, "extend.top": pixels, "extend.right": 8, "extend.bottom": pixels}
    extended = g.node(
        "ACEOutpaint", image=square, extend="by pixels", overlap=0, round_up=False, indicator="{image}", **sides
    )
    g.node("PreviewImage", images=extended[1])
    browser_page.load_prompt(g)
    before = our_inputs(browser_page)
    for _ in range(2):  # the first load after an API prompt, and a reload of what that saved
        browser_page.load_workflow(browser_page.save_workflow_json())
        assert our_inputs(browser_page) == before
    result = browser_page.queue()
    assert "the red car" in shown(result, read) and "a boat" in shown(result, read)
    assert result.image.size == (40, 64)

    browser_page.page.evaluate(
        "() => { const node = app.graph.nodes.find(node => node.type === 'ACEOutpaint');"
        "node.widgets.find(widget => widget.name === 'extend').value = 'to an aspect ratio' }"
    )
    browser_page.settle()
    inputs = next(n["inputs"] for n in browser_page.export_prompt().values() if n["class_type"] == "ACEOutpaint")
    assert {name for name in inputs if name.startswith("extend.")} == {"extend.width", "extend.height", "extend.anchor"}
    assert browser_page.queue().image.size == (57, 32)
    browser_page.screenshot("menus")
    assert browser_page.errors == []


def test_preview_is_drawn_on_its_node(browser_page, pictures):
    open_four_pictures(browser_page, pictures)
    result = browser_page.queue()
    browser_page.page.evaluate("() => { app.canvas.fitViewToSelectionAnimated?.(); }")
    browser_page.settle()
    drawn = browser_page.page.evaluate(
        "() => app.graph.nodes.find(node => node.type === 'ACEPreview').imgs?.map(i => [i.naturalWidth, i.naturalHeight])"
    )
    (sheet,) = [picture for found in result.images.values() for picture in found]
    assert drawn == [list(sheet.size)]
    browser_page.screenshot("preview")
    assert browser_page.errors == []


def widgets_and_sockets(page) -> list:
    return page.page.evaluate(
        "() => app.graph.nodes.map(node => [node.type, node.widgets?.map(w => [w.name, w.value]) ?? [],"
        "node.inputs.map(i => i.name).sort(), node.outputs.map(o => o.name)])"
    )


def test_every_node_can_be_placed_and_looks_right(open_page, comfy):
    """All our nodes on one canvas: no error, every menu filled, every text field empty or with its default."""
    browser_page = open_page(comfy)
    names = sorted(name for name in comfy.object_info() if name.startswith("ACE"))
    placed = browser_page.page.evaluate(
        """names => { app.graph.clear(); return names.map((name, k) => {
            const node = LiteGraph.createNode(name); app.graph.add(node);
            node.pos = [60 + 440 * (k % 5), 60 + 360 * Math.floor(k / 5)];
            const saved = (node.widgets ?? []).filter(w => w.options?.serialize !== false);
            return [node.type, saved.map(w => w.value ?? null)] }) }""",
        names,
    )
    browser_page.page.evaluate(
        "() => { app.canvas.ds.scale = 0.6; app.canvas.ds.offset = [60, 120]; app.canvas.draw(true, true) }"
    )
    browser_page.settle()
    assert [name for name, _ in placed] == names
    nothing_to_list = {("ACELoadTextEncoder", 0)}  # no such file on the test's server
    empty = {(name, k) for name, values in placed for k, value in enumerate(values) if value is None}
    assert empty <= nothing_to_list
    picture = np.asarray(Image.open(browser_page.screenshot("all-nodes")))
    assert picture.std() > 10
    before = widgets_and_sockets(browser_page)
    browser_page.load_workflow(browser_page.save_workflow_json())
    assert widgets_and_sockets(browser_page) == before
    assert browser_page.errors == [] and browser_page.missing_node_types() == []
