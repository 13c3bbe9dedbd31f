"""Dataset -> a trained file, in a process beside ComfyUI."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from comfy_api.latest import io, ui

from ...ace.weights.presets import DistillationDefaults
from ...training.packages import require_packages
from ..host import paths
from ..host.node import Node
from ..host.types import AceDataset, schema
from ..recommended import recommended
from . import files as training_files
from .display import NodeDisplay
from .learning import check_learning, learning_inputs, learning_options
from .process import (
    Event,
    free_host_memory,
    host_device,
    run_command,
)
from .runs import read_run, save_result

_BLANK = 64  # pixels, where there is no sample sheet
_MAX_INT = 0x7FFFFFFF


def training_inputs(kind: str) -> list:
    """Inputs that Train ("train") and Distil ("distil") share."""
    bundles = paths.bundle_names()
    return [
        AceDataset.Input(
            "dataset", optional=True, tooltip="The pairs, from Load Dataset. Comes before the dataset chosen by name."
        ),
        io.Combo.Input(
            "dataset_name",
            options=[training_files.CONNECTED, *paths.dataset_names()],
            tooltip="A dataset in output/datasets, if none is connected.",
        ),
        io.Combo.Input(
            "bundle",
            options=bundles,
            tooltip="The base model. The LoRA works on this one alone. It has to be on this machine.",
        ),
        io.String.Input(
            "name",
            default="my edit",
            tooltip="Names the files and the run's folder. With the same name a run goes on where it was stopped.",
        ),
        *_settings_inputs(recommended(bundles[0]).distillation),
        io.Combo.Input(
            "config",
            options=training_files.config_names(kind),
            tooltip="A file with everything else that can be set; fields above that are not 0 come before it. Put your own "
            ".toml files into user/default/ace; paths in them count from ComfyUI's folder.",
        ),
    ]


def _settings_inputs(start: DistillationDefaults) -> list:
    """Settings that an artist may want to change without writing a configuration; at first what the bundle recommends."""
    return [
        io.Int.Input(
            "steps",
            default=start.steps,
            min=0,
            max=_MAX_INT,
            tooltip="How long it learns. More pairs want more steps: 1000 to 4000 for 64 to 500 pairs with the 512 px model. "
            "0: as the configuration says; with the standard one what the bundle recommends.",
        ),
        io.Int.Input(
            "rank",
            default=start.rank,
            min=0,
            max=1024,
            tooltip="Size of the LoRA. More can hold more, and forget less. 0: as the configuration says; with the standard "
            "one what the bundle recommends.",
        ),
        io.Float.Input(
            "learning_rate",
            default=start.learning_rate,
            min=0.0,
            max=1.0,
            step=0.000001,
            tooltip="At its highest. Lower it if the loss jumps about. 0: as the configuration says; with the standard one "
            "what the bundle recommends.",
        ),
        io.Int.Input(
            "batch_size",
            default=start.batch_size,
            min=0,
            max=1024,
            tooltip="Pairs in one step. Lower it if memory is short. 0: as the configuration says; with the standard one "
            "what the bundle recommends.",
        ),
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=_MAX_INT,
            control_after_generate=False,  # else the front end draws another one for every prompt, and trains anew
            tooltip="Decides starting weights, order and noise of the training.",
        ),
    ]


@dataclass(frozen=True)
class TrainingRun:
    """One run as the artist asked for it.

    Attributes:
        kind: "train" or "distil".
        dataset: folder of the pairs.
        bundle: folder of the base model.
        name: of the files.
        folder: of the run.
        arguments: of ``comfyui-ace``.
    """

    kind: str
    dataset: Path
    bundle: Path
    name: str
    folder: Path
    arguments: tuple[str, ...]


def prepare_run(
    kind: str,
    *,
    dataset: str | None,
    dataset_name: str,
    bundle: str,
    name: str,
    steps: int,
    rank: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
    config: str,
    **learning: str,
) -> TrainingRun:
    """Checks everything that can be checked before memory is freed and time is spent.

    Args:
        kind: "train" or "distil".
        dataset: folder from the socket; None takes ``dataset_name``. The other arguments are the widgets' values.
        learning: those of :func:`learning_inputs`; what is missing is as configured.

    Raises:
        ValueError: something is missing or would be lost.
        TrainError: packages are missing.
    """
    require_packages()
    name = training_files.check_name(name)
    file = training_files.config_path(config)
    method = training_files.config_method(file)
    if kind == "distil" and method != "lora":
        raise ValueError(
            f'{config} trains something else (method = "{method}"), and a distillation makes a LoRA: choose another '
            "configuration, or use the Train node"
        )
    check_learning(method, config, **learning)
    training_files.model_path(method, name)
    found = paths.installed_bundle(bundle)
    if found is None:
        raise ValueError(f"the model {bundle} is not on this machine; fetch it with Load Bundle first")
    pairs = training_files.choose_dataset(dataset, dataset_name)
    folder = training_files.run_folder(kind, name)
    settings = {
        "model": found.folder,
        "name": name,
        "output": folder,
        "rank": rank or None,
        "learning-rate": learning_rate or None,
        "batch-size": batch_size or None,
        "seed": seed,
        "config": file,
        "device": host_device(),
        "set": None if training_files.has_own_cache(file) else f"data.cache={training_files.cache_folder()}",
    }
    options = [f"--{key}={value}" for key, value in settings.items() if value is not None]
    options += learning_options(steps, **learning)
    return TrainingRun(kind, pairs, found.folder, name, folder, ("distil", str(pairs), "--json", *options))


def execute_run(run: TrainingRun, display: NodeDisplay, *more: str) -> tuple[Event, Path]:
    """Trains, and puts the result where loaders look.

    Returns:
        The process's last event, and the file.
    """
    display.write("starting …")
    free_host_memory()
    event = run_command([*run.arguments, *more], run.folder, display)
    training_files.mark_stopped(run.folder, not event["finished"])
    return event, training_files.publish_model(Path(event["trained"]), event["method"], run.name)


def node_display(node_id: str | None, run: TrainingRun) -> NodeDisplay:
    """What shows a run on its node."""
    from ...training.trainer.reporting import METRICS

    return NodeDisplay(node_id, run.kind, run.name, run.folder / METRICS)


def finish_run(run: TrainingRun, display: NodeDisplay, verdict: str, text: str, workflow: Path | None = None) -> None:
    """Notes what came of a run, and shows it.

    Args:
        run: which has ended.
        display: of its node.
        verdict: in one sentence.
        text: for the node.
        workflow: the replacement among the user's workflows, if there is one.
    """
    save_result(run.folder, workflow=workflow, verdict=verdict)
    display.finish(read_run(run.kind, run.name), text)


def sheet_preview(path: Path | None, sheet: torch.Tensor, node: type) -> ui.PreviewImage | None:
    """The sheet as the node shows it; None, which shows nothing, where there is only the plain grey."""
    return None if path is None else ui.PreviewImage(sheet, cls=node)


def sheet_image(path: Path | None) -> torch.Tensor:
    """A sample sheet -> (1, H, W, 3) float32, 0 … 1; plain grey where there was nothing held out to draw."""
    if path is None:
        return torch.full((1, _BLANK, _BLANK, 3), 0.5)
    from PIL import Image

    with Image.open(path) as sheet:
        return torch.from_numpy(np.asarray(sheet.convert("RGB"), dtype=np.float32) / 255.0)[None]


def run_fingerprint(kind: str, dataset_name: str, name: str) -> str:
    """The node's fingerprint for ComfyUI: changes when the dataset has grown, or the run was stopped before its end."""
    try:
        folder = training_files.run_folder(kind, training_files.check_name(name))
        named = dataset_name != training_files.CONNECTED
        dataset = training_files.choose_dataset(None, dataset_name) if named else folder
        return training_files.run_state(dataset, folder)
    except ValueError:
        return ""  # said when it is executed


