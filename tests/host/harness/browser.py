"""ComfyUI's own front end in a real Chromium, as an artist sees it (Playwright's sync API)."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from host.harness.graph import Graph
from host.harness.wire.comfy_client import ComfyClient
from host.harness.wire.events import EventLog
from host.harness.wire.results import PromptFailedError, Result, validation_error

_CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The names that begin with WebUI are Chromium's own pages behind its address bar, which it would load anew, hidden, with
    # each of ours. Of several such arguments the last counts: the other names are those that Playwright gives.
    "--disable-features=AvoidUnnecessaryBeforeUnloadCheckSync,DestroyProfileOnBrowserClose,HttpsUpgrades,"
    "HttpsFirstBalancedModeAutoEnable,LensOverlay,MediaRouter,PaintHolding,ThirdPartyStoragePartitioning,"
    "AvoidCorsURLLoaderRestartOnRedirect,OptimizationHints,NetworkTimeServiceQuerying,AimEnabled,PreconnectToSearch,"
    "WebUIOmniboxPopup,WebUIOmniboxFullPopup,WebUIOmniboxAimPopup",
]
_PATIENCE_MS = 120_000  # other tests share the machine
# What slides in is where it belongs at once: a busy machine draws so few frames that a click would wait for its rest.
_NO_MOTION = """addEventListener("DOMContentLoaded", () => {
    const style = document.createElement("style");
    style.textContent = "*, ::before, ::after { transition-duration: 0s !important; transition-delay: 0s !important;"
        + " animation-duration: 0s !important; animation-delay: 0s !important }";
    document.head.append(style);
});"""
# The graph that a page starts with is opened last, and would replace one that a test has opened in the meantime.
_READY = """() => window.app?.graph && window.app.vueAppReady && !window.app.extensionManager.spinner
    && window.app.extensionManager.workflow?.activeWorkflow"""
# A fresh user has none of these files; the front end asks for them all the same.
_ABSENT_FOR_A_FRESH_USER = ("/user.css", "/favicon.ico", "/api/userdata")
_ERROR_OVERLAY = "[data-testid=error-overlay]"  # of front ends of 2026
_ALERTS = f"[role=dialog]:visible, .p-toast-message:visible, {_ERROR_OVERLAY}:visible"
_CLOSE_BUTTONS = ".p-toast-close-button:visible, [data-testid=error-overlay-dismiss]:visible"
# Files of packs, and types of our nodes.
_OF_PACKS = re.compile(r"/extensions/(?!core/)|\bACE[A-Z]|/ace[-_/]")
# Our notices are closed, and nothing is left of what nodes have shown: the front end remembers it by their numbers.
_RENEW = """async () => {
    document.querySelectorAll(".ace-notice").forEach(notice => notice.remove());
    await app.extensionManager.command.execute("Comfy.NewBlankWorkflow");
    app.nodeOutputs = {};
    app.lastExecutionError = null;
}"""
_ALL_NODES = """
function allNodes(graph) {
    return graph.nodes.flatMap(node => [node, ...(node.subgraph ? allNodes(node.subgraph) : [])]);
}
const nodes = allNodes(app.rootGraph ?? app.graph);
"""


class BrowserNotFoundError(Exception):
    """Chromium or Playwright is missing; the message says which."""


@dataclass(frozen=True)
class ConsoleMessage:
    """One line of the browser's console; uncaught exceptions have the level "pageerror"."""

    level: str
    text: str
    url: str = ""


