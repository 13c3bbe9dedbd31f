"""Finds which node has which role in a capture.

What the caller names comes first, then marker nodes, then a search; where that leaves a choice, the artist is asked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from .errors import AmbiguousRoleError, WorkflowError
from .roles import Ask, PictureRole, RoleChoices, Roles, never_ask
from .workflow.graph import (
    LeftOut,
    Link,
    Workflow,
    ancestors,
    as_link,
    consumers,
    describe,
    input_links,
)
from .workflow.markers import (
    MarkedPicture,
    Markers,
    read_markers,
)
from .workflow.widgets import input_specs

_Choice = TypeVar("_Choice")

_LOADERS = {"LoadImage": "image", "LoadImageMask": "image", "LoadImageOutput": "image"}
_SAVERS = {"SaveImage": "images", "PreviewImage": "images", "SaveImageWebsocket": "images"}
_SEED_NAMES = ("seed", "noise_seed")
_MASK_OUTPUT = 1  # of core's picture loaders


def find_roles(
    workflow: Workflow, choices: RoleChoices, *, object_info: Mapping[str, Any] | None = None, ask: Ask = never_ask
) -> Roles:
    """Finds which node of a workflow has which role.

    Args:
        choices: what the caller names.
        object_info: the server's node schemas, by which loaders and savers of packs are known.
        ask: answers a question with the index of a choice, or raises it.

    Raises:
        AmbiguousRoleError: several nodes could have a role.
        WorkflowError: none can, or a name fits no node.
    """
    markers = read_markers(workflow.prompt, workflow.gaps)
    finder = _RoleFinder(workflow, markers, choices, object_info or {}, ask)
    result, marker = finder.result()
    marked = markers.pictures(marker or result[0])
    needed = ancestors(markers.prompt, [result[0], *(picture.image[0] for picture in marked)])
    pictures = finder.pictures(marked, needed, result)
    roots = [result[0], *(picture.link[0] for picture in pictures)]
    seeds = finder.seeds(ancestors(markers.prompt, roots), workflow.controls)
    return Roles(
        prompt=markers.prompt,
        pictures=pictures,
        result=result,
        seeds=seeds,
        marker_settings=markers.settings(marker),
        seed_limit=min([2**48, *(finder.seed_maximum(*seed) + 1 for seed in seeds)]),
        notes=(*workflow.notes, *finder.idle_savers()),
    )


class _RoleFinder:
    """Finds one role after the other in the prompt without markers."""

    def __init__(
        self, workflow: Workflow, markers: Markers, choices: RoleChoices, object_info: Mapping[str, Any], ask: Ask
    ):
        self.workflow = workflow
        self.markers, self.choices, self._info, self._ask = markers, choices, object_info, ask
        self.graph = markers.prompt

    def choose(self, question: str, options: Sequence[tuple[str, _Choice]], flag: str) -> _Choice:
        """The only option, or the one that the artist picks."""
        if len(options) == 1:
            return options[0][1]
        return options[self._ask(AmbiguousRoleError(question, tuple(label for label, _ in options), flag))][1]

    def node(self, name: str, *, within: Mapping[str, Any] | None = None) -> str:
        """A node by number, title or type."""
        graph = self.graph if within is None else within
        if name in graph:
            return name
        titled = [id_ for id_, node in graph.items() if node.get("_meta", {}).get("title") == name]
        found = titled or [id_ for id_, node in graph.items() if node["class_type"] == name]
        if not found:
            out = [str(node) for node in self.workflow.left_out if name in (node.node, node.title, node.type)]
            if out:
                raise WorkflowError(f"{out[0]}, so it has no part in the run. Switch it on, or name another node.")
            raise WorkflowError(f"No node has the number, title or type {name!r}.")
        if len(found) > 1:
            raise WorkflowError(f"{name!r} fits several nodes; give the number: {', '.join(found)}.")
        return found[0]

    # -- the result ---------------------------------------------------------------------------------------------

    def result(self) -> tuple[Link, str | None]:
        """Where the result is seen, and the node that marks it, if one does."""
        if self.choices.result is not None:
            return self._named_result(self.choices.result)
        if self.markers.results:
            options = [(self._marker_option(node), node) for node in self.markers.results]
            marker = self.choose("Which marker's result is to be captured?", options, "--result NODE")
            return self.markers.image(marker), marker
        seen: dict[Link, str] = {}
        for node_id in self.graph:
            link = self._displayed_link(node_id)
            if link is not None:
                seen.setdefault(link, node_id)
        if not seen:
            raise WorkflowError(self._no_result())
        options = [(describe(self.graph, node_id), link) for link, node_id in seen.items()]
        return self.choose("Which node shows the result?", options, "--result NODE"), None

    def _no_result(self) -> str:
        """Why there is no result, as the artist has to mend it."""
        name_one = "name a node that makes the picture with --result NODE"
        idle = [node_id for node_id in self.graph if self.graph[node_id]["class_type"] in _SAVERS]
        if idle:
            gap = self.workflow.gaps.get((idle[0], _SAVERS[self.graph[idle[0]]["class_type"]]))
            why = gap or "what comes before it is muted or not connected"
            return (
                f"No picture reaches {describe(self.graph, idle[0])}: {why}, so there is no result to capture. "
                f"{_switch_on(gap)}, or {name_one}."
            )
        out = next((node for node in self.workflow.left_out if self._saves(node.type)), None)
        if out is not None:
            return (
                f"The only node that saves or previews a picture is left out: {out}. So there is no result to capture. "
                f"{_switch_on(out)}, or {name_one}."
            )
        return (
            "The workflow has no node that saves or previews a picture, so there is no result to capture. Add one, or "
            f"{name_one}."
        )

    def idle_savers(self) -> tuple[str, ...]:
        """What is said of savers that show nothing because of a node that is left out, where another shows the result."""
        return tuple(
            f"nothing reaches {describe(self.graph, node_id)}: {gap}"
            for (node_id, name), gap in self.workflow.gaps.items()
            if node_id in self.graph and name == _SAVERS.get(self.graph[node_id]["class_type"])
        )

    def _saves(self, kind: str) -> bool:
        """Whether a type of node shows pictures."""
        schema = self._info.get(kind) or {}
        return kind in _SAVERS or bool(schema.get("output_node") and self._pictures_into(kind))

    def _pictures_into(self, kind: str) -> list[str]:
        return [spec.name for spec in input_specs(self._info.get(kind) or {}) if spec.type == "IMAGE"]

    def _marker_option(self, node: str) -> str:
        """A marker as people tell it from others: by its number, its title, and the dataset it names."""
        with contextlib.suppress(WorkflowError):
            if dataset := self.markers.settings(node).dataset:
                return f"{describe(self.markers.marked, node)} ({dataset})"
        return describe(self.markers.marked, node)

    def _named_result(self, name: str) -> tuple[Link, str | None]:
        marks = {node: self.markers.marked[node] for node in self.markers.results}
        known = name in marks or any(
            name in (node["class_type"], node.get("_meta", {}).get("title")) for node in marks.values()
        )
        if known:
            marker = self.node(name, within=marks)
            return self.markers.image(marker), marker
        node_id = self.node(name)
        link = self._displayed_link(node_id) or (node_id, 0)
        # Who names the node in front of a marker, or one that shows the same picture, means that marker.
        same = [marker for marker in marks if self._marks(marker, link)]
        return link, same[0] if len(same) == 1 else None

    def _marks(self, marker: str, link: Link) -> bool:
        try:
            return self.markers.image(marker) == link
        except WorkflowError:  # not wired
            return False

    def _displayed_link(self, node_id: str) -> Link | None:
        """What a saving or previewing node shows."""
        kind = self.graph[node_id]["class_type"]
        linked = input_links(self.graph, node_id)
        if kind in _SAVERS:
            return linked.get(_SAVERS[kind])
        if not self._saves(kind):
            return None
        return next((linked[name] for name in self._pictures_into(kind) if name in linked), None)

    # -- the pictures -------------------------------------------------------------------------------------------

    def pictures(self, marked: Sequence[MarkedPicture], needed: set[str], result: Link) -> tuple[PictureRole, ...]:
        """The condition images, in indicator order.

        Args:
            marked: those that markers point at.
            needed: the nodes that the result and the marked pictures need.
        """
        loaders = [self.node(name) for name in self.choices.sources]
        for loader in loaders:
            self._check_loader(loader)
        if marked or loaders:
            roles = [self._marked_picture(picture, loaders[picture.index : picture.index + 1]) for picture in marked]
            roles += [PictureRole((loader, 0), loader) for loader in loaders[len(marked) :]]
        else:
            roles = self._loaded_pictures(needed, result)
        bound = sum(role.loader is not None for role in roles[: self.choices.folders])
        if bound < self.choices.folders:
            raise WorkflowError(
                f"{self.choices.folders} input folder(s) are given, but only {bound} picture(s) of the workflow are "
                "loaded from a file. Name the loaders with --source NODE, in the order of the folders."
            )
        kept = [
            role if index < self.choices.folders else PictureRole(role.link, None, role.mask_link)
            for index, role in enumerate(roles)
        ]
        return tuple(self._with_mask(index, role, needed) for index, role in enumerate(kept))

    def _marked_picture(self, marked: MarkedPicture, named: Sequence[str]) -> PictureRole:
        """The role of a marked picture.

        Args:
            named: the loader that the caller names for it, if any.
        """
        for loader in named:
            if loader not in ancestors(self.graph, [marked.image[0]]):
                raise WorkflowError(
                    f"{describe(self.graph, loader)} does not load what node {marked.node} marks as picture "
                    f"{marked.index}, so the pair would not show it. Name a loader that it comes from."
                )
            return PictureRole(marked.image, loader, marked.mask)
        loader = None
        if marked.index < self.choices.folders:
            options = self._options(self._upstream_loaders(marked.image, masks=False))
            question = f"Which node loads the pictures that node {marked.node} marks?"
            loader = self.choose(question, options, "--source NODE") if options else None
        return PictureRole(marked.image, loader, marked.mask)

    def _loaded_pictures(self, needed: set[str], result: Link) -> list[PictureRole]:
        """Loaders whose picture (not only their mask) has a part in the result, asked for in turn if they are many."""
        loaders = [id_ for id_ in self.graph if id_ in needed and self.file_input(id_)]
        free = [id_ for id_ in loaders if result == (id_, 0) or any(n in needed for n, _ in self._image_consumers(id_))]
        if not free:
            gaps = self.workflow.gaps_of(needed)
            why = f" ({gaps[0]})" if gaps else ""
            raise WorkflowError(
                f"No node that loads a picture from a file has a part in the result{why}. Name one with --source NODE."
            )
        roles = []
        for index in range(min(self.choices.folders, len(free))):
            folder = "--inputs" if index == 0 else f"--inputs-{index}"
            question = f"Which node loads the pictures of {folder}?"
            loader = self.choose(question, self._options(free), "--source NODE")
            free.remove(loader)
            roles.append(PictureRole((loader, 0), loader))
        return roles

    def _with_mask(self, index: int, role: PictureRole, needed: set[str]) -> PictureRole:
        """Adds what loads the mask of a picture."""
        if index not in self.choices.mask_folders:
            if role.loader and role.mask_link is None and self._mask_in_use(role.loader, needed):
                return PictureRole(role.link, role.loader, (role.loader, _MASK_OUTPUT), role.loader)
            own = role.mask_link is not None and role.loader and role.mask_link == (role.loader, _MASK_OUTPUT)
            return PictureRole(role.link, role.loader, role.mask_link, role.loader) if own else role
        flag = "--mask NODE"
        place = self.choices.mask_folders.index(index)
        if place < len(self.choices.masks):
            loader = self.node(self.choices.masks[place])
            self._check_loader(loader)
        else:
            found = self._mask_loaders(role, needed)
            if not found:
                raise WorkflowError(
                    "Masks are given, but no node of the workflow loads one. Add Load Image (as Mask), use the mask "
                    f"output of Load Image, or name the node with {flag}."
                )
            name = "--masks" if index == 0 else f"--masks-{index}"
            loader = self.choose(f"Which node loads the masks of {name}?", self._options(found), flag)
        link = role.mask_link or (loader, self._mask_output(loader))
        return PictureRole(role.link, role.loader, link, loader)

    def _mask_loaders(self, role: PictureRole, needed: set[str]) -> list[str]:
        if role.mask_link is not None:
            upstream = self._upstream_loaders(role.mask_link, masks=True)
            return [id_ for id_ in upstream if id_ != role.loader or role.mask_link == (id_, _MASK_OUTPUT)] or upstream
        loaders = [id_ for id_ in self.graph if id_ in needed and self.file_input(id_)]
        only_masks = [
            id_ for id_ in loaders if id_ != role.loader and not any(n in needed for n, _ in self._image_consumers(id_))
        ]
        own = [role.loader] if role.loader and self._mask_in_use(role.loader, needed) else []
        return only_masks + own

    # -- loaders ------------------------------------------------------------------------------------------------

    def file_input(self, node_id: str) -> str | None:
        """The widget of a loader that names the file; None for other nodes and where a link is in its place."""
        node = self.graph[node_id]
        name = _LOADERS.get(node["class_type"])
        schema = self._info.get(node["class_type"])
        if name is None and schema:
            uploads = [spec.name for spec in input_specs(schema) if spec.options.get("image_upload")]
            name = uploads[0] if uploads else None
        return name if name and isinstance(node["inputs"].get(name), str) else None

    def _check_loader(self, node_id: str) -> None:
        if self.file_input(node_id) is None:
            raise WorkflowError(f"{describe(self.graph, node_id)} does not load a picture from a file.")

    def _upstream_loaders(self, link: Link, *, masks: bool) -> list[str]:
        if self.file_input(link[0]):
            return [link[0]]
        upstream = ancestors(self.graph, [link[0]])
        found = [id_ for id_ in self.graph if id_ in upstream and self.file_input(id_)]
        wanted = [id_ for id_ in found if (self.graph[id_]["class_type"] == "LoadImageMask") == masks]
        return wanted or found

    def _mask_output(self, node_id: str) -> int:
        return 0 if self.graph[node_id]["class_type"] == "LoadImageMask" else _MASK_OUTPUT

    def _image_consumers(self, node_id: str) -> list[tuple[str, str]]:
        return [] if self._mask_output(node_id) == 0 else consumers(self.graph, node_id, 0)

    def _mask_in_use(self, node_id: str, needed: set[str]) -> bool:
        return any(name in needed for name, _ in consumers(self.graph, node_id, _MASK_OUTPUT))

    def _options(self, node_ids: Sequence[str]) -> list[tuple[str, str]]:
        return [(describe(self.graph, node_id), node_id) for node_id in node_ids]

    # -- seeds --------------------------------------------------------------------------------------------------

    def seeds(self, needed: set[str], controls: Mapping[tuple[str, str], str]) -> tuple[tuple[str, str], ...]:
        """(node, input) of the seeds that vary, among the nodes that the pair needs."""
        if self.choices.seeds:
            return tuple(self._named_seed(text) for text in self.choices.seeds)
        found: list[tuple[str, str]] = []
        for node_id in self.graph:
            if node_id in needed:
                places = [self._seed_place(node_id, name) for name in _SEED_NAMES]
                found += [place for place in places if place is not None and place not in found]
        # An artist who fixed one seed and lets another roll means the second one.
        rolling = [place for place in found if controls.get(place, "randomize") != "fixed"]
        return tuple(rolling or found)

    def _seed_place(self, node_id: str, name: str) -> tuple[str, str] | None:
        """The widget behind a seed: the node's own, or that of the number node it is wired to."""
        value = self.graph[node_id]["inputs"].get(name)
        link = as_link(value, self.graph)
        if link is not None and link[0] in self.graph:
            numbers = [n for n, v in self.graph[link[0]]["inputs"].items() if _is_whole_number(v)]
            return (link[0], numbers[0]) if len(numbers) == 1 else None
        return (node_id, name) if _is_whole_number(value) else None

    def _named_seed(self, text: str) -> tuple[str, str]:
        name, dot, entry = text.rpartition(".")
        if not dot:
            raise WorkflowError(f"A seed is named as NODE.INPUT, for example 3.seed; got {text!r}.")
        node_id = self.node(name)
        if not _is_whole_number(self.graph[node_id]["inputs"].get(entry)):
            raise WorkflowError(f"{describe(self.graph, node_id)} has no whole number in an input {entry!r}.")
        return node_id, entry

    def seed_maximum(self, node_id: str, name: str) -> int:
        """Largest value that a seed's widget takes."""
        specs = input_specs(self._info.get(self.graph[node_id]["class_type"]) or {})
        limits = [spec.options.get("max") for spec in specs if spec.name == name]
        return next((int(limit) for limit in limits if isinstance(limit, int)), 2**48)


def _switch_on(node: LeftOut | None) -> str:
    """What to do with a node that stands in the way."""
    return "Switch its bypass off" if node is not None and node.bypassed else "Unmute it"


def _is_whole_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
