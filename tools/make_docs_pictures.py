"""Makes the pictures of ``docs/distilling.md`` by doing in a real ComfyUI what that page tells.

    COMFYUI_DIR=… .venv/bin/python tools/make_docs_pictures.py

Needs a ComfyUI as for the host tests (the newest supported one), Chromium, and about ten minutes on two CPU cores. Also
writes the workflow that the page starts from.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

from comfyui_ace.training.tiny.world.photographs import whole  # noqa: E402
from comfyui_ace.training.workflows.graph import Graph, NodeRef  # noqa: E402
from host.harness.browser import ComfyPage, launch_chromium  # noqa: E402
from host.harness.comfy_server import ComfyServer  # noqa: E402
from host.harness.install.training_packages import lend_training_packages  # noqa: E402
from PIL import Image  # noqa: E402

PICTURES = ROOT / "docs" / "images"
WORKFLOW = ROOT / "docs" / "files" / "blueprint.json"
NAME = "blueprint"
INSTRUCTION = "{image} as a blueprint"
PHOTOS = "photos"  # a folder in ComfyUI's input folder
SIDE = 256
# CC0 or public domain; training/tiny/LICENSES.md names their authors.
_SWEPT = ("astronaut", "rocket", "hopper", "coins", "camera", "retina", "cat")
_SQUARES = 8  # of each photograph
# As ace-tiny recommends, and as the node shows it.
_TRAINING = {"steps": 300, "rank": 64, "learning_rate": 0.001, "batch_size": 4, "seed": 0, "config": "(standard)"}
_WIDTH = 1280  # pixels of a picture on the page, at most
_QUALITY = 80

# [[id, x, y, width, height] …]; a height of 0 is the node's own.
_PLACE = """places => {
    for (const node of app.graph.nodes) {
        node.title = node.constructor.title;
        for (const widget of node.widgets ?? [])
            if (widget.name === "control_after_generate") widget.value = "fixed";
    }
    for (const [id, x, y, width, height] of places) {
        const node = app.graph.getNodeById(id);
        node.pos = [x, y];
        node.setSize([width, height || node.computeSize()[1]]);
    }
    app.canvas.deselectAll();
    app.graph.setDirtyCanvas(true, true);
}"""
# Shows these nodes, or all, as large as fits into a part of the page; returns the width and height they take there.
_FIT = """([ids, left, top, width, height]) => {
    const nodes = app.graph.nodes.filter(node => !ids.length || ids.includes(String(node.id)));
    const edges = nodes.map(n => [n.pos[0], n.pos[1] - 30, n.pos[0] + n.size[0], n.pos[1] + n.size[1]]);
    const [x0, y0] = [0, 1].map(k => Math.min(...edges.map(edge => edge[k])));
    const [x1, y1] = [2, 3].map(k => Math.max(...edges.map(edge => edge[k])));
    const scale = Math.min(width / (x1 - x0), height / (y1 - y0), 1.25);
    const corner = app.canvas.canvas.getBoundingClientRect();
    app.canvas.ds.scale = scale;
    app.canvas.ds.offset = [(left - corner.left) / scale - x0, (top - corner.top) / scale - y0];
    app.canvas.draw(true, true);
    return [(x1 - x0) * scale, (y1 - y0) * scale];
}"""
_PART = (90, 100, 1480, 830)  # left, top, width, height: clear of the side bar, the tabs and the Run button
_MARGIN = 14
_TOAST = ".p-toast-message, [data-testid=queue-notification-banner]"
_HIDE = """() => { for (const [id, value] of [["Comfy.NodeBadge.NodeSourceBadgeMode", "None"],
    ["Comfy.NodeBadge.NodeIdBadgeMode", "None"], ["Comfy.Minimap.Visible", false], ["Comfy.Graph.CanvasInfo", false]])
    app.extensionManager.setting.set(id, value) }"""


class Story:
    """The page, from a working graph to the workflow that replaces it."""

    def __init__(self, server: ComfyServer, chromium):
        self.server, self.chromium = server, chromium
        server.upload_image(whole("cat"), "cat.png")
        server.upload_image(whole("coffee"), "coffee.png")
        _fill(server.base_dir / "input" / PHOTOS)
        self.page = ComfyPage(chromium, server)

    def tell(self) -> None:
        self.teacher()
        self.markers()
        self.sweep()
        self.dataset()
        self.distil()
        self.report()
        self.replacement()

    def teacher(self) -> None:
        graph, places = teacher("cat.png")
        self._open(graph, places)
        WORKFLOW.parent.mkdir(parents=True, exist_ok=True)
        WORKFLOW.write_text(_shared(self.page.save_workflow_json()), encoding="utf-8")
        self.page.queue()
        self._shoot("distilling-1-workflow")

    def markers(self) -> None:
        graph, places = teacher("cat.png", marked=True)
        self._open(graph, places)
        self.page.queue()
        self._shoot("distilling-2-markers")

    def sweep(self) -> None:
        graph, places = teacher("cat.png", marked=True)
        settings = {"masks": "none", "second_folder": "none", "dataset": "", "instruction": "", "tags": "", "seeds": 1}
        actions = {"checks": "", "action": "start", "retry_set_aside": False}
        sweep = graph.node("ACESweep", folder=PHOTOS, **settings, **actions)
        self._open(graph, [*places, (sweep, 640, 440, 420, 0)])
        self.page.queue()
        while self.server.fetch("/ace/sweep").json()["running"]:
            self.page.page.wait_for_timeout(500)
        self.page.settle()
        self._shoot("distilling-3-sweep")

    def dataset(self) -> None:
        graph = Graph()
        loaded = graph.node("ACELoadDataset", dataset=NAME, split="all", pictures=0, first=0)
        browse = graph.node("ACEBrowseDataset", dataset=loaded, number=0, pair_id="", split="all")
        before = graph.node("PreviewImage", images=browse[0])
        after = graph.node("PreviewImage", images=browse[2])
        places = [(loaded, 0, 0, 270, 0), (browse, 320, 0, 520, 660), (before, 890, 0, 280, 310)]
        self._open(graph, [*places, (after, 890, 350, 280, 310)])
        self.page.queue()
        self._shoot("distilling-4-dataset")

    def distil(self) -> None:
        graph = Graph()
        loaded = graph.node("ACELoadDataset", dataset=NAME, split="all", pictures=0, first=0)
        chosen = {"dataset_name": "(the connected one)", "bundle": "ace-tiny", "name": NAME}
        distil = graph.node("ACEDistil", dataset=loaded, **chosen, **_TRAINING)
        self._open(graph, [(loaded, 0, 0, 270, 0), (distil, 320, 0, 560, 760)])
        started = time.monotonic()
        self.page.queue(timeout=3600)
        print(f"distilled in {(time.monotonic() - started) / 60:.1f} minutes")
        self._shoot("distilling-5-distil")

    def report(self) -> None:
        path = self.server.base_dir / "output" / "distil" / NAME / "report" / "index.html"
        page = self.page.page.context.new_page()
        page.set_viewport_size({"width": 1000, "height": 800})
        page.goto(path.as_uri())
        write_picture(page.screenshot(), "distilling-6-report")
        page.close()

    def replacement(self) -> None:
        path = self.server.base_dir / "user" / "default" / "workflows" / f"{NAME}.json"
        self._fresh_page()
        self.page.load_workflow(json.loads(path.read_text(encoding="utf-8")))
        self.page.page.evaluate(
            """name => { const node = app.graph.nodes.find(node => node.type === "LoadImage");
            const widget = node.widgets.find(widget => widget.name === "image");
            widget.value = name; widget.callback(name) }""",
            "coffee.png",
        )
        self.page.queue(timeout=600)
        self._shoot("distilling-7-replacement")

    def _fresh_page(self) -> None:
        """Menus know new datasets and LoRAs on it, and nodes have no pictures of others."""
        self.page.close()
        self.page = ComfyPage(self.chromium, self.server)
        self.page.page.set_default_timeout(120_000)
        self.page.page.evaluate(_HIDE)

    def _open(self, graph: Graph, places: list[tuple]) -> None:
        self._fresh_page()
        self.page.load_prompt(graph, f"{NAME}.json")
        self.page.page.evaluate(_PLACE, [[node.id, *place] for node, *place in places])
        self.page.settle()

    def _shoot(self, name: str, *nodes: NodeRef) -> None:
        left, top, width, height = _PART
        self.page.page.evaluate("() => app.canvas.deselectAll()")
        for toast in self.page.page.locator(_TOAST).all():
            toast.wait_for(state="hidden")
        for close in self.page.page.locator(".ace-notice .ace-close").all():
            close.click()
        shown = [[node.id for node in nodes], left + _MARGIN, top + _MARGIN, width - 2 * _MARGIN, height - 2 * _MARGIN]
        width, height = self.page.page.evaluate(_FIT, shown)
        self.page.settle()
        clip = {"x": left, "y": top, "width": width + 2 * _MARGIN, "height": height + 2 * _MARGIN}
        write_picture(self.page.page.screenshot(clip=clip), name)


def teacher(photo: str, *, marked: bool = False) -> tuple[Graph, list[tuple]]:
    """A graph of core's nodes: glow, one channel, one ink; with the pack's markers if wanted. And where its nodes go."""
    g = Graph()
    load = g.node("LoadImage", image=photo)
    source = g.node("ACECaptureSource", image=load, index=0) if marked else load
    glow = g.node("ImageBlur", image=source, blur_radius=6, sigma=3.0)
    lit = g.node("ImageBlend", image1=source, image2=glow, blend_factor=0.6, blend_mode="overlay")
    channel = g.node("ImageToMask", image=lit, channel="green")
    grey = g.node("MaskToImage", mask=channel)
    ink = g.node("EmptyImage", width=64, height=64, batch_size=1, color=0x0A2C66)
    inked = g.node("ImageBlend", image1=grey, image2=ink, blend_factor=1.0, blend_mode="screen")
    last, x = inked, 310
    places = [(load, 0, 0, 270, 340)]
    if marked:
        words = {"instruction": INSTRUCTION, "dataset": NAME, "tags": "", "seed": -1, "checks": ""}
        last = g.node("ACECaptureResult", image=inked, **words)
        places += [(source, 310, 0, 240, 0), (last, 1100, 170, 330, 340)]
        x = 590
    save = g.node("SaveImage", images=last, filename_prefix=NAME)
    places += [(glow, x, 0, 210, 0), (lit, x, 150, 210, 0), (inked, x + 510, 0, 210, 0)]
    places += [(channel, x + 240, 0, 240, 0), (grey, x + 240, 120, 240, 0), (ink, x + 240, 210, 240, 0)]
    return g, [*places, (save, 1470 if marked else 1080, 0, 270, 340)]


def _shared(workflow: dict) -> str:
    """The file for readers: with a picture that they choose themselves."""
    for node in workflow["nodes"]:
        if node["type"] == "LoadImage":
            node["widgets_values"][0] = "example.png"
    return json.dumps(workflow, indent=1) + "\n"


def _fill(folder: Path) -> None:
    """Squares of a few photographs, larger and smaller ones, so that no two look alike."""
    folder.mkdir()
    for name in _SWEPT:
        photo = whole(name)
        for number in range(_SQUARES):
            side = round(min(photo.size) * (0.45 + 0.06 * number))
            left, top = ((size - side) * ((3 * number + k) % 5) // 4 for k, size in enumerate(photo.size))
            square = photo.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            square.save(folder / f"{name}-{number}.png")


def write_picture(png: bytes, name: str) -> None:
    """A screenshot for the manual, no wider than its page."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    if picture.width > _WIDTH:
        height = round(picture.height * _WIDTH / picture.width)
        picture = picture.resize((_WIDTH, height), Image.Resampling.LANCZOS)
    PICTURES.mkdir(parents=True, exist_ok=True)
    picture.save(PICTURES / f"{name}.webp", quality=_QUALITY, method=6)


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory() as folder,
        launch_chromium() as browser,
        ComfyServer(env=lend_training_packages(Path(folder))) as comfy,
    ):
        Story(comfy, browser).tell()
