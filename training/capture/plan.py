"""From roles and inputs to jobs: the prompt that is sent for an input and a seed, and where its pictures come back."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from ..dataset.intake.wording import check_instruction
from ..dataset.provenance.provenance import graph_hash
from ..errors import PairError
from .errors import WorkflowError
from .inputs import InputGroup, LoadedPicture, encode_mask, encode_picture
from .roles import PictureRole, Roles
from .workflow.graph import (
    Link,
    Prompt,
    Workflow,
    ancestors,
    describe,
    input_links,
    nodes_between,
)

RESULT = "capture-result"
_MASK_OUTPUT = 1


@dataclass(frozen=True)
class InputBinding:
    """An input of a loader that gets another file for each job.

    Attributes:
        node: the loader.
        input: its widget that names the file.
        picture: index of the condition image.
        content: what is sent.
    """

    node: str
    input: str
    picture: int
    content: Literal["picture", "picture and mask", "mask"]

    def encode(self, picture: LoadedPicture) -> bytes:
        """What is sent to the server for this loader, as PNG."""
        if self.content == "mask":
            return encode_mask(picture.mask)
        return encode_picture(picture, with_mask=self.content == "picture and mask")


@dataclass(frozen=True)
class Plan:
    """All that the jobs of a capture have in common.

    Attributes:
        template: the prompt, with the files and seeds that the workflow file had.
        bindings: loaders that get another file for each job.
        seeds: (node, input) of the seeds that vary.
        roles: the condition images, in indicator order.
        previews: by condition image, the nodes (image, mask) that show it on the server; None where the input file itself
            is the picture.
        instruction: of all pairs.
        workflow: hash of the graph.
        tags: of all pairs.
        seed_limit: seeds are below it.
        mask_from: what of a mask's file is the mask, as ``load_group`` takes it.
    """

    template: Prompt
    bindings: tuple[InputBinding, ...]
    seeds: tuple[tuple[str, str], ...]
    roles: tuple[PictureRole, ...]
    previews: tuple[tuple[str | None, str | None], ...]
    instruction: str
    workflow: str
    tags: tuple[str, ...] = ()
    seed_limit: int = 2**48
    mask_from: str = "auto"

    @property
    def varying(self) -> tuple[tuple[str, str], ...]:
        """(node, input) whose values differ from job to job."""
        return (*((binding.node, binding.input) for binding in self.bindings), *self.seeds)

    @cached_property
    def edit_nodes(self) -> frozenset[str]:
        """The nodes that make the result out of the source; empty where it does not depend on any input file."""
        first = min((binding.picture for binding in self.bindings), default=0)
        begin = {binding.node for binding in self.bindings if binding.picture == first}
        return frozenset(nodes_between(self.template, begin, input_links(self.template, RESULT)["images"][0]))

    @property
    def bound(self) -> tuple[int, ...]:
        """Indices of the pictures that come from input folders."""
        return tuple(index for index, role in enumerate(self.roles) if role.loader is not None)

    @property
    def alpha_masks(self) -> tuple[bool, ...]:
        """For each bound picture, whether its file's transparency is its mask."""
        roles = [self.roles[index] for index in self.bound]
        return tuple(role.mask_loader is not None and role.mask_loader == role.loader for role in roles)

    @property
    def identity(self) -> str:
        """What, beside inputs and seed, makes two jobs the same."""
        masks = "" if self.mask_from == "auto" else f"\nmasks from {self.mask_from}"
        return f"{self.workflow}\n{self.instruction}{masks}"

    def prompt(self, files: Mapping[InputBinding, str], seed: int | None) -> Prompt:
        """The prompt of one job.

        Args:
            files: what each loader's widget takes.
            seed: for all seeds; None leaves those of the template.
        """
        prompt = copy.deepcopy(self.template)
        for binding, name in files.items():
            prompt[binding.node]["inputs"][binding.input] = name
        for node, entry in self.seeds:
            if seed is not None:
                prompt[node]["inputs"][entry] = seed
        return prompt


@dataclass
class Job:
    """One input group with one seed.

    Attributes:
        group: the input files.
        key: identifies the job in the journal.
        seed: None where the workflow has none.
        attempt: counts runs.
        server: where it was queued under that attempt, if it was.
        stored: numbers of its results that the dataset has already, None for the only one.
    """

    group: InputGroup
    key: str
    seed: int | None
    attempt: int = 0
    server: str | None = None
    stored: frozenset[int | None] = field(default_factory=frozenset)

    @property
    def label(self) -> str:
        """What messages call the job."""
        return self.group.label if self.seed is None else f"{self.group.label} (seed {self.seed})"


