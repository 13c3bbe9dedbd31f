"""The stop button of a Sweep in the real front end: there while it sweeps, gone when it does not, back after a reload."""

from __future__ import annotations

import pytest
from comfyui_ace.training.workflows.node_sizes import node_size
from host.capture.test_sweep_node import WIDGETS, count, ended, fill, graph, idle, settle, wait_until
from host.capture.test_sweep_node import server as server  # a fixture
from host.harness.browser import ComfyPage
from host.harness.capture_graphs import Gate
from host.harness.node_boxes import assert_has_room
from PIL import Image

_SWEEP = "app.graph.nodes.find(node => node.type === 'ACESweep')"
_WIDGET = f"{_SWEEP}?.widgets.find(widget => widget.name === 'stop sweep')"


def button(page: ComfyPage) -> str | None:
    """What stands on it, None where there is none."""
    return page.page.evaluate(f"() => ({_WIDGET})?.label ?? null")


def told(page: ComfyPage) -> str:
    """What the node shows of the sweep."""
    shown = page.page.locator("span, div, p").filter(has_text="sweep:")
    return "\n".join(shown.all_inner_texts())


def press(page: ComfyPage) -> None:
    """Click where it is drawn, once what the page lays over the canvas has moved along with its node."""
    place = page.page.evaluate(
        f"""() => {{
            const node = {_SWEEP}, widget = {_WIDGET};
            app.canvas.centerOnNode(node);
            const at = app.canvas.ds.convertOffsetToCanvas([node.pos[0] + node.size[0] / 2, node.pos[1] + widget.y + 10]);
            const box = app.canvas.canvas.getBoundingClientRect();
            return [box.left + at[0], box.top + at[1]];
        }}"""
    )
    page.page.wait_for_function("([x, y]) => document.elementFromPoint(x, y) === app.canvas.canvas", arg=place)
    page.page.mouse.click(*place)


def errors(page: ComfyPage) -> list[str]:
    """Without what the front end itself says where any text for a node arrives while a page is still being loaded."""
    return [str(error) for error in page.errors if error.text != "getCanvas: canvas is null"]


@pytest.fixture
def page(open_page, server) -> ComfyPage:
    server.upload_image(Image.new("RGB", (16, 12)), "any.png")
    return open_page(server)


def test_the_button_stops_the_sweep_and_survives_a_reload(page, server):
    fill(server, "buttons", 14)
    with Gate(server, "buttons") as gate:
        g = graph("buttons", gate)
        g.node("ACESweep", folder="buttons", **WIDGETS)
        page.load_prompt(g)
        assert button(page) is None
        saved = page.save_workflow_json()
        page.queue()
        page.page.wait_for_function(f"() => ({_WIDGET})?.label === '■ Stop sweep'")
        # It is no part of the workflow.
        (node,) = [node for node in page.save_workflow_json()["nodes"] if node["type"] == "ACESweep"]
        (before,) = [node for node in saved["nodes"] if node["type"] == "ACESweep"]
        assert node["widgets_values"][: len(before["widgets_values"])] == before["widgets_values"]
        gate.admit(2)
        wait_until(lambda: count(server, "buttons") >= 2, "no pairs came")

        page.page.reload(wait_until="domcontentloaded")
        page.page.wait_for_function(f"() => window.app?.graph && ({_WIDGET})?.label === '■ Stop sweep'")
        page.settle()
        assert "of 14" in told(page)
        page.screenshot("sweep-running")

        press(page)
        page.page.wait_for_function(f"() => ({_WIDGET})?.label === 'Stopping…' || !({_WIDGET})")
        assert "queue again to go on" in ended(server)
    page.page.wait_for_function(f"() => !({_WIDGET})")
    page.settle()
    assert "sweep: stopped with" in told(page)
    page.screenshot("sweep-stopped")
    wait_until(lambda: idle(server), "the prompt at work did not end")
    assert 2 <= count(server, "buttons") < 14

    page.queue()
    settle(server, "buttons", 14)
    page.page.wait_for_function(f"() => !({_WIDGET})")
    title, *more = page.page.locator(".ace-notice").last.inner_text().split("\n")
    assert title == "Sweep: done"
    assert any("kept" in line for line in more)
    page.page.evaluate(f"width => ({_SWEEP}).setSize([width, 0])", node_size("ACESweep")[0])
    page.settle()
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
        page.page.wait_for_function(f"() => ({_WIDGET})?.label === '■ 停止批量捕获'")
        page.screenshot("sweep-chinese")
        press(page)
        page.page.wait_for_function(f"() => ({_WIDGET})?.label === '正在停止…' || !({_WIDGET})")
        assert "queue again to go on" in ended(server)
    wait_until(lambda: idle(server), "the prompt at work did not end")
    assert errors(page) == []