def find_chromium() -> str:
    """CHROMIUM, or /usr/bin/chromium, or a Chromium or Chrome on the PATH; BrowserNotFoundError otherwise."""
    candidates = [os.environ.get("CHROMIUM"), "/usr/bin/chromium"]
    candidates += [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    for candidate in candidates:
        if candidate and Path(candidate).is_file():
            return candidate
    raise BrowserNotFoundError("no Chromium; install it, or set CHROMIUM to a Chromium or Chrome binary")


@contextmanager
def launch_chromium() -> Iterator[Any]:
    """A headless Playwright browser; BrowserNotFoundError when Playwright or Chromium is missing."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise BrowserNotFoundError(
            "no Playwright; `pip install playwright` (its own browsers are not needed)"
        ) from None
    executable = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, headless=True, args=_CHROMIUM_ARGS)
        try:
            yield browser
        finally:
            browser.close()


def artifacts_folder() -> Path:
    """Where screenshots go: ACE_TEST_ARTIFACTS, or a folder in the system's temporary one."""
    folder = Path(os.environ.get("ACE_TEST_ARTIFACTS") or Path(tempfile.gettempdir()) / "ace-test-artifacts")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class ComfyPage:
    """The front end of one server, ready to work. ``page`` is the Playwright page for everything not covered here.

    Args:
        browser: of Playwright.
        server: whose front end is opened.
        locale: of the browser.
        nodes_2: whether nodes are drawn by Vue ("Nodes 2.0") instead of on the canvas. The server keeps that as a setting
            of its user, so every page says it anew.
    """

    def __init__(self, browser: Any, server: ComfyClient, *, locale: str = "en-US", nodes_2: bool = False):
        self.server = server
        self.console: list[ConsoleMessage] = []
        self.foreign_requests: list[str] = []  # addresses outside the server
        self._requests = 0  # so far
        self._unanswered: set[Any] = set()  # requests
        self._log = EventLog()
        # A user seen for the first time gets the template browser in front of the canvas. The minimap is drawn without
        # end, which takes half a core where no GPU draws it; Nodes 2.0 keep it: without it wires were once seen to come late.
        settings = {
            "Comfy.TutorialCompleted": True,
            "Comfy.Minimap.Visible": nodes_2,
            "Comfy.VueNodes.Enabled": nodes_2,
        }
        server.fetch("/api/settings", "POST", json=settings)
        self._context = browser.new_context(
            viewport={"width": 1600, "height": 1000}, locale=locale, reduced_motion="reduce"
        )
        self._context.set_default_timeout(_PATIENCE_MS)
        self._context.add_init_script(_NO_MOTION)
        self.page = self._context.new_page()
        self.page.on("console", self._take_console)
        self.page.on("pageerror", lambda error: self.console.append(ConsoleMessage("pageerror", str(error))))
        self.page.on("request", self._take_request)
        self.page.on("requestfinished", lambda request: self._unanswered.discard(request))
        self.page.on("requestfailed", lambda request: self._unanswered.discard(request))
        self.page.on("websocket", lambda socket: socket.on("framereceived", self._log.take))
        self.page.goto(server.url, wait_until="domcontentloaded")
        self.page.wait_for_function(_READY, timeout=300_000)

    def close(self) -> None:
        self._context.close()

    def renew(self) -> None:
        """As it was when it was opened, so far as a test can tell: a blank graph, nothing in front of it, nothing said yet.

        Opening a page is most of what a short test takes. What the front end has fetched or stored stays.
        """
        self.dismiss_alerts()
        self.page.evaluate(_RENEW)
        self.settle()
        self.console.clear()
        self.foreign_requests.clear()

    def _take_console(self, message: Any) -> None:
        self.console.append(ConsoleMessage(message.type, message.text, message.location.get("url", "")))

    def _take_request(self, request: Any) -> None:
        self._requests += 1
        self._unanswered.add(request)
        address = urlsplit(request.url)
        if address.scheme.startswith("http") and address.netloc != urlsplit(self.server.url).netloc:
            self.foreign_requests.append(request.url)

    @property
    def errors(self) -> list[ConsoleMessage]:
        """Console errors and uncaught exceptions, without what the front end logs of itself."""
        return [m for m in self.console if m.level in ("error", "pageerror") and not _is_host_noise(m)]

    # -- graphs -------------------------------------------------------------------------------------------------

    def load_workflow(self, workflow: Mapping[str, Any] | Path) -> None:
        """Open a UI-format workflow (parsed, or a file) in a new tab."""
        if isinstance(workflow, Path):
            workflow = json.loads(workflow.read_text(encoding="utf-8"))
        self.page.evaluate("async workflow => { await app.loadGraphData(workflow) }", dict(workflow))
        self.settle()

    def load_default_workflow(self) -> None:
        """Open core's text-to-image graph in a new tab."""
        self.page.evaluate("async () => { await app.extensionManager.command.execute('Comfy.LoadDefaultWorkflow') }")
        self.settle()

    def load_prompt(self, prompt: Graph | Mapping[str, Any], name: str = "prompt.json") -> None:
        """Open an API-format prompt; the front end lays the nodes out itself."""
        nodes = prompt.prompt() if isinstance(prompt, Graph) else dict(prompt)
        self.page.evaluate("async ([nodes, name]) => { await app.loadApiJson(nodes, name) }", [nodes, name])
        self.settle()

    def save_workflow_json(self) -> dict[str, Any]:
        """The open graph in UI format, as the front end writes it into files and pictures."""
        return self._graph_to_prompt("workflow")

    def export_prompt(self) -> dict[str, Any]:
        """The open graph in API format, as the front end would queue it."""
        return self._graph_to_prompt("output")

    def _graph_to_prompt(self, part: str) -> dict[str, Any]:
        # Through JSON: Playwright would turn absent values into null, which no real file holds.
        return json.loads(self.page.evaluate("async part => JSON.stringify((await app.graphToPrompt())[part])", part))

    def settle(self) -> None:
        """Let the front end finish what it does after a graph was opened or changed."""
        self.page.wait_for_function(_READY)
        self.page.wait_for_timeout(500)

    def rest(self) -> None:
        """Wait until all that the page has asked for is answered, and nothing more is asked for a second.

        Playwright's own "networkidle" is that of a page that opens, and over ever after. TimeoutError where there is no rest.
        """
        deadline, asked = time.monotonic() + _PATIENCE_MS / 1000, -1
        while self._unanswered or asked != self._requests:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the page goes on asking; unanswered: {[one.url for one in self._unanswered]}")
            asked = self._requests
            self.page.wait_for_timeout(1000)

    # -- state --------------------------------------------------------------------------------------------------

    def missing_node_types(self) -> list[str]:
        """Types in the open graph, subgraphs included, that no installed pack provides."""
        return self.page.evaluate(
            f"() => {{ {_ALL_NODES} return [...new Set(nodes.map(node => node.type)"
            ".filter(type => !(type in LiteGraph.registered_node_types)))].sort() }"
        )

    def red_nodes(self) -> list[dict[str, Any]]:
        """Nodes shown in red, {"id", "type", "inputs": [names of red inputs]}: missing, refused or failed ones."""
        return self.page.evaluate(
            f"() => {{ {_ALL_NODES} const failed = String(app.lastExecutionError?.node_id);"
            "const unknown = node => !(node.type in LiteGraph.registered_node_types);"
            "return nodes.filter(node => node.has_errors || unknown(node) || String(node.id) === failed).map(node => ({"
            "id: String(node.id), type: node.type,"
            "inputs: (node.inputs ?? []).filter(input => input.hasErrors).map(input => input.name)})) }"
        )

    def alerts(self) -> list[str]:
        """The texts of the dialogs and notifications now in view."""
        found = self.page.locator(_ALERTS)
        return [text.strip() for text in found.all_inner_texts()]

    def lasting_alerts(self) -> list[str]:
        """Those that stay: the front end of 0.8 says for a second that it has renewed its menus, and errors for ten."""
        deadline = time.monotonic() + 4
        while self.alerts() and time.monotonic() < deadline:
            self.page.wait_for_timeout(200)
        return self.alerts()

    def error_texts(self) -> list[str]:
        """``alerts``, and what newer front ends keep in their panel of errors, one click away."""
        texts = self.alerts()
        details = self.page.locator(f"{_ERROR_OVERLAY} [data-testid=error-overlay-see-errors]:visible")
        if details.count():
            details.first.click()
            self.settle()
            texts += self.page.locator("[data-testid^=error-group-]:visible").all_inner_texts()
        return texts

    def dismiss_alerts(self) -> None:
        """Close every dialog and notification."""
        for _ in range(10):
            if not self.alerts():
                return
            self.page.keyboard.press("Escape")
            for button in self.page.locator(_CLOSE_BUTTONS).all():
                button.click()
            self.page.wait_for_timeout(300)
        raise AssertionError(f"could not close: {self.alerts()}")

    # -- running ------------------------------------------------------------------------------------------------

    def queue(self, timeout: float = 120.0) -> Result:
        """Run the open graph as the Run button does and wait.

        PromptFailedError when the server refuses it or a node fails; TimeoutError when it takes longer.
        """
        is_queue_request = self._is_queue_request
        with self.page.expect_response(is_queue_request) as response:
            self.page.evaluate("async () => { await app.queuePrompt(0) }")
        answer = response.value.json()
        if response.value.status != 200:
            self.settle()
            raise PromptFailedError(validation_error(answer["error"], answer["node_errors"]))
        record = self._log.record(answer["prompt_id"])
        deadline = time.monotonic() + timeout
        while not record.done:
            if time.monotonic() > deadline:
                self.server.interrupt(answer["prompt_id"])
                raise TimeoutError(f"the graph did not finish within {timeout:.0f} s")
            self.page.wait_for_timeout(50)  # this is when Playwright delivers the websocket's messages
        self.settle()
        result = self.server.collect(answer["prompt_id"], record)
        if result.error is not None:
            raise PromptFailedError(result.error, result)
        return result

    @staticmethod
    def _is_queue_request(response: Any) -> bool:
        return response.request.method == "POST" and urlsplit(response.url).path == "/api/prompt"

    def told(self) -> str:
        """What can be read on the page, its errors, and what its server has in the queue: for the report of a test."""
        parts = [self.page.locator("body").inner_text()[-4000:], *map(str, self.errors)]
        if getattr(self.server, "running", True):  # a client of a server that others started does not know
            parts.append(self.server.fetch("/queue").body[:2000].decode(errors="replace"))
        return "\n".join(parts)

    def screenshot(self, name: str) -> Path:
        """Write <name>.png into the artefacts folder and return its path."""
        path = artifacts_folder() / f"{name}.png"
        self.page.screenshot(path=path)
        return path


def _is_host_noise(message: ConsoleMessage) -> bool:
    """What the front end says of itself. Uncaught exceptions, and what packs' files or our nodes have a part in, count."""
    if message.level == "pageerror":
        return False
    path = urlsplit(message.url).path
    if message.text.startswith("Failed to load resource"):
        return path.startswith(_ABSENT_FOR_A_FRESH_USER)
    ours = _OF_PACKS.search(message.text) or _OF_PACKS.search(path)
    return path.startswith("/assets/") and not ours
