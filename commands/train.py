"""``comfyui-ace train``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from .common import StopOnSignal

_EPILOG = """The same command again continues a run that was stopped or killed. Ctrl+C (or SIGTERM, or a file named
stop_now in the output folder) saves and stops; a file named save_now writes a checkpoint and goes on.
Several devices: accelerate launch -m comfyui_ace.cli train CONFIG.toml"""


def add_parsers(subparsers) -> None:
    """Adds ``comfyui-ace train``."""
    train = subparsers.add_parser(
        "train",
        help="train a LoRA, a whole model or an EditNet on pairs",
        description="Train a LoRA, a whole model or an EditNet on datasets of pairs, as a configuration file says. The "
        "commented files in training/configs are the manual.",
        epilog=_EPILOG,
    )
    train.add_argument("config", type=Path, metavar="CONFIG.toml", help="what to train, on what, and how")
    train.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="right after the file: settings that replace its own, such as steps=100",
    )
    train.add_argument("--json", action="store_true", help="report by one JSON object a line on standard output")
    action = train.add_mutually_exclusive_group()
    action.add_argument("--check", action="store_true", help="say what would be trained on, and stop before encoding")
    action.add_argument("--cache-only", action="store_true", help="encode all pictures and texts, and stop")
    action.add_argument(
        "--decode-cache",
        type=Path,
        metavar="FOLDER",
        help="decode the cached pictures of pairs into this folder, to see what the model is given, and stop",
    )
    train.add_argument("--pair", action="append", metavar="ID", help="with --decode-cache: only this pair (repeatable)")
    train.set_defaults(run=run_train)


def run_train(arguments: argparse.Namespace) -> int:
    """Trains, or goes on with it, or inspects the run; returns the exit code."""
    from ..training.trainer import inspect_run
    from ..training.trainer.config_file import load_config
    from ..training.trainer.run import train

    config = load_config(arguments.config, arguments.overrides)
    display = JsonDisplay() if arguments.json else TextDisplay()
    if arguments.check:
        for line in inspect_run.describe(config):
            print(line)
        return 0
    try:
        if arguments.cache_only:
            inspect_run.cache_only(config, display)
            return 0
        if arguments.decode_cache is not None:
            for path in inspect_run.decode_cache(config, arguments.decode_cache, arguments.pair, display):
                print(path)
            return 0
        with StopOnSignal() as stop:
            train(config, on_event=display, should_stop=stop.requested)
    finally:
        display.close()
    return 0


class JsonDisplay:
    """One JSON object a line, for a program that runs this command."""

    def __call__(self, event: dict[str, Any]) -> None:
        """Prints an event."""
        print(json.dumps(event, default=str), flush=True)

    def close(self) -> None:
        """Nothing to take down."""


class TextDisplay:
    """Progress bars and lines for people, on the error stream; the result's path on standard output."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._what = ""
        self._held_out: float | None = None

    def __call__(self, event: dict[str, Any]) -> None:
        """Shows an event."""
        getattr(self, f"_on_{event['event']}", self._on_other)(event)

    def close(self) -> None:
        """Takes the progress bar down."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _bar_for(self, what: str, total: int, initial: int = 0) -> Any:
        if self._bar is None or self._what != what:
            from tqdm import tqdm

            self.close()
            self._bar, self._what = tqdm(total=total, initial=initial, desc=what, unit="", dynamic_ncols=True), what
        return self._bar

    def _print(self, text: str) -> None:
        from tqdm import tqdm

        tqdm.write(text, file=sys.stderr)

    def _on_progress(self, event: dict[str, Any]) -> None:
        bar = self._bar_for(event["what"], event["total"])
        bar.update(event["done"] - bar.n)

    def _on_start(self, event: dict[str, Any]) -> None:
        self.close()
        left_out = "".join(f"; left out: {number} ({reason})" for reason, number in event["left_out"].items())
        self._print(
            f"{event['pairs']} pairs in {event['layouts']} layouts, {event['held_out']} held out{left_out}\n"
            f"{event['trained_parameters'] / 1e6:.2f} M parameters are trained on {event['device']}, "
            f"{event['processes']} process{'es' if event['processes'] > 1 else ''}; output in {event['output']}"
        )
        if event["step"]:
            self._print(f"going on from step {event['step']}")
        self._bar_for("training", event["steps"], event["step"])

    def _on_step(self, event: dict[str, Any]) -> None:
        if self._bar is None:
            return
        shown = {"loss": f"{event['loss']:.4f}", "lr": f"{event['learning_rate']:.2e}"}
        if self._held_out is not None:
            shown["held out"] = f"{self._held_out:.4f}"
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update()

    def _on_validation(self, event: dict[str, Any]) -> None:
        self._held_out = event["loss"]
        ranges = ", ".join(f"{name}: {value:.4f}" for name, value in event["by_timestep"].items())
        self._print(f"step {event['step']}: held-out loss {event['loss']:.4f} ({ranges})")
        if event.get("by_dataset"):
            self._print("  " + ", ".join(f"{name}: {value:.4f}" for name, value in event["by_dataset"].items()))

    def _on_score(self, event: dict[str, Any]) -> None:
        best = (
            "the best"
            if event["best_step"] == event["step"]
            else f"best {event['best_score']:.4f} at {event['best_step']}"
        )
        self._print(f"step {event['step']}: score of the pictures {event['score']:.4f} ({best})")

    def _on_samples(self, event: dict[str, Any]) -> None:
        self._print(f"step {event['step']}: samples in {event['path']}")

    def _on_checkpoint(self, event: dict[str, Any]) -> None:
        self._print(f"step {event['step']}: saved in {event['path']}")

    def _on_notice(self, event: dict[str, Any]) -> None:
        self._print(f"note: {event['text']}")

    def _on_end(self, event: dict[str, Any]) -> None:
        self.close()
        if not event["finished"]:
            self._print(f"stopped at step {event['step']}; the same command goes on from there")
        self._print_datasets(event)
        if "best_step" in event:
            self._print(f"the weights of step {event['best_step']} are the best (score {event['best_score']:.4f})")
        print(event["path"])

    def _print_datasets(self, event: dict[str, Any]) -> None:
        from ..training.trainer.monitoring.by_dataset import DatasetProgress, describe_datasets

        found = [DatasetProgress(name, **values) for name, values in event.get("by_dataset", {}).items()]
        for line in describe_datasets(found):
            self._print(line)

    def _on_other(self, event: dict[str, Any]) -> None:
        """Events of a newer trainer are no reason to fail."""
