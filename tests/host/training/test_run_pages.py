"""What the page of a Train or Distil node shows and opens: curve, replacement workflow, report; and what it never opens."""

from __future__ import annotations

import http.client
import json
import os
from pathlib import Path

import pytest
from comfyui_ace.training.workflows.node_sizes import node_size
from host.harness.browser import ComfyPage
from host.harness.comfy_server import ComfyServer
from host.harness.node_boxes import assert_has_room, assert_tidy
from host.training.test_training_nodes import training
from host.training.test_training_nodes import training_comfy as training_comfy  # a fixture

NODE = "app.graph.nodes.find(node => node.type === 'ACEDistil')"
PANEL = f"{NODE}?.widgets.find(widget => widget.name === 'ace_run')?.element"
# Keeps what the node shows at each piece of news while it runs: what it says, and whether its curve is there.
WATCH = f"""() => {{
    window.told = [];
    const look = () => {{
        const texts = (({NODE})?.widgets ?? []).map(({{ value }}) => value).filter(value => typeof value === "string");
        const text = texts.find(value => value.includes("step ")) ?? null;
        window.told.push({{ text, curve: !!({PANEL})?.querySelector("svg polyline") }});
    }};
    for (const name of ["progress_text", "ace.training"]) comfyAPI.api.api.addEventListener(name, look);
}}"""
# Of a run that a node of the same number began in another workflow.
NEWS_OF_ANOTHER = f"""() => comfyAPI.api.api.dispatchCustomEvent("ace.training", {{
    node: String({NODE}.id), kind: "distil", name: "another", running: true, steps: 10, workflow: null, report: true,
    curve: {{ training: [[1, 1.0], [2, 0.5]], held_out: [] }},
}})"""
PAGE = "<!doctype html><title>The report</title>"


@pytest.fixture(scope="module")
def report(training_comfy) -> Path:
    """The report's folder of a run "told", beside files that are nobody's business."""
    folder = training_comfy.base_dir / "output" / "distil" / "told"
    (folder / "report").mkdir(parents=True)
    (folder / "report" / "index.html").write_text(PAGE)
    (folder / "report" / "notes.txt").write_text("secret")
    (folder / "secret.json").write_text('"secret"')
    os.symlink(folder / "secret.json", folder / "report" / "link.json")
    elsewhere = training_comfy.base_dir / "output" / "distil" / "elsewhere"
    elsewhere.mkdir()
    os.symlink(folder, elsewhere / "report")
    os.symlink(folder, elsewhere.parent / "linked")
    metrics = [{"event": "step", "step": 1, "loss": 0.5}, {"event": "validation", "step": 1, "loss": 0.25}]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, metrics)) + '\n{"event": "st')
    return folder / "report"


def test_a_report_is_served(training_comfy, report):
    reply = training_comfy.fetch("/ace/runs/distil/told/report/")
    assert reply.status == 200 and reply.body.decode() == PAGE
    assert reply.headers["Content-Type"].startswith("text/html")
    # Whatever a dataset has brought into the report, it cannot queue prompts or read the artist's files.
    assert "sandbox" in reply.headers["Content-Security-Policy"]
    assert "allow-same-origin" not in reply.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    [
        "distil/told/report/..%2fsecret.json",
        "distil/told/report/%2e%2e/secret.json",
        "distil/told/report/%2e%2e%2fsecret.json",
        "distil/told/report/..%5csecret.json",
        "distil/told/report/link.json",
        "distil/told/report/notes.txt",
        "distil/told/report/%2fetc%2fhostname",
        "distil/told/report/none.html",
        "distil/elsewhere/report/secret.json",
        "distil/linked/report/index.html",
        "distil/..%2fdistil%2ftold/report/index.html",
        "distil/%2e%2e/report/index.html",
        "..%2fdistil/told/report/index.html",
        "input/told/report/index.html",
        "distil/none/report/",
    ],
)
def test_nothing_else_is_served(training_comfy, report, path):
    for status, body in (_as_browsers_ask(training_comfy, path), _as_written(training_comfy, path)):
        assert status == 404 and b"secret" not in body.replace(b"secret.json", b"")


