"""The stop button of a Sweep in the real front end: there while it sweeps, gone when it does not, back after a reload."""

from __future__ import annotations

import pytest
from comfyui_ace.training.workflows.node_sizes import node_size
from host.capture.test_sweep_node import WIDGETS, count, ended, fill, graph, idle, settle, wait_until
from host.capture.test_sweep_node import server as server  # a fixture
from host.harness.browser import ComfyPage
from host.harness.capture_graphs import Gate
from host.harness.graph import Graph
from host.harness.node_boxes import assert_has_room
from PIL import Image

_SWEEP = "app.graph.nodes.find(node => node.type === 'ACESweep')"
_BUTTON = ".ace-sweep button"
_BAR = ".ace-sweep progress"


def told(page: ComfyPage) -> str:
    """What the node shows of the sweep."""
    shown = page.page.locator("span, div, p").filter(has_text="sweep:")
    return "\n".join(shown.all_inner_texts())


def another_workflow(folder: str, number: str) -> Graph:
    """A graph whose only node is a Sweep with a number."""
    g = Graph(first=int(number))
    g.node("ACESweep", folder=folder, **WIDGETS)
    return g


def wait_for_button(page: ComfyPage, text: str) -> None:
    page.page.locator(_BUTTON, has_text=text).wait_for()


def press(page: ComfyPage, then: str) -> None:
    """Press it, and wait until it says so, or is gone already."""
    page.page.locator(_BUTTON).click()
    page.page.wait_for_function(
        "([button, then]) => [then, undefined].includes(document.querySelector(button)?.textContent)",
        arg=[_BUTTON, then],
    )


def errors(page: ComfyPage) -> list[str]:
    """Without what the front end itself says where any text for a node arrives while a page is still being loaded."""
    return [str(error) for error in page.errors if error.text != "getCanvas: canvas is null"]


@pytest.fixture
def page(open_page, server, nodes_2) -> ComfyPage:
    server.upload_image(Image.new("RGB", (16, 12)), "any.png")
    return open_page(server, nodes_2=nodes_2)


def test_the_button_stops_the_sweep_and_survives_a_reload(page, server, nodes_2):
    name = f"buttons {nodes_2}"
    fill(server, name, 14)
    with Gate(server, name) as gate:
        g = graph(name, gate)
        sweep = g.node("ACESweep", folder=name, **WIDGETS)
        page.load_prompt(g)
        assert page.page.locator(_BUTTON).count() == 0
        saved = page.save_workflow_json()
        page.queue()
        wait_for_button(page, "■ Stop sweep")
        # It is no part of the workflow.
        (node,) = [node for node in page.save_workflow_json()["nodes"] if node["type"] == "ACESweep"]
        (before,) = [node for node in saved["nodes"] if node["type"] == "ACESweep"]
        assert node["widgets_values"][: len(before["widgets_values"])] == before["widgets_values"]
        gate.admit(2)
        wait_until(lambda: count(server, name) >= 2, "no pairs came")

        page.page.reload(wait_until="domcontentloaded")
        wait_for_button(page, "■ Stop sweep")
        page.settle()
        assert "of 14" in told(page)
        page.screenshot(f"sweep-running-{nodes_2}")

        # Nodes 2.0 of 0.8.0 goes on showing the panel of the node before.
        if server.host.version >= (0, 33) or not nodes_2:
            page.load_prompt(another_workflow(f"another {name}", sweep.id))
            wait_for_button(page, "■ Stop sweep")
            assert page.page.locator(_BAR).count() == 0, "another workflow's node of that number shows the sweep"
            page.load_prompt(g)
            page.page.locator(_BAR).wait_for()
        press(page, "Stopping…")
        assert "queue again to go on" in ended(server)
    page.page.locator(_BUTTON).wait_for(state="detached")
    page.settle()
    assert "sweep: stopped with" in told(page)
    page.screenshot(f"sweep-stopped-{nodes_2}")
    wait_until(lambda: idle(server), "the prompt at work did not end")
    assert 2 <= count(server, name) < 14

    page.queue()
    settle(server, name, 14)
    page.page.locator(_BUTTON).wait_for(state="detached")
    title, *more = page.page.locator(".ace-notice").inner_text().split("\n")  # the one before is not true any more
    assert title == "Sweep: done"
    assert any("kept" in line for line in more)
    page.queue()
    page.page.locator(".ace-notice", has_text="captured earlier").wait_for()
    bar = page.page.evaluate(
        f"() => {{ const {{ value, max }} = document.querySelector('{_BAR}'); return [value, max] }}"
    )
    assert bar == [14, 14]
    page.page.evaluate(f"width => ({_SWEEP}).setSize([width, 0])", node_size("ACESweep")[0])
    page.settle()
    if server.host.version >= (0, 33) or not nodes_2:  # Nodes 2.0 of older front ends fold no fields away
        assert_has_room(page, "ACESweep")
    assert errors(page) == []


def test_a_page_without_a_sweep_is_left_alone(page, server):
    g = graph("unswept")
    page.load_prompt(g)
    assert "ACESweep" not in {node["type"] for node in page.save_workflow_json()["nodes"]}
    assert errors(page) == [] and page.foreign_requests == []


def test_the_button_speaks_the_artists_language(open_page, server):
    server.upload_image(Image.new("RGB", (16, 12)), "any.png")
    fill(server, "chinese", 6)
    with Gate(server, "chinese") as gate:
        g = graph("chinese", gate)
        g.node("ACESweep", folder="chinese", **WIDGETS)
        page = open_page(server, locale="zh-CN")
        page.load_prompt(g)
        page.queue()
        wait_for_button(page, "■ 停止批量捕获")
        page.screenshot("sweep-chinese")
        press(page, "正在停止…")
        assert "queue again to go on" in ended(server)
    wait_until(lambda: idle(server), "the prompt at work did not end")
    assert errors(page) == []
