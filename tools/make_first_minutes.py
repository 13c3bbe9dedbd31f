"""Makes the film strip of ``docs/first-minutes.md`` by doing in a fresh ComfyUI what that page tells; says how long it took.

    COMFYUI_DIR=… .venv/bin/python tools/make_first_minutes.py [STEPS]

Needs a ComfyUI as for the host tests (the newest one), Chromium, and about ten minutes on two CPU cores. STEPS is for
trying this out: it trains for so many instead of the template's own.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

from host.harness.browser import ComfyPage, launch_chromium  # noqa: E402
from host.harness.comfy_server import ComfyServer  # noqa: E402
from host.harness.install.training_packages import lend_training_packages  # noqa: E402
from PIL import Image  # noqa: E402

PICTURES = ROOT / "docs" / "images"
_WIDTH, _QUALITY = 1120, 66  # pixels and quality of a picture on the page
_PATIENCE_MS = 3_600_000  # of a machine that does other things, too
_NOTICE = ".ace-notice"
# A curve to be seen, and how long it still takes.
_LEARNS = """() => document.querySelector('.ace-run svg polyline')?.getAttribute('points').split(' ').length > 30
    && app.graph.nodes.some(node => node.widgets?.some(widget => String(widget.value).includes('min left')))"""
_SET_STEPS = """steps => { app.graph.nodes.find(node => node.type === 'ACEDistil').widgets
    .find(widget => widget.name === 'steps').value = steps }"""


class Film:
    """The first minutes, in the order of the page. Times count from the start of the server."""

    def __init__(self, server: ComfyServer, chromium: Any, steps: int | None = None):
        self.server, self.chromium, self.steps = server, chromium, steps
        self.started = time.monotonic()
        self.frames = 0

    def shoot(self) -> None:
        """All frames."""
        with self.server:
            self.page = ComfyPage(self.chromium, self.server)
            self.page.page.set_default_timeout(_PATIENCE_MS)
            self.frame("a fresh ComfyUI")
            self.template("03 Text to image")
            self.run("the first picture")
            self.template("01 Edit by instruction")
            self.run("the first edit")
            self.template("02 Distil this graph")
            self.frame("a graph to distil")
            self.sweep()
            self.distil()
            self.replacement()
            for error in self.page.errors:
                print("error:", error)

    def frame(self, what: str) -> None:
        """Writes the page as it is, and says what it shows and when."""
        self.frames += 1
        seconds = round(time.monotonic() - self.started)
        picture = Image.open(io.BytesIO(self.page.page.screenshot())).convert("RGB")
        height = round(picture.height * _WIDTH / picture.width)
        picture = picture.resize((_WIDTH, height), Image.Resampling.LANCZOS)
        picture.save(PICTURES / f"first-minutes-{self.frames:02}.webp", quality=_QUALITY, method=6)
        print(f"{seconds // 60}:{seconds % 60:02} {self.frames:02} {what}", flush=True)

    def template(self, name: str) -> None:
        """Opens a template from the browser."""
        page = self.page.page
        page.evaluate("() => app.extensionManager.command.execute('Comfy.BrowseTemplates')")
        browser = page.get_by_role("dialog")
        browser.get_by_text("ACE Edit", exact=True).first.click()
        card = browser.get_by_text(name).first
        card.wait_for()
        page.wait_for_load_state("networkidle")  # thumbnails
        page.wait_for_timeout(1000)
        if self.frames == 1:
            self.frame("the templates")
        card.click()
        opened = "name => app.extensionManager.workflow.activeWorkflow?.filename === name && app.graph.nodes.length"
        page.wait_for_function(opened, arg=name)
        self.show()

    def show(self) -> None:
        """Waits until an opened workflow stands still."""
        self.page.settle()
        self.page.page.wait_for_timeout(1500)

    def run(self, what: str) -> None:
        """Run, and what comes of it."""
        self.page.queue(timeout=_PATIENCE_MS / 1000)
        self.page.page.wait_for_timeout(1500)
        self.frame(what)

    def sweep(self) -> None:
        """Run with Sweep in the graph, until all pairs are there."""
        self.page.queue()
        while self.server.fetch("/ace/sweep").json()["running"]:
            self.page.page.wait_for_timeout(300)
        self.page.page.locator(_NOTICE).wait_for()
        self.show()
        self.frame("all pairs captured")
        self.page.page.locator(f"{_NOTICE} .ace-close").click()

    def distil(self) -> None:
        """The button above Distil; a frame while it trains, and one when it is done."""
        page = self.page.page
        page.evaluate("() => app.canvas.selectNode(app.graph.nodes.find(node => node.type === 'ACEDistil'))")
        if self.steps is not None:
            page.evaluate(_SET_STEPS, self.steps)
        page.evaluate("() => app.extensionManager.command.execute('Comfy.QueueSelectedOutputNodes')")
        page.wait_for_function(_LEARNS, timeout=_PATIENCE_MS)
        self.frame("learning")
        page.locator(_NOTICE).wait_for()
        page.wait_for_timeout(1500)
        self.frame("the distillation is finished")

    def replacement(self) -> None:
        """Open workflow in the notice, and one run of what it opens."""
        self.page.page.locator(_NOTICE).get_by_role("button", name="Open workflow").click()
        self.page.page.wait_for_function("() => app.graph.nodes.some(node => node.type === 'ACELoadBundle')")
        self.show()
        if self.page.red_nodes():
            raise RuntimeError(f"the replacement workflow opens with red nodes: {self.page.red_nodes()}")
        self.frame("the replacement workflow")
        self.run("its first result")


def main(arguments: list[str]) -> None:
    """Films the first minutes."""
    steps = int(arguments[0]) if arguments else None
    with tempfile.TemporaryDirectory() as folder, launch_chromium() as chromium:
        Film(ComfyServer(env=lend_training_packages(Path(folder))), chromium, steps).shoot()


if __name__ == "__main__":
    main(sys.argv[1:])