def _as_browsers_ask(server: ComfyServer, path: str) -> tuple[int, bytes]:
    """Steps to the folder above are taken before anything is sent."""
    reply = server.fetch(f"/ace/runs/{path}")
    return reply.status, reply.body


def _as_written(server: ComfyServer, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request("GET", f"/ace/runs/{path}")
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def test_a_run_says_what_it_has(training_comfy, report):
    told = training_comfy.fetch("/ace/runs/distil/told").json()
    assert told["curve"] == {"training": [[1, 0.5]], "held_out": [[1, 0.25]]}
    assert told["report"] is True and told["workflow"] is None
    (report.parent / "result.json").write_text('{"workflow": "../settings.json", "verdict": "fine"}')
    assert training_comfy.fetch("/ace/runs/distil/told").json()["workflow"] is None
    nobody = training_comfy.fetch("/ace/runs/distil/nobody")
    assert nobody.status == 200 and nobody.json() is None


def open_distil(page: ComfyPage, name: str, nodes_2: bool) -> None:
    page.load_prompt(training("ACEDistil", name))
    assert page.page.evaluate("() => LiteGraph.vueNodesMode ?? false") is nodes_2


def assert_told_while_it_ran(page: ComfyPage) -> None:
    """How far it is stands first, above whatever else there is to say; the curve is drawn as it grows."""
    told = page.page.evaluate("() => window.told")
    running = [one for one in told if one["text"] and one["text"].startswith("step ")]
    assert any(one["curve"] for one in running), told
    assert all("loss" in one["text"].splitlines()[0] for one in running)


def assert_opens_report(page: ComfyPage, place) -> None:
    """place: what the button is in."""
    with page.page.expect_popup() as popup:
        place.locator("button", has_text="Open report").click()
    popup.value.wait_for_load_state()
    assert "against its teacher" in popup.value.content() and popup.value.locator("img").count() > 1
    popup.value.close()


def assert_names_tell_runs_apart(page: ComfyPage, name: str) -> None:
    """Of another name there is no run, so nothing is said of one; and back."""
    says = f"({NODE}).widgets.some(({{ value }}) => String(value).includes('score '))"
    buttons = f"({PANEL}).querySelectorAll('button').length"
    for other, count in ((f"{name} no more", 0), (name, 2)):
        page.page.evaluate(
            f"""name => {{
                const widget = ({NODE}).widgets.find(one => one.name === "name");
                widget.value = name;
                widget.callback?.(name);
            }}""",
            other,
        )
        page.page.wait_for_function(f"() => ({says}) === {'true' if count else 'false'} && {buttons} === {count}")


def test_a_finished_distillation_is_opened_from_its_node_and_its_notice(
    training_comfy: ComfyServer, open_page, nodes_2
):
    name = f"opened {nodes_2}"
    page = open_page(training_comfy, nodes_2=nodes_2)
    open_distil(page, name, nodes_2)
    page.page.evaluate(NEWS_OF_ANOTHER)
    assert page.page.evaluate(f"() => ({PANEL}).children.length") == 0
    page.page.evaluate(f"width => ({NODE}).setSize([width, ({NODE}).size[1]])", node_size("ACEDistil")[0])
    edited = page.page.evaluate("() => app.graph.nodes.length")
    page.page.evaluate(WATCH)
    page.queue(timeout=300)
    assert_told_while_it_ran(page)
    notice = page.page.locator(".ace-notice")
    notice.wait_for()
    assert name in notice.inner_text() and "score" in notice.inner_text()
    page.screenshot(f"distilled-{nodes_2}")
    if nodes_2:  # the sheet is there once, not as the last preview and as a picture
        page.page.wait_for_function(
            f"() => document.querySelector(`[data-node-id='${{{NODE}.id}}']`).querySelectorAll('img').length === 1"
        )
    assert_has_room(page, "ACEDistil")
    page.screenshot(f"whole-{nodes_2}")
    assert page.page.evaluate("() => app.graph.nodes.length") == edited
    assert page.page.evaluate(f"() => !!({PANEL})?.querySelector('svg polyline')")

    for place in (page.page.locator(".ace-run"), notice):
        assert_opens_report(page, place)
    notice.locator("button", has_text="Open workflow").click()
    page.page.wait_for_function("() => app.graph.nodes.some(node => node.type === 'LoraLoaderModelOnly')")
    page.settle()
    assert notice.count() == 0
    assert page.page.evaluate("() => app.extensionManager.workflow.activeWorkflow.path") == f"workflows/{name}.json"
    assert page.red_nodes() == [] and page.missing_node_types() == [] and page.lasting_alerts() == []
    assert page.page.locator("text=Missing Models").count() == 0
    page.screenshot(f"opened-{nodes_2}")
    assert_tidy(page)
    page.queue(timeout=300)
    page.screenshot(f"replaced-{nodes_2}")
    assert_tidy(page)
    assert page.red_nodes() == [] and page.lasting_alerts() == []

    # A page that comes later knows it, too.
    later = open_page(training_comfy, nodes_2=nodes_2)
    open_distil(later, name, nodes_2)
    later.page.wait_for_function(f"() => ({PANEL})?.querySelectorAll('button').length === 2")
    later.page.wait_for_function(f"() => ({NODE}).widgets.some(({{ value }}) => String(value).includes('score '))")
    later.screenshot(f"later-{nodes_2}")
    assert_names_tell_runs_apart(later, name)
    later.screenshot(f"renamed-{nodes_2}")
    assert later.page.evaluate("() => app.extensionManager.workflow.persistedWorkflows.map(w => w.path)").count(
        f"workflows/{name}.json"
    )
    later.page.locator(".ace-run button", has_text="Open workflow").click()
    later.page.wait_for_function("() => app.graph.nodes.some(node => node.type === 'LoraLoaderModelOnly')")


@pytest.mark.parametrize("has_report", [False, True])
def test_the_curve_and_its_words_are_seen_whole(training_comfy: ComfyServer, reuse_page, nodes_2, has_report):
    """While it trains there are no buttons above it yet."""
    name = f"seen {nodes_2} {has_report}"
    folder = training_comfy.base_dir / "output" / "distil" / name
    (folder / "report").mkdir(parents=True)
    if has_report:
        (folder / "report" / "index.html").write_text(PAGE)
    metrics = [{"event": kind, "step": step, "loss": 1 / step} for step in (1, 2) for kind in ("step", "validation")]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, metrics)) + "\n")
    page = reuse_page(training_comfy, nodes_2=nodes_2)
    open_distil(page, name, nodes_2)
    page.page.wait_for_function(f"() => ({PANEL})?.querySelectorAll('svg polyline').length === 2")
    page.settle()
    page.screenshot(f"curve-{nodes_2}-{has_report}")
    last, node = page.page.evaluate(f"""() => {{
        const node = {NODE}, vue = document.querySelector(`[data-node-id="${{node.id}}"]`);
        const [, bottom] = app.canvas.ds.convertOffsetToCanvas([0, node.pos[1] + node.size[1]]);
        const top = app.canvas.canvas.getBoundingClientRect().top;
        return [({PANEL}).lastElementChild.lastElementChild.getBoundingClientRect().bottom,
                vue ? vue.getBoundingClientRect().bottom : top + bottom];
    }}""")
    clipped = page.page.evaluate(f"() => ({PANEL}).scrollHeight - ({PANEL}).clientHeight")
    assert 0 < last <= node and clipped <= 1, (last, node, clipped)


def test_a_new_dataset_is_in_the_menus_at_once(comfy, browser_page, photo):
    from host.harness.graph import Graph

    g = Graph()
    loaded = g.node("LoadImage", image=photo)
    marked = g.node("ACECaptureSource", image=loaded[0], index=0)
    inverted = g.node("ImageInvert", image=marked[0])
    g.node("ACECaptureResult", image=inverted, instruction="{image} as a negative", dataset="brand-new")
    g.node("ACELoadDataset", dataset="none yet", split="all", pictures=0, first=0)
    browser_page.load_prompt(g)
    menu = "app.graph.nodes.find(node => node.type === 'ACELoadDataset').widgets[0].options.values"
    assert "brand-new" not in browser_page.page.evaluate(f"() => {menu}")
    browser_page.page.evaluate("() => { app.queuePrompt(0) }")
    browser_page.page.wait_for_function(f"() => {menu}.includes('brand-new')")
