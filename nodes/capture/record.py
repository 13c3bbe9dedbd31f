"""What all capturing nodes share: their words, and the way from tensors to pairs that wait to be written."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from comfy_api.latest import io, ui

from ..host import paths
from ..host.messages import show_on_node
from .links import contributors, upstream_of_source
from .pairing import pair_pictures, pair_values, sizes
from .stopwatch import spent_so_far

if TYPE_CHECKING:
    from ...training.dataset.intake.checks import CheckSettings

_FROM_GRAPH = -1
_THUMBNAIL = 256  # pixels, longest side of each picture


@functools.cache
def recorder():
    """The writer of this process: one for all nodes and prompts, since it is one disk that they write to."""
    from .recorder import Recorder

    return Recorder()


@dataclass(frozen=True)
class Words:
    """What the widgets of a capturing node say, each as ComfyUI hands it over: a list, most often of one."""

    instruction: Sequence[str]
    dataset: Sequence[str]
    tags: Sequence[str] = ("",)
    seed: Sequence[int] = (_FROM_GRAPH,)
    checks: Sequence[str] = ("",)


def word_inputs() -> list[io.Input]:
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
            tooltip="A pair that a check turns down goes to a side list with the reason. Empty: all checks, as they are. "
            "Otherwise changes, separated by commas, for example: no_op=off, size_tolerance=0.1, near_duplicate_bits=4",
        ),
    ]


def record(
    node: type[io.ComfyNode],
    results: list[torch.Tensor],
    pictures: Sequence[tuple[list[torch.Tensor], list[torch.Tensor | None] | None]],
    words: Words,
) -> ui.PreviewImage:
    """Check what can be checked at once, and hand the pairs over to be written. Returns a picture of the last one.

    results: lists of batches (B, H, W, C), as ComfyUI hands them over; pictures: images and masks in indicator order.
    """
    from ...training.dataset.store import Pair
    from .recorder import Capture

    seconds, memory = spent_so_far(node.hidden.prompt, node.hidden.unique_id)  # first of all, while the clock runs
    node_id, layout = node.hidden.unique_id, sizes(results)
    if not sum(layout):
        raise ValueError("the result has no pictures")
    doors = _doors(words, layout)
    graph = contributors(node.hidden.prompt, node_id)
    varying, seed_in_graph, name = _read_graph(graph, node_id)
    seeds = [seed_in_graph if value == _FROM_GRAPH else value for value in pair_values(words.seed, layout, "seed")]
    instructions = _instructions(pair_values(words.instruction, layout, "instruction"), doors, len(pictures))
    tags = pair_values(words.tags, layout, "tags text")
    copies = _Copies()
    images, masks = _by_result(pictures, layout, copies)
    targets = pair_pictures(copies.colours(results), layout, "result")
    pairs = [
        Pair(
            target=target,
            source=images[k][0],
            references=images[k][1:],
            masks=masks[k],
            instruction=instructions[k],
            seed=seeds[k],
            tags=split_words(tags[k]),
            teacher_seconds=None if seconds is None else seconds / len(targets),
            teacher_memory=memory,
            name=name or doors[k].dataset,
        )
        for k, target in enumerate(targets)
    ]
    folders = {door: recorder().open(paths.datasets_root(), door.dataset) for door in doors}  # nothing else is wrong
    told: dict[_Door, str] = {}
    for door, folder in folders.items():
        own = tuple(pair for pair, through in zip(pairs, doors, strict=True) if through == door)
        recorder().submit(
            Capture(
                folder=folder,
                pairs=own,
                checks=door.checks,
                graph=graph,
                varying=varying,
                host=_host(graph),
                size=copies.size * len(own) // len(pairs),
                tell=functools.partial(_tell, told, door, node_id),
            )
        )
    return ui.PreviewImage(_side_by_side([*images[-1], targets[-1]]), cls=node)


class _Door(NamedTuple):
    """Where a pair goes, and what it must pass on the way."""

    dataset: str
    checks: CheckSettings


def _doors(words: Words, layout: list[int]) -> list[_Door]:
    """The door of each result. Raises `DatasetError` for what is no name of a dataset, or no check."""
    from ...training.dataset.intake.checks import parse_checks

    for name in words.dataset:
        paths.dataset_folder(name)
    datasets = pair_values(words.dataset, layout, "dataset name")
    checks = pair_values([parse_checks(split_words(text)) for text in words.checks], layout, "checks text")
    return [_Door(*door) for door in zip(datasets, checks, strict=True)]


def _tell(told: dict[_Door, str], door: _Door, node_id: str, text: str) -> None:
    """Show what became of the pairs, below each other where they go through several doors."""
    told[door] = text
    show_on_node("\n".join(told.values()), node_id)


class _Copies:
    """Pictures in main memory that no node changes any more, each copied once. size: their bytes."""

    def __init__(self) -> None:
        self.size = 0

    def colours(self, batches: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Without transparency, which core's own loaders and most nodes leave out."""
        return self.all([batch[..., :3] for batch in batches])

    def all(self, batches: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        copies = [batch.detach().to("cpu", copy=True) for batch in batches]
        self.size += sum(copy.nbytes for copy in copies)
        return copies


def _by_result(pictures, layout: list[int], copies: _Copies) -> tuple[list[list], list[list]]:
    """Images and masks of each result, in indicator order."""
    images, masks = [], []
    for index, (batches, mask_batches) in enumerate(pictures):
        label = "source picture" if index == 0 else f"picture {{image{index}}}"
        images.append(pair_pictures(copies.colours(batches), layout, label))
        given = [mask for mask in mask_batches or () if mask is not None]
        if given and len(given) < len(mask_batches):
            raise ValueError(
                f"some of the masks of the {label} are missing: {len(given)} of {len(mask_batches)} are there"
            )
        masks.append(_masks(given, layout, label, copies) if given else [None] * sum(layout))
    return [list(group) for group in zip(*images, strict=True)], [list(group) for group in zip(*masks, strict=True)]


def _masks(given: list[torch.Tensor], layout: list[int], label: str, copies: _Copies) -> list[torch.Tensor | None]:
    """Masks (H, W) by result. ComfyUI has black ones where there is none, even of another size than the picture."""
    batches = [mask if mask.ndim == 3 else mask[None] for mask in given]
    paired = pair_pictures(copies.all(batches), layout, f"mask of the {label}")
    return [mask if bool(mask.any()) else None for mask in paired]


def _instructions(given: list[str], doors: list[_Door], pictures: int) -> list[str]:
    from ...training.dataset.intake.prepare import trigger_instruction

    words = [
        text.strip() or trigger_instruction(door.dataset, pictures) for text, door in zip(given, doors, strict=True)
    ]
    for text in words:
        check_indicators(text, pictures)
    return words


def check_indicators(instruction: str, pictures: int) -> None:
    """Raise `ValueError` where an instruction names a picture that is not among so many."""
    from ...training.dataset.intake.prepare import indicators

    missing = sorted(index for index in indicators(instruction) if index >= pictures)
    if missing:
        raise ValueError(
            f"the instruction names {{image{missing[0]}}}, but {pictures} picture(s) are marked. Mark it with a Capture "
            f"Source of index {missing[0]}, or with a reference of Capture Pair."
        )


def _read_graph(graph, marker: str) -> tuple[tuple[tuple[str, str], ...], int | None, str]:
    """What varies from pair to pair, the seed if there is just one, and a name from the source's file if there is one."""
    from ...training.capture.workflow.markers import PAIR, RESULT, SOURCE
    from ...training.dataset.provenance.provenance import varying_inputs

    markers = {node_id for node_id, node in graph.items() if node["class_type"] in (PAIR, RESULT, SOURCE)}
    found = [place for place in varying_inputs(graph) if place[0] not in markers]
    seeds = {graph[node]["inputs"][name] for node, name in found if "seed" in name}
    above = upstream_of_source(graph, marker)
    files = [graph[node]["inputs"][name] for node, name in found if "seed" not in name and node in above]
    words = [
        (marker, name)
        for name in ("instruction", "tags", "seed")
        if isinstance(graph[marker]["inputs"].get(name), (str, int))
    ]
    return (*found, *words), seeds.pop() if len(seeds) == 1 else None, Path(files[0]).stem if len(files) == 1 else ""


def _host(graph) -> dict[str, Any]:
    """Versions, and the pack that each node comes from, as a capture over a folder notes them."""
    import comfyui_version

    import nodes

    kinds = sorted({node["class_type"] for node in graph.values()})
    packs = {kind: getattr(nodes.NODE_CLASS_MAPPINGS.get(kind), "RELATIVE_PYTHON_MODULE", None) for kind in kinds}
    return {
        "comfyui": comfyui_version.__version__,
        "pytorch": torch.__version__,
        "nodes": {kind: str(pack or "") for kind, pack in packs.items()},
    }


def split_words(text: str) -> list[str]:
    """What stands between commas or line breaks."""
    return [part.strip() for part in re.split(r"[,\n]", text) if part.strip()]


def _side_by_side(pictures: Sequence[torch.Tensor]) -> torch.Tensor:
    """Pictures (H, W, C) as one small sheet (1, h, w, 3): every n-th pixel will do to recognise them."""
    small = [picture[:: (n := -(-max(picture.shape[:2]) // _THUMBNAIL)), ::n, :3] for picture in pictures]
    height = max(picture.shape[0] for picture in small)
    sheet = torch.full((1, height, sum(picture.shape[1] for picture in small), 3), 0.5)
    left = 0
    for picture in small:
        sheet[0, : picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1]
    return sheet
