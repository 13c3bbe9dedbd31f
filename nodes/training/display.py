"""A training as its node shows it: progress bar, a live line, the loss curve, sample sheets."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import comfy.utils

from ..host.messages import send_to_pages, show_on_node
from .curve import LossCurve, read_curve
from .process import Event

_SECONDS = 0.5  # from one thing that is told to the next, while there is much
_SHEET_SIDE = 1024  # pixels of a preview


class NodeDisplay:
    """Shows a run on a node. Called with every event of the trainer.

    Args:
        node_id: the node to write on; None shows nothing.
        kind: "train" or "distil".
        name: of the run.
        metrics: the run's file of metrics; once the run has started, the curve goes on from what is there.

    Attributes:
        sheet: the latest sample sheet, or None.
    """

    def __init__(self, node_id: str | None, kind: str, name: str, metrics: Path) -> None:
        self.node_id = node_id
        self.sheet: Path | None = None
        self._run = {"node": node_id, "kind": kind, "name": name}
        self._metrics = metrics
        self._curve = LossCurve()
        self._bar = comfy.utils.ProgressBar(1)
        self._steps = 1
        self._held_out: float | None = None
        self._score = ""
        self._told = 0.0  # when something was told last
        self._notices: list[str] = []

    def __call__(self, event: Event) -> None:
        getattr(self, f"_on_{event['event']}", self._on_other)(event)

    def write(self, text: str) -> None:
        """Writes a text on the node. It comes first: a node shows two lines, and notices can be scrolled to."""
        if self.node_id is not None:
            show_on_node("\n".join([text, *(f"note: {notice}" for notice in self._notices)]), self.node_id)

    def finish(self, run: dict[str, Any], text: str) -> None:
        """Says how the run ended, and has every page show what it made.

        Args:
            run: of :func:`runs.read_run`.
            text: for the node, its first line a sentence.
        """
        self.write(text)
        send_to_pages("ace.training", {**self._run, **run, "steps": self._steps, "running": False})

    def _on_progress(self, event: Event) -> None:
        self._bar.update_absolute(event["done"], max(1, event["total"]))
        if self._is_due():
            self.write(f"{event['what']}: {event['done']} of {event['total']}")

    def _on_start(self, event: Event) -> None:
        self._steps = event["steps"]
        self._curve = read_curve(self._metrics)  # without the steps that a killed run did not save
        self.write(f"{event['pairs']} pairs, {event['held_out']} held out, on {event['device']}")
        self._draw()
        self._told = 0.0  # the first step is told at once

    def _on_step(self, event: Event) -> None:
        self._curve(event)
        self._bar.update_absolute(event["step"], self._steps)
        if not self._is_due():
            return
        parts = [f"step {event['step']} of {self._steps}", f"loss {self._curve.latest:.4f}"]
        if self._held_out is not None:
            parts.append(f"held out {self._held_out:.4f}")
        minutes = event["seconds_left"] / 60
        parts += [self._score, f"at most {minutes:.1f} min left"] if self._score else [f"{minutes:.1f} min left"]
        self.write(" · ".join(parts))
        self._draw()  # together: they tell the same losses

    def _on_validation(self, event: Event) -> None:
        self._curve(event)
        self._held_out = event["loss"]

    def _on_score(self, event: Event) -> None:
        self._score = f"score {event['score']:.3f}, best {event['best_score']:.3f} at step {event['best_step']}"

    def _on_samples(self, event: Event) -> None:
        from PIL import Image

        self.sheet = Path(event["path"])
        with Image.open(self.sheet) as sheet:
            self._bar.update_absolute(event["step"], self._steps, ("JPEG", sheet.convert("RGB"), _SHEET_SIDE))

    def _on_notice(self, event: Event) -> None:
        logging.info("ACE Edit: %s", event["text"])
        if not event.get("minor"):  # minor ones are about files that only someone at a command line looks for
            self._notices.append(event["text"])

    def _on_other(self, event: Event) -> None:
        """Everything else is in the run's folder."""

    def _draw(self) -> None:
        state = {"curve": self._curve.as_json(), "steps": self._steps, "running": True}
        send_to_pages("ace.training", {**self._run, **state})

    def _is_due(self) -> bool:
        """Whether it is time to tell something, which is noted then."""
        now = time.monotonic()
        if now - self._told < _SECONDS:
            return False
        self._told = now
        return True
