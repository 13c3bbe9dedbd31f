"""The browser helpers on the real front end: they must see what an artist sees, and notice when it is wrong."""

from __future__ import annotations

import time

import numpy as np
import pytest
from host.harness.comfy_server import Graph, PromptFailedError


def _inverted() -> Graph:
    graph = Graph()
    white = graph.node("EmptyImage", width=32, height=16, batch_size=1, color=0xFFFFFF)
    inverted = graph.node("ImageInvert", image=white)
    graph.node("PreviewImage", images=inverted)
    return graph


def test_default_workflow_is_shown_and_refused_without_its_models(browser_page):
    browser_page.load_default_workflow()
    assert browser_page.missing_node_types() == []
    prompt = browser_page.export_prompt()
    (sampler,) = [node for node in prompt.values() if node["class_type"] == "KSampler"]
    assert "model" in sampler["inputs"] and any(node["class_type"] == "SaveImage" for node in prompt.values())
    assert browser_page.errors == []
    picture = browser_page.screenshot("default-workflow")
    assert picture.stat().st_size > 20_000
    browser_page.dismiss_alerts()  # newer hosts say which models are missing

    with pytest.raises(PromptFailedError, match="Value not in list") as failure:
        browser_page.queue()
    assert "Loader" in failure.value.error.node_type
    assert failure.value.error.node_type in {node["type"] for node in browser_page.red_nodes()}
    assert any("not in list" in text.lower() or "missing" in text.lower() for text in browser_page.error_texts())
    browser_page.dismiss_alerts()
    assert browser_page.alerts() == []


def test_prompt_opens_runs_and_survives_a_save(browser_page):
    browser_page.load_prompt(_inverted())
    result = browser_page.queue()
    assert np.asarray(result.image).max() == 0
    assert result.executed == ["1", "2", "3"]
    workflow = browser_page.save_workflow_json()
    browser_page.load_workflow(workflow)
    again = browser_page.queue()
    assert again.cached == ["1", "2", "3"]
    assert browser_page.red_nodes() == []
    assert browser_page.alerts() == []
    assert browser_page.errors == []
    assert browser_page.foreign_requests == []
    browser_page.screenshot("inverted")


def _wait_for_alert(browser_page, text: str) -> None:
    deadline = time.monotonic() + 60
    while not any(text in alert.lower() for alert in browser_page.alerts()):
        assert time.monotonic() < deadline, browser_page.alerts()
        browser_page.page.wait_for_timeout(100)


def test_missing_nodes_are_seen(browser_page):
    browser_page.load_prompt(_inverted())
    workflow = browser_page.save_workflow_json()
    workflow["nodes"][1]["type"] = "NoSuchNode"
    browser_page.load_workflow(workflow)
    assert browser_page.missing_node_types() == ["NoSuchNode"]
    assert [node["type"] for node in browser_page.red_nodes()] == ["NoSuchNode"]
    _wait_for_alert(browser_page, "missing node")
    browser_page.screenshot("missing-node")


def test_malformed_workflow_is_seen(browser_page):
    browser_page.load_prompt(_inverted())
    workflow = browser_page.save_workflow_json()
    workflow["nodes"][0]["flags"] = "none"
    # Newer front ends look only when they are asked to.
    browser_page.page.evaluate("() => app.extensionManager.setting.set('Comfy.Validation.Workflows', true)")
    browser_page.load_workflow(workflow)
    _wait_for_alert(browser_page, "invalid workflow")


def _run_a_failing_node(browser_page):
    graph = Graph()
    failing = graph.node("ProbeFail", image=graph.node("ProbeNoise", size=8), message="broken glass")
    graph.node("PreviewImage", images=failing)
    browser_page.load_prompt(graph)
    with pytest.raises(PromptFailedError, match="broken glass"):
        browser_page.queue()


def test_failing_node_turns_red(browser_page):
    _run_a_failing_node(browser_page)
    assert [node["type"] for node in browser_page.red_nodes()] == ["ProbeFail"]
    assert any("broken glass" in text for text in browser_page.error_texts())


def test_previews_and_messages_reach_the_browser(browser_page):
    graph = Graph()
    steps = graph.node("ProbeSteps", image=graph.node("ProbeNoise", size=8), steps=2, seconds=0.0)
    graph.node("PreviewImage", images=steps)
    browser_page.load_prompt(graph)
    result = browser_page.queue()
    assert [preview.node_id for preview in result.previews] == ["2", "2"]
    assert result.texts == [("2", "2 steps, ünï")]


def test_uncaught_exception_is_an_error(browser_page):
    browser_page.page.evaluate("() => { setTimeout(() => { throw new Error('lost in the web') }, 0) }")
    browser_page.settle()
    assert [error.level for error in browser_page.errors] == ["pageerror"]
    assert "lost in the web" in browser_page.errors[0].text


def test_a_page_that_is_handed_on_has_nothing_of_the_test_before(browser_page):
    browser_page.load_prompt(_inverted())
    browser_page.queue()
    shown = "() => app.graph.nodes.filter(node => node.imgs?.length).map(node => node.type)"
    browser_page.page.wait_for_function(f"() => ({shown})().length")
    _run_a_failing_node(browser_page)
    browser_page.renew()
    assert browser_page.page.evaluate("() => app.graph.nodes.length") == 0
    assert browser_page.alerts() == [] and browser_page.console == []
    browser_page.load_prompt(_inverted())
    assert browser_page.red_nodes() == [] and browser_page.page.evaluate(shown) == []