class TrainNode(Node):
    """ACE_DATASET -> file in models/loras, models/ace or models/model_patches."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACETrain",
            display_name="ACE Edit: Train",
            category="training",
            description="Trains a LoRA (or, with a configuration that says so, a whole model or an EditNet) on a dataset of "
            "pairs. Runs beside ComfyUI and frees its models first. Cancel saves; the same settings go on from there.",
            search_aliases=["LoRA", "fine-tune", "finetune", "trainer"],
            inputs=[*training_inputs("train"), *learning_inputs()],
            outputs=[
                io.String.Output(
                    display_name="file",
                    tooltip="The trained file, in models/loras, models/ace or models/model_patches.",
                ),
                io.Image.Output(display_name="samples", tooltip="The latest sheet: source, teacher, student."),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, dataset_name, name, **_others) -> str:
        return run_fingerprint("train", dataset_name, name)

    @classmethod
    def execute(cls, dataset=None, **settings) -> io.NodeOutput:
        run = prepare_run("train", dataset=dataset, **settings)
        display = node_display(cls.hidden.unique_id, run)
        event, file = execute_run(run, display, "--train-only")
        verdict = f"{'done' if event['finished'] else 'stopped'} at step {event['step']}"
        finish_run(run, display, verdict, "\n".join([f"{verdict}: {file.name}", *event["outlook"]]))
        sheet = sheet_image(display.sheet)
        return io.NodeOutput(str(file), sheet, ui=sheet_preview(display.sheet, sheet, cls))
