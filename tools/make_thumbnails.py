"""Makes the thumbnails of ``workflows/``: runs each workflow as it is shipped and draws a card of what came of it.

    .venv/bin/python tools/make_thumbnails.py [NAME-PART …]

Needs a ComfyUI as for the host tests, and no browser. To be run again whenever the shipped model or a workflow has changed.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

from comfyui_ace.training.capture.workflow.load import load_workflow, read_workflow  # noqa: E402
from comfyui_ace.training.workflows.ace_graph import BUNDLE  # noqa: E402
from host.harness.comfy_server import ComfyServer  # noqa: E402
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps  # noqa: E402
from workflow_graphs import WORKFLOWS, Workflow  # noqa: E402

FOLDER = ROOT / "workflows"
SIDE = 512  # pixels of a card
_SCALE = 2  # drawn larger, so that edges are smooth
_SLANT = 0.08  # of the side, by which the wipe leans
_QUALITY = 90
_EMPTY, _BACKDROP = (235, 235, 240), (24, 26, 32)
_LEFT_OUT = ("ACESweep", "ACEDistil")


@dataclass(frozen=True)
class Card:
    """What a card shows.

    Attributes:
        after: what the workflow made.
        before: what it was made of, or None.
        centre: of what is shown, 0 … 1 of the width.
        labels: of the two sides.
        model: what made it.
    """

    after: Image.Image
    before: Image.Image | None
    centre: float
    labels: tuple[str, str]
    model: str

    def draw(self) -> Image.Image:
        """The card, SIDE pixels square."""
        side = SIDE * _SCALE
        card = self._square(self.after)
        if self.before is not None:
            self._wipe(card, self._square(self.before))
        _shade(card)
        margin = side // 28
        if self.before is not None:
            _chip(card, self.labels[0], (margin, side - margin), "ls")
            _chip(card, self.labels[1], (side - margin, side - margin), "rs")
        _chip(card, self.model, (side - margin, margin), "ra", faint=True)
        return card.resize((SIDE, SIDE), Image.Resampling.LANCZOS)

    def _square(self, picture: Image.Image) -> Image.Image:
        side = SIDE * _SCALE
        return ImageOps.fit(
            picture.convert("RGB"), (side, side), Image.Resampling.LANCZOS, centering=(self.centre, 0.5)
        )

    @staticmethod
    def _wipe(card: Image.Image, before: Image.Image) -> None:
        """The left of the card becomes ``before``, up to a leaning line with a handle."""
        side, lean = card.width, card.width * _SLANT
        top, bottom = (side / 2 + lean, 0), (side / 2 - lean, side)
        mask = Image.new("L", card.size)
        ImageDraw.Draw(mask).polygon([(0, 0), top, bottom, (0, side)], fill=255)
        card.paste(before, mask=mask)
        shadow = Image.new("L", card.size)
        ImageDraw.Draw(shadow).line([top, bottom], fill=150, width=side // 60)
        card.paste((0, 0, 0), mask=shadow.filter(ImageFilter.GaussianBlur(side // 90)))
        draw, middle, radius = ImageDraw.Draw(card), side / 2, side / 26
        draw.line([top, bottom], fill="white", width=side // 170)
        draw.circle((middle, middle), radius, fill="white")
        for direction in (-1, 1):
            near, far, height = direction * radius * 0.25, direction * radius * 0.6, radius * 0.35
            draw.polygon(
                [(middle + far, middle), (middle + near, middle - height), (middle + near, middle + height)],
                fill=(40, 44, 52),
            )


def _shade(card: Image.Image) -> None:
    """Darkens the lower edge a little, so that words can be read on any picture."""
    ramp = Image.linear_gradient("L").resize(card.size).point(lambda level: max(0, level - 150))
    card.paste((0, 0, 0), mask=ramp)


def _chip(card: Image.Image, text: str, corner: tuple[float, float], anchor: str, faint: bool = False) -> None:
    """A word on a round plate; ``anchor`` says which corner of the plate lies there, in Pillow's letters."""
    height = card.width // (20 if faint else 17)
    font = ImageFont.load_default(height * 0.62)
    width = font.getlength(text) + height * 0.9
    left = corner[0] if anchor[0] == "l" else corner[0] - width
    top = corner[1] if anchor[1] == "a" else corner[1] - height
    plate = Image.new("L", card.size)
    ImageDraw.Draw(plate).rounded_rectangle((left, top, left + width, top + height), height / 2, fill=150)
    card.paste((16, 18, 22), mask=plate)
    ImageDraw.Draw(card).text((left + width / 2, top + height / 2), text, "white", font, "mm")


def run(server: ComfyServer, workflow: Workflow) -> Image.Image:
    """The picture that the shipped workflow saves; of one that distils, what its teacher makes."""
    schemas = server.fetch("/object_info", timeout=300).json()
    prompt = load_workflow(read_workflow(FOLDER / f"{workflow.name}.json"), schemas).prompt
    kept = {id_: node for id_, node in prompt.items() if node["class_type"] not in _LEFT_OUT}
    result = server.run(kept, timeout=1800)
    pictures = [images for id_, images in result.images.items() if kept[id_]["class_type"] == "SaveImage"]
    return pictures[0][0]


def before_of(server: ComfyServer, workflow: Workflow) -> Image.Image | None:
    """The picture that the card shows at its left."""
    if not workflow.before:
        return None
    server.fetch("/ace/examples", "POST", json=[workflow.before])
    with Image.open(server.base_dir / "input" / workflow.before) as picture:
        return _on_grey(picture)


def _on_grey(picture: Image.Image) -> Image.Image:
    """What is transparent, the mask, as a light veil."""
    veil = Image.new("RGBA", picture.size, (235, 235, 240, 255))
    return Image.alpha_composite(veil, picture.convert("RGBA")).convert("RGB")


def card_of(server: ComfyServer, workflow: Workflow) -> Card:
    """Runs a workflow; a teacher's card says that it is none of the model's."""
    after, before = run(server, workflow), before_of(server, workflow)
    if "ACEOutpaint" in {node["class_type"] for node in workflow.build().prompt().values()}:
        shown = ImageOps.contain(before, after.size, Image.Resampling.LANCZOS)
        before = ImageOps.pad(shown, after.size, color=_EMPTY)  # the new border is still empty
        longest = (max(after.size),) * 2
        after, before = (ImageOps.pad(picture.convert("RGB"), longest, color=_BACKDROP) for picture in (after, before))
    side, model = ("the graph", "core nodes") if workflow.pairs else ("after", BUNDLE)
    return Card(after, before, workflow.centre, ("before", side), model)


def main(parts: list[str]) -> None:
    """Makes the thumbnails of workflows whose names contain one of the parts; without any part, of all."""
    chosen = [workflow for workflow in WORKFLOWS if not parts or any(part in workflow.name for part in parts)]
    with ComfyServer(start_timeout=600) as server:
        for workflow in chosen:
            started = time.monotonic()
            card_of(server, workflow).draw().save(FOLDER / f"{workflow.name}.jpg", quality=_QUALITY, optimize=True)
            print(f"{workflow.name}: {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
