"""What all capturing nodes share: their widgets, and the way from tensors to pairs that wait to be written."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import comfy.model_management
import torch
from comfy_api.latest import io, ui

from ...ace.pictures.files.mask_reading import given_mask
from ..host import paths
from ..host.messages import announce_files, show_on_node
from .links import upstream_graph, upstream_of_source
from .pairing import batch_sizes, pair_pictures, pair_values
from .stopwatch import measure_so_far

if TYPE_CHECKING:
    from ...training.capture.workflow.graph import Prompt
    from ...training.dataset.intake.checks import CheckSettings
    from ...training.dataset.store import Pair

_FROM_GRAPH = -1
_THUMBNAIL = 256  # pixels, longest side of each picture


@functools.cache
def shared_recorder():
    """The recorder of this process: one for all nodes and prompts, since they write to one disk."""
    from .recorder import Recorder

    return Recorder()


@dataclass(frozen=True)
class CaptureWidgets:
    """The values of a capturing node's widgets, each as ComfyUI passes it: a list, most often of one.

    Attributes:
        instruction: "" for a trigger made of the dataset's name.
        dataset: name of the dataset.
        tags: separated by commas.
        seed: -1 for the graph's own.
        checks: changes to the checks, separated by commas.
    """

    instruction: Sequence[str]
    dataset: Sequence[str]
    tags: Sequence[str] = ("",)
    seed: Sequence[int] = (_FROM_GRAPH,)
    checks: Sequence[str] = ("",)


def capture_widgets() -> list[io.Input]:
    """The widgets of a capturing node."""
    return [
        io.String.Input(
            "instruction",
            multiline=True,
            default="",
            tooltip="What was asked for, for example “{image} as an oil painting”. Empty: a trigger made of the dataset's "
            "name, the same for all pairs.",
        ),
        io.String.Input(
            "dataset",
            default="my-pairs",
            tooltip="Name of the dataset. It is a folder in output/datasets, made with the first pair.",
        ),
        io.String.Input(
            "tags",
            default="",
            optional=True,
            tooltip="Words kept with each pair, separated by commas, to sort by later.",
        ),
        io.Int.Input(
            "seed",
            default=_FROM_GRAPH,
            optional=True,
            min=_FROM_GRAPH,
            max=0xFFFFFFFFFFFFFFFF,
            control_after_generate=False,
            tooltip="Kept with the pair for the record. -1: the seed of the graph, if there is just one.",
        ),
        io.String.Input(
            "checks",
            default="",
            optional=True,
            tooltip="A pair that a check rejects is kept apart, with the reason. Empty: all checks, as they are. "
            "Otherwise changes, separated by commas, for example: no_op=off, size_tolerance=0.1, near_duplicate_bits=4",
        ),
    ]


def record_pairs(
    node: type[io.ComfyNode],
    results: list[torch.Tensor],
    pictures: Sequence[tuple[list[torch.Tensor], list[torch.Tensor | None] | None]],
    widgets: CaptureWidgets,
) -> ui.PreviewImage:
    """Checks what can be checked at once, and submits the pairs to be written.

    Args:
        node: the capturing node's class, with its hidden inputs.
        results: batches (B, H, W, C).
        pictures: batches (B, H, W, C) and their masks (B, H, W), if there are any, in indicator order.
        widgets: what goes with them.

    Returns:
        A small picture of the last pair, for the node.

    Raises:
        ValueError: no pictures, numbers that cannot be paired, an indicator without a picture, or an unknown check.
        DatasetError: a name that is no dataset's, or pairs that cannot be kept.
    """
    from ...training.dataset.intake.black_masks import without_black
    from ...training.dataset.store import Pair

    seconds, memory = measure_so_far(node.hidden.prompt, node.hidden.unique_id)  # first of all, while the clock runs
    node_id, counts = node.hidden.unique_id, batch_sizes(results)
    if not sum(counts):
        raise ValueError("the result is an empty batch; check the node it comes from")
    destinations = _destinations(widgets, counts)
    graph = upstream_graph(node.hidden.prompt, node_id)
    varying, seed_in_graph, name = _read_graph(graph, node_id)
    seeds = [seed_in_graph if value == _FROM_GRAPH else value for value in pair_values(widgets.seed, counts, "seed")]
    instructions = _instructions(pair_values(widgets.instruction, counts, "instruction"), destinations, len(pictures))
    tags = pair_values(widgets.tags, counts, "tags text")
    copies = _Copies()
    images, masks = _by_result(pictures, counts, copies)
    targets = pair_pictures(copies.rgb(results), counts, "result")
    kept = [without_black(each) for each in masks]
    pairs = [
        Pair(
            target=target,
            source=images[k][0],
            references=images[k][1:],
            masks=kept[k][0],
            notes=kept[k][1],
            instruction=instructions[k],
            seed=seeds[k],
            tags=split_list(tags[k]),
            teacher_seconds=None if seconds is None else seconds / len(targets),
            teacher_memory=memory,
            name=name or destinations[k].dataset,
        )
        for k, target in enumerate(targets)
    ]
    _submit(pairs, destinations, graph, varying, copies.size, node_id)
    return ui.PreviewImage(_side_by_side([*images[-1], targets[-1]]), cls=node)


class _Destination(NamedTuple):
    """Where a pair goes, and the checks it must pass."""

    dataset: str
    checks: CheckSettings


def _destinations(widgets: CaptureWidgets, counts: list[int]) -> list[_Destination]:
    """The destination of each result.

    Raises:
        DatasetNameError: no name of a dataset.
        CheckError: no check of that name, or a wrong value.
    """
    from ...training.dataset.intake.checks import parse_checks

    for name in widgets.dataset:
        paths.dataset_folder(name)
    datasets = pair_values(widgets.dataset, counts, "dataset name")
    checks = pair_values([parse_checks(split_list(text)) for text in widgets.checks], counts, "checks text")
    return [_Destination(*destination) for destination in zip(datasets, checks, strict=True)]


def _submit(
    pairs: Sequence[Pair],
    destinations: Sequence[_Destination],
    graph: Prompt,
    varying: tuple[tuple[str, str], ...],
    size: int,
    node_id: str,
) -> None:
    """Submits pairs by destination; ``size`` is that of all their pictures in bytes."""
    from .recorder import Capture

    recorder, root = shared_recorder(), paths.datasets_root()
    new = any(not paths.dataset_folder(each.dataset).is_dir() for each in destinations)
    folders = {each: recorder.open(root, each.dataset) for each in destinations}  # all, before anything is submitted
    if new:
        announce_files()
    outcomes: dict[_Destination, str] = {}
    host = _host_info(graph)
    for destination, folder in folders.items():
        own = tuple(pair for pair, its in zip(pairs, destinations, strict=True) if its == destination)
        recorder.submit(
            Capture(
                folder=folder,
                pairs=own,
                checks=destination.checks,
                graph=graph,
                varying=varying,
                host=host,
                size=size * len(own) // len(pairs),
                notify=functools.partial(_show_outcome, outcomes, destination, node_id),
            ),
            check=comfy.model_management.throw_exception_if_processing_interrupted,
        )


def _show_outcome(outcomes: dict[_Destination, str], destination: _Destination, node_id: str, text: str) -> None:
    """Shows what became of the pairs, one below the other where they have several destinations."""
    outcomes[destination] = text
    show_on_node("\n".join(outcomes.values()), node_id)


class _Copies:
    """Makes copies in main memory that no node changes any more.

    Attributes:
        size: bytes of all copies.
    """

    def __init__(self) -> None:
        self.size = 0

    def rgb(self, batches: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Copies (B, H, W, C) -> (B, H, W, 3): without alpha, which core's own loaders and most nodes leave out."""
        return self.all([batch[..., :3] for batch in batches])

    def all(self, batches: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Copies as they are."""
        copies = [batch.detach().to("cpu", copy=True) for batch in batches]
        self.size += sum(copy.nbytes for copy in copies)
        return copies


def _by_result(pictures, counts: list[int], copies: _Copies) -> tuple[list[list], list[list]]:
    """Images (H, W, 3) and masks (H, W) or None of each result, in indicator order."""
    images, masks = [], []
    for index, (batches, mask_batches) in enumerate(pictures):
        label = "source picture" if index == 0 else f"picture {{image{index}}}"
        images.append(pair_pictures(copies.rgb(batches), counts, label))
        given = [mask for mask in mask_batches or () if mask is not None]
        if given and len(given) < len(mask_batches):
            raise ValueError(
                f"the {label} has {len(given)} masks for {len(mask_batches)} pictures; give a mask for every picture or "
                "for none"
            )
        masks.append(_masks(given, counts, label, copies) if given else [None] * sum(counts))
    return [list(group) for group in zip(*images, strict=True)], [list(group) for group in zip(*masks, strict=True)]


def _masks(given: list[torch.Tensor], counts: list[int], label: str, copies: _Copies) -> list[torch.Tensor | None]:
    """Masks (H, W) by result; None for the host's way of saying that there is none."""
    batches = [mask if mask.ndim == 3 else mask[None] for mask in given]
    paired = pair_pictures(copies.all(batches), counts, f"mask of the {label}")
    return [given_mask(mask) for mask in paired]


def _instructions(given: list[str], destinations: list[_Destination], pictures: int) -> list[str]:
    from ...training.dataset.intake.wording import trigger_instruction

    instructions = [
        text.strip() or trigger_instruction(destination.dataset, pictures)
        for text, destination in zip(given, destinations, strict=True)
    ]
    for text in instructions:
        check_indicators(text, pictures)
    return instructions


def check_indicators(instruction: str, pictures: int) -> None:
    """Checks that an instruction names only pictures that are there.

    Args:
        instruction: with indicators.
        pictures: how many there are.

    Raises:
        ValueError: it names another one.
    """
    from ...training.dataset.intake.wording import indicators

    missing = sorted(index for index in indicators(instruction) if index >= pictures)
    if missing:
        raise ValueError(
            f"the instruction names {{image{missing[0]}}}, but {pictures} picture(s) are marked. Mark it with a Capture "
            f"Source of index {missing[0]}, or with a reference of Capture Pair."
        )


def _read_graph(graph, marker: str) -> tuple[tuple[tuple[str, str], ...], int | None, str]:
    """Inputs (node id, name) that vary from pair to pair, the seed and the name of the source's file, where there is one."""
    from ...training.capture.workflow.markers import PAIR, RESULT, SOURCE
    from ...training.dataset.provenance.provenance import varying_inputs

    markers = {node_id for node_id, node in graph.items() if node["class_type"] in (PAIR, RESULT, SOURCE)}
    found = [place for place in varying_inputs(graph) if place[0] not in markers]
    seeds = {graph[node]["inputs"][name] for node, name in found if "seed" in name}
    above = upstream_of_source(graph, marker)
    files = [graph[node]["inputs"][name] for node, name in found if "seed" not in name and node in above]
    typed = [
        (marker, name)
        for name in ("instruction", "tags", "seed")
        if isinstance(graph[marker]["inputs"].get(name), (str, int))
    ]
    return (*found, *typed), seeds.pop() if len(seeds) == 1 else None, Path(files[0]).stem if len(files) == 1 else ""


def _host_info(graph) -> dict[str, Any]:
    """Versions, and the pack that each node comes from, as a capture over a folder records them."""
    import comfyui_version

    import nodes

    kinds = sorted({node["class_type"] for node in graph.values()})
    packs = {kind: getattr(nodes.NODE_CLASS_MAPPINGS.get(kind), "RELATIVE_PYTHON_MODULE", None) for kind in kinds}
    return {
        "comfyui": comfyui_version.__version__,
        "pytorch": torch.__version__,
        "nodes": {kind: str(pack or "") for kind, pack in packs.items()},
    }


def split_list(text: str) -> list[str]:
    """The parts of a text between commas or line breaks, without empty ones."""
    return [part.strip() for part in re.split(r"[,\n]", text) if part.strip()]


def _side_by_side(pictures: Sequence[torch.Tensor]) -> torch.Tensor:
    """Pictures (H, W, C) -> one small sheet (1, h, w, 3) of every n-th pixel, enough to tell them apart."""
    small = [picture[:: (n := -(-max(picture.shape[:2]) // _THUMBNAIL)), ::n, :3] for picture in pictures]
    height = max(picture.shape[0] for picture in small)
    sheet = torch.full((1, height, sum(picture.shape[1] for picture in small), 3), 0.5)
    left = 0
    for picture in small:
        sheet[0, : picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1]
    return sheet