def make_plan(
    workflow: Workflow, roles: Roles, instruction: str, tags: Sequence[str] = (), mask_from: str = "auto"
) -> Plan:
    """Reduces a workflow to what its result needs, with nodes that show the pictures of a pair.

    Args:
        instruction: of all pairs.
        tags: of all pairs.
        mask_from: what of a mask's file is the mask.

    Raises:
        WorkflowError: a needed node cannot be run, or the instruction cannot stand in a pair.
    """
    try:
        check_instruction(instruction, len(roles.pictures))
    except PairError as error:
        raise WorkflowError(str(error)) from error
    prompt = {
        id_: {"class_type": n["class_type"], "inputs": n["inputs"]} for id_, n in copy.deepcopy(roles.prompt).items()
    }
    prompt[RESULT] = _preview(roles.result)
    previews = tuple(_add_previews(prompt, index, role) for index, role in enumerate(roles.pictures))
    ends = [RESULT, *(node for pair in previews for node in pair if node is not None)]
    needed = ancestors(prompt, ends)
    broken = [f"{describe(prompt, id_)}: {why}" for id_, why in workflow.problems.items() if id_ in needed]
    if broken:
        raise WorkflowError("The workflow cannot be run as it is.\n" + "\n".join(broken))
    template = {id_: node for id_, node in prompt.items() if id_ in needed}
    bindings = tuple(binding for binding in _make_bindings(prompt, roles.pictures) if binding.node in needed)
    for index, role in enumerate(roles.pictures):
        if role.loader is not None and role.loader not in needed:
            raise WorkflowError(f"{describe(prompt, role.loader)} has no part in the result (picture {index}).")
    seeds = tuple(seed for seed in roles.seeds if seed[0] in needed)
    varying = [*((binding.node, binding.input) for binding in bindings), *seeds]
    return Plan(
        template=template,
        bindings=bindings,
        seeds=seeds,
        roles=roles.pictures,
        previews=previews,
        instruction=instruction,
        workflow=graph_hash(template, varying=varying),
        tags=tuple(tags),
        seed_limit=roles.seed_limit,
        mask_from=mask_from,
    )


def job_key(plan: Plan, hashes: Sequence[str], seed: int | None) -> str:
    """Identifies a job in the journal: by the graph, the instruction, the content of its inputs, and the seed.

    Args:
        hashes: of the input files, as ``group_hashes`` gives them.
    """
    text = "\n".join([plan.identity, *hashes, str(seed)])
    return hashlib.sha256(text.encode()).hexdigest()


def seeds_for(plan: Plan, hashes: Sequence[str], count: int, first: int | None) -> list[int | None]:
    """The seeds of one input.

    Args:
        hashes: of the input files.
        count: how many.
        first: for every input the same seeds, from this one on. None draws them from the input's content: a student must
            not learn the one noise that a seed common to all inputs would put into every result.
    """
    if not plan.seeds:
        return [None]
    if first is not None:
        return [(first + number) % plan.seed_limit for number in range(count)]
    drawn: dict[int, None] = {}
    number = 0
    while len(drawn) < min(count, plan.seed_limit):
        digest = hashlib.sha256("\n".join([*hashes, str(number)]).encode()).digest()
        drawn.setdefault(int.from_bytes(digest[:6], "big") % plan.seed_limit)
        number += 1
    return list(drawn)


def _preview(link: Link) -> dict[str, Any]:
    return {"class_type": "PreviewImage", "inputs": {"images": list(link)}}


def _add_previews(prompt: Prompt, index: int, role: PictureRole) -> tuple[str | None, str | None]:
    """Adds nodes that show a condition image and its mask, where they are not simply the input files."""
    image = mask = None
    if role.loader is None or role.link != (role.loader, 0):
        image = f"capture-image-{index}"
        prompt[image] = _preview(role.link)
    if role.mask_link is not None and not _mask_is_file(prompt, role):
        mask = f"capture-mask-{index}"
        prompt[f"{mask}-image"] = {"class_type": "MaskToImage", "inputs": {"mask": list(role.mask_link)}}
        prompt[mask] = _preview((f"{mask}-image", 0))
    return image, mask


def _mask_is_file(prompt: Prompt, role: PictureRole) -> bool:
    if role.mask_loader is None:
        return False
    output = 0 if prompt[role.mask_loader]["class_type"] == "LoadImageMask" else _MASK_OUTPUT
    return role.mask_link == (role.mask_loader, output)


def _make_bindings(prompt: Prompt, roles: Sequence[PictureRole]) -> list[InputBinding]:
    bindings = []
    for index, role in enumerate(roles):
        if role.loader is not None:
            content = "picture and mask" if role.mask_loader == role.loader else "picture"
            bindings.append(InputBinding(role.loader, _file_input(prompt, role.loader), index, content))
        if role.mask_loader is not None and role.mask_loader != role.loader:
            bindings.append(InputBinding(role.mask_loader, _file_input(prompt, role.mask_loader), index, "mask"))
    return bindings


def _file_input(prompt: Prompt, node_id: str) -> str:
    """The widget of a loader that names the file."""
    inputs = prompt[node_id]["inputs"]
    return "image" if isinstance(inputs.get("image"), str) else next(n for n, v in inputs.items() if isinstance(v, str))
