"""Datasets of training pairs in a graph: one to train on, and its pairs to look at."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import torch
from comfy_api.latest import io, ui

from ..host import paths
from ..host.node import Node
from ..host.types import AceDataset, schema

_NONE = "none yet"
_SPLITS = ["all", "train", "validation"]


def split_input(tooltip: str) -> io.Combo.Input:
    """The widget for the pairs that are meant."""
    return io.Combo.Input("split", options=_SPLITS, tooltip=tooltip)


class LoadDatasetNode(Node):
    """Name -> ACE_DATASET, and some of its pairs as lists."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACELoadDataset",
            display_name="ACE Edit: Load Dataset",
            category="training data",
            description="Opens a dataset of training pairs, for training or for Browse. With pictures above 0 it also hands "
            "out that many pairs, as lists, to run a graph over them.",
            search_aliases=["training pairs", "load pairs", "dataset images"],
            inputs=[
                io.Combo.Input(
                    "dataset",
                    options=paths.dataset_names() or [_NONE],
                    tooltip="A folder in output/datasets. Refresh (R) to see new ones.",
                ),
                split_input("Which pairs are handed out and counted: all, those to train on, or those held out."),
                io.Int.Input("pictures", default=0, min=0, max=100_000, tooltip="How many pairs to hand out."),
                io.Int.Input("first", default=0, min=0, max=1_000_000_000, tooltip="Number of the first one, from 0."),
            ],
            outputs=[
                AceDataset.Output(display_name="dataset", tooltip="For training, and for Browse Dataset."),
                io.Image.Output(display_name="sources", is_output_list=True, tooltip="The pictures before the edit."),
                io.Image.Output(display_name="results", is_output_list=True, tooltip="The pictures after the edit."),
                io.String.Output(
                    display_name="instructions", is_output_list=True, tooltip="What was asked for, one a pair."
                ),
                io.Int.Output(display_name="count", tooltip="How many pairs the split has."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, dataset=None, **kwargs):
        from ...training.errors import DatasetError

        try:
            return dataset_state(Path(_folder(dataset)))
        except (OSError, ValueError, DatasetError):
            return ""  # said when it is executed

    @classmethod
    def execute(cls, dataset, split, pictures, first) -> io.NodeOutput:
        opened = open_dataset(_folder(dataset))
        rows = list(opened.rows(None if split == "all" else split))
        pairs = [opened.load(row) for row in islice(rows, first, first + pictures)]
        sources = [to_batch(pair.source) for pair in pairs if pair.source is not None]
        if len(sources) < len(pairs):
            sources = []  # a list with gaps would go with the wrong results
        lists = [sources, [to_batch(pair.target) for pair in pairs], [pair.instruction for pair in pairs]]
        reason = (
            f"Load Dataset has no such pictures in {opened.name!r}: look at first and split, and whether pairs have a source"
            if pictures
            else "Load Dataset hands out no pairs: set pictures above 0"
        )
        return io.NodeOutput(str(opened.folder), *[items or [_blocked(reason)] for items in lists], len(rows))


class BrowseDatasetNode(Node):
    """ACE_DATASET and a number or an id -> one pair."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACEBrowseDataset",
            display_name="ACE Edit: Browse Dataset",
            category="training data",
            description="Takes one pair out of a dataset, and shows it among its neighbours: the pictures before the edit "
            "left, the result right.",
            search_aliases=["look at pairs", "pick pair", "contact sheet", "dataset viewer"],
            inputs=[
                AceDataset.Input("dataset", tooltip="From Load Dataset."),
                io.Int.Input(
                    "number",
                    default=0,
                    min=0,
                    max=1_000_000_000,
                    control_after_generate=True,
                    tooltip="Number of the pair, from 0. Past the end it starts again, so it may count up with each run.",
                ),
                io.String.Input(
                    "pair_id", default="", tooltip="The pair of this id instead, as it stands under the pictures."
                ),
                split_input("Which pairs are counted: all, those to train on, or those held out."),
            ],
            outputs=[
                io.Image.Output(display_name="source", tooltip="The picture before the edit."),
                io.Mask.Output(
                    display_name="mask", tooltip="Where it may change; all white for a pair without a mask."
                ),
                io.Image.Output(display_name="result", tooltip="The picture after the edit."),
                io.String.Output(display_name="instruction", tooltip="What was asked for."),
                io.Image.Output(
                    display_name="references",
                    is_output_list=True,
                    tooltip="Further pictures of the pair, {image1} and so on.",
                ),
                io.String.Output(display_name="pair_id", tooltip="The id, which also names the pair's files."),
            ],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, **kwargs):
        return float("nan")  # which dataset it is comes over a wire, and pairs are added all the time

    @classmethod
    def execute(cls, dataset, number, pair_id, split) -> io.NodeOutput:
        from .dataset_sheet import draw_pairs

        opened = open_dataset(dataset)
        rows = list(opened.rows(None if split == "all" else split))
        if not rows:
            where, advice = ("", "capture some first") if split == "all" else (f" in {split}", "choose another split")
            raise ValueError(f"the dataset {opened.name!r} has no pairs{where}; {advice}")
        chosen = _index_of_pair(rows, pair_id.strip(), opened.name) if pair_id.strip() else number % len(rows)
        pair = opened.load(rows[chosen])
        if pair.source is None:
            source = mask = _blocked("this pair has no source: it was made from text alone")
        else:
            source = to_batch(pair.source)
            mask = torch.ones(source.shape[:3]) if pair.masks[0] is None else to_batch(pair.masks[0])
        references = [to_batch(reference) for reference in pair.references]
        sheet = to_batch(draw_pairs(opened, rows, chosen))
        return io.NodeOutput(
            source,
            mask,
            to_batch(pair.target),
            pair.instruction,
            references or [_blocked("this pair has no further pictures")],
            rows[chosen].id,
            ui=ui.PreviewImage(sheet, cls=cls),
        )


def open_dataset(folder: str):
    """The dataset in a folder.

    Raises:
        DatasetError: there is none, or it cannot be read.
    """
    from ...training.dataset.store import Dataset

    return Dataset(folder)


def to_batch(pixels) -> torch.Tensor:
    """A picture (H, W, 3) or mask (H, W), uint8 -> a batch (1, H, W, 3) or (1, H, W), float32, 0 … 1."""
    return torch.from_numpy(pixels)[None].float() / 255


def _folder(name: str) -> str:
    if name == _NONE:
        raise ValueError(f"there is no dataset in {paths.datasets_root()} yet. Capture some pairs, then refresh (R).")
    return str(paths.dataset_folder(name))


def dataset_state(folder: Path) -> str:
    """A text that changes with every pair; empty for what is no dataset."""
    from ...training.dataset.disk.storage import METADATA

    try:
        status = (folder / METADATA).stat()
    except OSError:
        return ""
    return f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"


def _index_of_pair(rows, pair_id: str, name: str) -> int:
    for position, row in enumerate(rows):
        if row.id == pair_id:
            return position
    raise ValueError(
        f"the dataset {name!r} has no pair {pair_id!r:.90} in this split; choose the split “all”, or clear pair_id and "
        "give a number"
    )


def _blocked(reason: str):
    """Stands for what is not there: ComfyUI tells the artist why the nodes behind do not run; all others do."""
    from comfy_execution.graph_utils import ExecutionBlocker

    return ExecutionBlocker(reason)
