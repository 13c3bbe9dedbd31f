"""Growing sockets keep their wires through everything an artist does with nodes."""

from __future__ import annotations

import pytest
from host.harness.graph import Graph

PICTURES = 4
SELECT = "app.canvas.selectItems(app.graph.nodes.filter(node => !node.comfyClass?.startsWith('Preview')))"


@pytest.fixture
def page(nodes_2, comfy, reuse_page):
    """A unit of four pictures, the last of which is plugged into a socket that has grown twice."""
    g = Graph()
    made = [g.node("EmptyImage", width=8, height=8, batch_size=1, color=k) for k in range(PICTURES)]
    pictures = [g.node("ACEImage", image=each, indicator=f"{{image{k or ''}}}")[0] for k, each in enumerate(made)]
    more = {f"more.image{k}": each for k, each in enumerate(pictures[1:])}
    unit = g.node("ACEConditionUnit", instruction="{image} and {image3}", edit="{image1}", image=pictures[0], **more)
    g.node("PreviewAny", source=unit)
    page = reuse_page(comfy, nodes_2=nodes_2)
    page.load_prompt(g)
    return page


def assert_whole(page, units: int) -> None:
    """All units of the graph have all pictures, each over the wire that it had."""
    prompt = page.export_prompt()
    found = [node["inputs"] for node in prompt.values() if node["class_type"] == "ACEConditionUnit"]
    assert len(found) == units
    for inputs in found:
        wires = [inputs.get(name) for name in ("image", *(f"more.image{k}" for k in range(PICTURES - 1)))]
        assert None not in wires
        assert [prompt[wire[0]]["inputs"]["indicator"] for wire in wires] == [
            f"{{image{k or ''}}}" for k in range(PICTURES)
        ]
        assert (inputs["instruction"], inputs["edit"]) == ("{image} and {image3}", "{image1}")


def test_copy_and_paste_and_undo(page):
    assert_whole(page, 1)
    page.page.evaluate(f"() => {{ {SELECT}; app.canvas.copyToClipboard(); app.canvas.pasteFromClipboard() }}")
    page.settle()
    page.page.evaluate("() => { app.canvas.deselectAll() }")
    # What is pasted is not shown by anything, so it is not part of the prompt before it is.
    page.page.evaluate(
        """() => {
            const unit = app.graph.nodes.filter(node => node.type === 'ACEConditionUnit').at(-1);
            const shown = LiteGraph.createNode('PreviewAny');
            app.graph.add(shown);
            unit.connect(0, shown, 0);
        }"""
    )
    assert_whole(page, 2)
    page.load_workflow(page.save_workflow_json())
    assert_whole(page, 2)
    # Something to take back: then the front end makes all nodes anew from what it has noted.
    page.page.evaluate(
        """() => {
            const tracker = app.extensionManager.workflow.activeWorkflow.changeTracker;
            tracker.checkState();
            app.graph.remove(app.graph.nodes.find(node => node.type === 'ACEConditionUnit'));
            tracker.checkState();
        }"""
    )
    assert_whole(page, 1)
    page.page.evaluate("async () => { await app.extensionManager.command.execute('Comfy.Undo') }")
    page.settle()
    assert_whole(page, 2)
    page.page.evaluate("async () => { await app.extensionManager.command.execute('Comfy.Redo') }")
    page.settle()
    assert_whole(page, 1)


def test_into_a_subgraph_and_out_of_it(page):
    page.page.evaluate(f"() => {{ {SELECT}; app.graph.convertToSubgraph(app.canvas.selectedItems) }}")
    page.settle()
    assert_whole(page, 1)
    page.page.evaluate("() => { app.graph.unpackSubgraph(app.graph.nodes.find(node => node.subgraph)) }")
    page.settle()
    assert_whole(page, 1)
    page.load_workflow(page.save_workflow_json())
    assert_whole(page, 1)


def test_a_pasted_unit_still_grows_and_shrinks(page):
    page.page.evaluate(f"() => {{ {SELECT}; app.canvas.copyToClipboard(); app.canvas.pasteFromClipboard() }}")
    page.settle()
    unit = "app.graph.nodes.filter(node => node.type === 'ACEConditionUnit').at(-1)"
    names = f"() => {unit}.inputs.filter(input => !input.widget).map(input => input.name)"
    grown = ["image", *(f"more.image{k}" for k in range(PICTURES))]
    assert page.page.evaluate(names) == grown
    page.page.evaluate(f"() => {{ {unit}.disconnectInput({PICTURES - 1}) }}")
    page.settle()
    assert page.page.evaluate(names) == grown[:-1]
