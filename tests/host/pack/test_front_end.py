"""What the pack adds to ComfyUI's page: colours, words, numbers that suit the model, errors in their own words."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from host.harness.comfy_server import PACK_ROOT, Graph, PromptFailedError
from host.harness.late import Late
from PIL import Image
from safetensors.torch import save_file

# Numbers that change by themselves after a run, and how they do so on a new node.
CHANGING = {"ACEBrowseDataset.number": "fixed", "ACERandomMask.seed": "randomize", "ACESampler.seed": "randomize"}
OURS = ["ACE_IMAGE", "ACE_UNIT", "ACE_CONTEXT", "ACE_FIT", "ACE_PLACEMENT", "ACE_DATASET"]


@pytest.fixture
def page(nodes_2, comfy, reuse_page):
    return reuse_page(comfy, nodes_2=nodes_2)


@pytest.fixture
def fresh_page(nodes_2, comfy, open_page):
    return open_page(comfy, nodes_2=nodes_2)


def test_only_seeds_change_by_themselves(browser_page):
    found = browser_page.page.evaluate(
        """() => Object.fromEntries(Object.keys(LiteGraph.registered_node_types).filter(type => type.startsWith("ACE"))
            .flatMap(type => (LiteGraph.createNode(type).widgets ?? []).flatMap(widget => (widget.linkedWidgets ?? [])
                .filter(linked => linked.name === "control_after_generate")
                .map(linked => [`${type}.${widget.name}`, linked.value]))))"""
    )
    assert found == CHANGING


def test_a_saved_choice_to_count_up_is_kept(browser_page):
    g = Graph()
    g.node("ACEBrowseDataset", dataset=g.node("ACELoadDataset")[0], number=3, pair_id="", split="all")
    browser_page.load_prompt(g)
    workflow = browser_page.save_workflow_json()
    (node,) = (node for node in workflow["nodes"] if node["type"] == "ACEBrowseDataset")
    assert node["widgets_values"][:2] == [3, "fixed"]
    node["widgets_values"][1] = "increment"
    browser_page.load_workflow(workflow)
    saved = browser_page.save_workflow_json()["nodes"]
    assert next(n for n in saved if n["type"] == "ACEBrowseDataset")["widgets_values"][:2] == [3, "increment"]


def test_every_type_of_ours_has_a_colour_of_its_own(page):
    found = page.page.evaluate(
        """types => types.map(type => [LGraphCanvas.link_type_colors[type],
            app.canvas.default_connection_color_byType[type],
            getComputedStyle(document.documentElement).getPropertyValue(`--color-datatype-${type}`).trim()])""",
        OURS,
    )
    assert all(len(set(colours)) == 1 and colours[0] for colours in found)
    assert len({colours[0] for colours in found}) == len(OURS)


def picture_graph(words: list[str]) -> Graph:
    g = Graph()
    colours = (0xFF0000, 0x00FF00, 0x0000FF)
    made = [g.node("EmptyImage", width=8, height=8, batch_size=1, color=colour) for colour in colours]
    pictures = [g.node("ACEImage", image=image, indicator=word)[0] for image, word in zip(made, words, strict=True)]
    more = {"more.image0": pictures[1], "more.image1": pictures[2]}
    unit = g.node("ACEConditionUnit", instruction="{image}", edit="first image", image=pictures[0], **more)
    g.node("ACEPreview", context=unit, resolution="as the model")
    return g


def labels(page) -> list[str]:
    page.settle()
    return page.page.evaluate(
        "() => app.graph.nodes.filter(n => n.type === 'ACEImage').map(n => n.widgets.find(w => w.name === 'indicator').label)"
    )


def test_a_picture_shows_the_word_it_gets(page):
    page.load_prompt(picture_graph(["auto", "{image}", "auto"]))
    shown = labels(page)
    assert [text.rpartition(" → ")[2] for text in shown] == ["{image1}", "indicator", "{image2}"]
    page.screenshot("auto-words")
    page.page.evaluate(
        """() => { const widget = app.graph.nodes.filter(n => n.type === 'ACEImage')[1].widgets[0];
                   widget.value = 'auto'; widget.callback?.('auto') }"""
    )
    assert [text.rpartition(" → ")[2] for text in labels(page)] == ["{image}", "{image1}", "{image2}"]
    page.page.evaluate("() => { app.graph.nodes.find(n => n.type === 'ACEConditionUnit').disconnectInput(0) }")
    assert [text.rpartition(" → ")[2] for text in labels(page)] == ["indicator", "{image}", "{image1}"]
    sockets = page.page.evaluate(
        "() => app.graph.nodes.find(n => n.type === 'ACEConditionUnit').inputs.filter(i => i.name.startsWith('more'))"
        ".map(i => i.label)"
    )
    assert sockets[:2] == ["image1", "image2"]
    # Another workflow whose nodes have the same ids: nothing is left of the words before.
    page.load_prompt(picture_graph(["{image}", "auto", "{image3}"]))
    assert [text.rpartition(" → ")[2] for text in labels(page)] == ["indicator", "{image1}", "indicator"]
    assert all(text.count("→") < 2 for text in labels(page))


def test_the_word_for_auto_is_what_the_unit_gives_it(comfy):
    def shown(words: list[str]) -> np.ndarray:
        ((sheet,),) = comfy.run(picture_graph(words)).images.values()
        return np.asarray(sheet)

    automatic = shown(["auto", "{image}", "auto"])
    np.testing.assert_array_equal(automatic, shown(["{image1}", "{image}", "{image2}"]))
    assert not np.array_equal(automatic, shown(["{image2}", "{image}", "{image1}"]))
    g = Graph()
    made = g.node("ACEImage", image=g.node("EmptyImage", width=8, height=8, batch_size=1, color=0), indicator="auto")
    g.node("PreviewAny", source=made[1])
    assert "choose a word on Image" in comfy.run_expect_error(g).message


def widgets(page, kind: str, *names: str) -> list:
    return page.page.evaluate(
        "([kind, names]) => { const node = app.graph.nodes.find(n => n.type === kind);"
        "return names.map(name => node.widgets.find(w => w.name === name).value) }",
        [kind, list(names)],
    )


def choose(page, kind: str, name: str, value) -> None:
    page.page.evaluate(
        "([kind, name, value]) => { const widget = app.graph.nodes.find(n => n.type === kind).widgets"
        ".find(w => w.name === name); widget.value = value; widget.callback?.(value) }",
        [kind, name, value],
    )
    page.settle()


def wait_for_widgets(page, kind: str, expected: dict) -> None:
    """Waits until the widgets have these values: what an adapter recommends, the server is asked."""
    page.page.wait_for_function(
        "([kind, expected]) => { const node = app.graph.nodes.find(n => n.type === kind);"
        "return Object.entries(expected).every(([name, value]) => node.widgets.find(w => w.name === name).value === value) }",
        arg=[kind, expected],
    )


def test_numbers_follow_the_bundle_until_the_artist_types_one(fresh_page, comfy):
    page = fresh_page
    recommended = comfy.fetch("/ace/bundles").json()
    training = ("steps", "rank", "learning_rate", "batch_size")
    page.page.evaluate(
        """() => { app.graph.clear();
            for (const type of ["ACELoadBundle", "LoraLoaderModelOnly", "ACESampler", "ACEDistil"])
                app.graph.add(LiteGraph.createNode(type));
            const [loader, lora, sampler] = app.graph.nodes;
            loader.connect(0, lora, 0);
            lora.connect(0, sampler, 0); }"""
    )
    page.settle()
    first = widgets(page, "ACELoadBundle", "bundle")[0]
    for kind in ("ACESampler", "ACEDistil"):
        wait_for_widgets(page, kind, recommended[first][kind])
    assert recommended["ace-tiny"]["ACEDistil"]["steps"] == 300
    for bundle in ("ACE-0.6B-1024px", "ace-tiny"):
        choose(page, "ACELoadBundle", "bundle", bundle)
        choose(page, "ACEDistil", "bundle", bundle)
        wait_for_widgets(page, "ACESampler", recommended[bundle]["ACESampler"])
        wait_for_widgets(page, "ACEDistil", recommended[bundle]["ACEDistil"])
    choose(page, "ACEDistil", "config", "one of the artist's own.toml")
    assert widgets(page, "ACEDistil", *training) == [0, 0, 0, 0], "what the file says would be lost"
    choose(page, "ACEDistil", "config", "(standard)")
    assert dict(zip(training, widgets(page, "ACEDistil", *training), strict=True)) == recommended[bundle]["ACEDistil"]
    choose(page, "ACESampler", "steps", 11)
    choose(page, "ACELoadBundle", "bundle", "ACE-0.6B-1024px")
    assert widgets(page, "ACESampler", "steps", "cfg") == [11, recommended["ace-tiny"]["ACESampler"]["cfg"]]


@pytest.mark.parametrize(
    ("kind", "folder", "file", "strength"),
    [
        ("LoraLoaderModelOnly", "loras", "lora_name", "strength_model"),
        ("ACELoadEditNet", "model_patches", "editnet_name", "strength"),
    ],
)
def test_a_sampler_takes_what_its_only_adapter_recommends(kind, folder, file, strength, fresh_page, comfy):
    page = fresh_page
    folder = comfy.base_dir / "models" / folder
    folder.mkdir(parents=True, exist_ok=True)
    sampling = {"sampler_steps": "4", "sampler_cfg": "1.0", "sampler_rescale": "0.25"}
    for name, metadata in (("fast.safetensors", sampling), ("plain.safetensors", {})):
        save_file(
            {"diffusion_model.blocks.0.attn.q.lora_A.weight": torch.zeros(1, 1)}, folder / name, metadata=metadata
        )
    (folder / "broken.safetensors").write_bytes(b"no header at all")
    page.page.evaluate(
        """kind => { app.graph.clear();
            for (const type of ["ACELoadBundle", kind, "ACESampler"]) app.graph.add(LiteGraph.createNode(type));
            const [loader, adapter, sampler] = app.graph.nodes;
            loader.connect(0, adapter, 0);
            adapter.connect(0, sampler, 0); }""",
        kind,
    )
    names = ("steps", "cfg", "guidance_rescale")
    choose(page, "ACELoadBundle", "bundle", "ace-tiny")
    recommended = comfy.fetch("/ace/bundles").json()["ace-tiny"]["ACESampler"]
    own = [recommended[name] for name in names]
    wait_for_widgets(page, "ACESampler", dict(zip(names, own, strict=True)))
    fast = [4, 1.0, 0.25]
    for adapter, weight, expected in (
        ("fast.safetensors", 1, fast),
        ("plain.safetensors", 1, own),
        ("fast.safetensors", 1, fast),
        ("fast.safetensors", 0.5, own),
        ("fast.safetensors", 1, fast),
        ("broken.safetensors", 1, own),
    ):
        choose(page, kind, strength, weight)
        choose(page, kind, file, adapter)
        wait_for_widgets(page, "ACESampler", dict(zip(names, expected, strict=True)))
    choose(page, kind, file, "fast.safetensors")
    wait_for_widgets(page, "ACESampler", dict(zip(names, fast, strict=True)))
    choose(page, "ACESampler", "steps", 11)
    choose(page, kind, file, "plain.safetensors")
    assert widgets(page, "ACESampler", *names) == [11, 1.0, 0.25], "what the artist typed stays"


def test_a_sampler_behind_a_single_file_has_the_numbers_of_its_model(open_page, comfy, ace_models, tmp_path):
    files = ["mine_1024px.safetensors", "mine.safetensors"]
    for name in files:
        (tmp_path / name).touch()
    ace_models(tmp_path)
    recommended = comfy.fetch("/ace/bundles").json()
    page = open_page(comfy)
    page.page.evaluate(
        """() => { app.graph.clear();
            for (const type of ["ACELoadBundle", "ACELoadModel", "ACESampler"]) app.graph.add(LiteGraph.createNode(type));
            const [loader, , sampler] = app.graph.nodes;
            loader.connect(0, sampler, 0); }"""
    )
    choose(page, "ACELoadBundle", "bundle", "ace-tiny")
    sampling = ("steps", "cfg", "guidance_rescale")
    assert (
        dict(zip(sampling, widgets(page, "ACESampler", *sampling), strict=True))
        == (recommended["ace-tiny"]["ACESampler"])
    )
    shown = []
    page.page.evaluate("() => { const [, model, sampler] = app.graph.nodes; model.connect(0, sampler, 0) }")
    for name in files:
        (listed,) = [one for one in recommended if one.endswith(f"/{name}") or one == name]
        choose(page, "ACELoadModel", "model_name", listed)
        shown.append(widgets(page, "ACESampler", *sampling))
    assert shown == [[50, 4.5, 0.5], [20, 4.5, 0.5]]


def test_an_error_is_said_on_the_node_and_in_a_toast(page, comfy):
    g = picture_graph(["{image}", "{image}", "auto"])
    page.load_prompt(g)
    with pytest.raises(PromptFailedError) as failure:
        page.queue()
    assert failure.value.error.exception_type == "ValueError"
    sentence = "two pictures claim the indicator {image}"
    page.settle()
    title, text = page.page.locator(".ace-notice.ace-error").inner_text().split("\n\n")[:2]
    assert "." not in title and text.startswith(sentence)
    shown = page.page.evaluate(
        "() => String(app.graph.nodes.find(n => n.type === 'ACEConditionUnit').widgets.at(-1).value)"
    )
    assert shown.startswith(sentence)
    page.screenshot("error-on-its-node")


def test_a_template_that_waits_for_its_pictures_leaves_the_workflow_before_as_it_was(browser_page):
    """The host empties the graph before the pictures are there, and notes the graph with every key and click."""
    page = browser_page
    page.load_default_workflow()
    workflow = "app.extensionManager.workflow.openWorkflows.find(one => one.path === window.pathBefore)"
    before = f"{workflow}.changeTracker.activeState"
    page.page.evaluate("() => { window.pathBefore = app.extensionManager.workflow.activeWorkflow.path }")
    nodes = page.page.evaluate(f"() => {before}.nodes.length")
    late = Late(page, "/ace/examples$")
    template = json.loads((PACK_ROOT / "workflows" / "01 Edit by instruction.json").read_text(encoding="utf-8"))
    page.page.evaluate("template => { window.opening = app.loadGraphData(template) }", template)
    late.wait()
    assert nodes > 3 and page.page.evaluate("() => app.graph.nodes.length") == 0
    page.page.keyboard.press("Shift")
    page.page.mouse.click(900, 600)
    page.page.wait_for_timeout(300)
    late.come()
    page.page.evaluate("async () => { await window.opening }")
    page.settle()
    assert page.page.evaluate("() => app.graph.nodes.length") == len(template["nodes"])
    assert page.page.evaluate(f"() => {before}.nodes.length") == nodes
    changes = "app.extensionManager.workflow.openWorkflows.map(one => one.changeTracker?.changeCount ?? 0)"
    assert not any(page.page.evaluate(f"() => {changes}")), "nothing would be noted any more"


def test_a_bypassed_marker_says_that_nothing_is_captured(page, comfy):
    photo = comfy.upload_image(Image.fromarray(np.full((8, 8, 3), 90, np.uint8)), "bypassed.png")
    g = Graph()
    marked = g.node("ACECaptureSource", image=g.node("LoadImage", image=photo)[0], index=0)
    kept = g.node("ACECaptureResult", image=g.node("ImageInvert", image=marked[0]), instruction="", dataset="bypassed")
    g.node("PreviewImage", images=kept)
    page.load_prompt(g)
    page.page.evaluate("() => app.graph.nodes.filter(n => n.type.startsWith('ACE')).forEach(n => { n.mode = 4 })")
    page.queue()
    texts = page.page.evaluate(
        "() => app.graph.nodes.filter(n => n.type.startsWith('ACE')).map(n => String(n.widgets.at(-1).value))"
    )
    assert texts == ["bypassed: nothing is captured here"] * 2


def test_sweep_asks_for_a_folder_and_folds_away_the_rest(open_page, comfy):
    """On the canvas; nodes of Vue fold by themselves."""
    page = open_page(comfy)
    page.page.evaluate("() => { app.graph.clear(); app.graph.add(LiteGraph.createNode('ACESweep')) }")
    # A panel in which nothing is shown yet takes no room.
    shown = """() => { const [node] = app.graph.nodes;
        return node.widgets.filter(w => node.isWidgetVisible(w) && w.panelHeight !== 0).map(w => w.name) }"""
    assert page.page.evaluate(shown) == ["folder", "ace_more"]
    page.page.evaluate("() => app.graph.nodes[0].widgets.find(w => w.name === 'ace_more').callback()")
    assert {"seeds", "dataset", "loader"} <= set(page.page.evaluate(shown))
    page.page.evaluate("() => app.graph.nodes[0].widgets.find(w => w.name === 'ace_more').callback()")
    saved = page.save_workflow_json()
    page.load_workflow(saved)
    assert page.page.evaluate(shown) == ["folder", "ace_more"]
    choose(page, "ACESweep", "seeds", 3)
    page.load_workflow(page.save_workflow_json())
    assert "seeds" in page.page.evaluate(shown) and widgets(page, "ACESweep", "seeds") == [3]
