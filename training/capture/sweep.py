"""A capture from beginning to end: reads the workflow, finds roles, matches inputs, runs jobs, stores pairs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from ...ace.lcu.indicators import indicator
from ..dataset.disk.names import check_dataset_name, resolve_dataset
from ..dataset.intake.checks import CheckSettings, parse_checks
from ..dataset.intake.wording import trigger_instruction
from ..dataset.provenance.provenance import save_graph
from ..dataset.store import Dataset
from ..errors import ImageError
from .client import DEFAULT_URL, ComfyClient, TransientServerError, parse_url
from .connection import ServerConnection, Timeouts
from .errors import CaptureError
from .inputs import InputGroup, UnusableInput, check_headers, file_hash, group_by_stem
from .journal import Journal, JournalEntry, open_journal, read_entries
from .plan import Job, Plan, job_key, make_plan, seeds_for
from .report import CaptureProgress, OnEvent
from .results import stored_result_numbers
from .role_finder import find_roles
from .roles import Ask, RoleChoices, Roles, never_ask
from .scheduler import Limits, Scheduler
from .workflow.graph import Workflow, describe, node_types
from .workflow.load import is_ui_format, load_workflow, read_workflow


@dataclass(frozen=True)
class CaptureSettings:
    """What a capture is asked to do.

    Attributes:
        workflow: file, in UI format or API format.
        inputs: folders of the condition images, in indicator order.
        root: folder of the datasets.
        dataset: name of the one for the pairs; "" takes that of the workflow's marker.
        masks: folders of masks, by index of the input folder.
        servers: addresses.
        choices: which node has which role, where the caller names it.
        instruction: of all pairs; None takes that of the marker, or makes a trigger word of the dataset's name.
        tags: of all pairs; where none are given, those of the marker.
        seeds: runs of an input.
        first_seed: the same seeds for every input, from this one on; None draws them from the input.
        in_flight: most prompts of ours queued on a server.
        checks: the quality checks; where none is set, those of the marker.
        subfolders: whether pictures in subfolders of the inputs are taken, too.
        mask_from: what of a mask's file is the mask; a key of ``ace.pictures.files.mask_reading.MASK_READINGS``.
        limits, timeouts: when to give up, and how long to wait.
        retry_quarantined: try inputs again that an earlier run has set aside.
        dry_run: only say what would be run.
    """

    workflow: Path
    inputs: tuple[Path, ...]
    root: Path
    dataset: str = ""
    masks: Mapping[int, Path] = field(default_factory=dict)
    servers: tuple[str, ...] = (DEFAULT_URL,)
    choices: RoleChoices = field(default_factory=RoleChoices)
    instruction: str | None = None
    tags: tuple[str, ...] = ()
    seeds: int = 1
    first_seed: int | None = None
    in_flight: int = 2
    checks: CheckSettings = field(default_factory=CheckSettings)
    subfolders: bool = False
    mask_from: str = "auto"
    limits: Limits = field(default_factory=Limits)
    timeouts: Timeouts = field(default_factory=Timeouts)
    retry_quarantined: bool = False
    dry_run: bool = False


async def capture(
    settings: CaptureSettings, on_event: OnEvent, *, ask: Ask = never_ask, stop: asyncio.Event | None = None
) -> CaptureProgress:
    """Runs a capture; the same settings go on where an earlier run was stopped.

    Args:
        on_event: called with the name and the data of each event.
        ask: answers questions about the workflow.
        stop: ends the capture early when set, once it has begun. Before that, and in a dry run, cancelling does no harm.

    Raises:
        AmbiguousRoleError: ``ask`` has no answer.
        CaptureError: it cannot begin or go on.
        DatasetError: the dataset cannot be written.
    """
    async with aiohttp.ClientSession() as session:
        clients = [ComfyClient(url, session, "") for url in dict.fromkeys(map(parse_url, settings.servers))]
        file = read_workflow(settings.workflow)
        info, stats = await _query_servers(clients, file, settings.dry_run)
        task = _task(settings, load_workflow(file, info), info, ask, on_event)
        plan = task.plan
        groups, unusable, passed_over = await asyncio.to_thread(
            group_by_stem, settings.inputs, settings.masks, subfolders=settings.subfolders
        )
        for line in passed_over:
            on_event("note", {"message": line})
        if settings.dry_run:
            return await _dry_run(settings, task, groups, unusable, on_event)
        dataset = Dataset.open_or_create(settings.root, task.dataset, checks=task.checks)
        with open_journal(dataset.folder) as journal:
            save_graph(dataset.folder, plan.template, varying=plan.varying, host=_versions(plan, info, stats))
            for client in clients:
                client.client_id = journal.id
            run = _Run(settings, task, dataset, journal, groups, on_event)
            return await run.run(clients, unusable, stop)


@dataclass(frozen=True)
class _Task:
    """What is done with every input.

    Attributes:
        plan: the jobs.
        dataset: name of the one for the pairs.
        checks: the quality checks.
        roles: which node has which role, in words.
    """

    plan: Plan
    dataset: str
    checks: CheckSettings
    roles: Mapping[str, str]

    def summary(self, folder: Path) -> dict[str, Any]:
        """Data of the event at the start."""
        return {
            "dataset": str(folder),
            "instruction": self.plan.instruction,
            "workflow": self.plan.workflow,
            "loaders": [f"{binding.node}.{binding.input}" for binding in self.plan.bindings],
            "seeds": [f"{node}.{name}" for node, name in self.plan.seeds],
            "tags": list(self.plan.tags),
            "checks": self.checks.changes(),
            "cast": dict(self.roles),
        }


class _Run:
    """The part of a capture that changes something."""

    def __init__(
        self,
        settings: CaptureSettings,
        task: _Task,
        dataset: Dataset,
        journal: Journal,
        groups: Sequence[InputGroup],
        on_event: OnEvent,
    ):
        self._settings, self._task, self._dataset, self._journal = settings, task, dataset, journal
        self._plan, self._groups, self._on_event = task.plan, groups, on_event
        self._progress = CaptureProgress(total=len(groups) * _runs_per_input(settings, task.plan))

    async def run(
        self, clients: Sequence[ComfyClient], unusable: Sequence[UnusableInput], stop: asyncio.Event | None
    ) -> CaptureProgress:
        """Runs the jobs that are left."""
        self._on_event("start", {**self._task.summary(self._dataset.folder), **self._progress.counts()})
        for entry in unusable:
            self._record_failure(entry)
        scheduler = Scheduler(
            self._plan, self._dataset, self._journal, self._progress, self._on_event, self._settings.limits
        )
        if stop is not None:
            scheduler.stop = stop
        servers = [
            ServerConnection(client, self._settings.in_flight, scheduler.wake, self._settings.timeouts, self._on_event)
            for client in clients
        ]
        await scheduler.run(self._jobs(), servers)
        return self._progress

    def _record_failure(self, entry: UnusableInput) -> None:
        self._progress.unusable += 1
        self._on_event("unusable", {"input": entry.label, "reason": entry.reason})

    async def _jobs(self) -> AsyncIterator[Job]:
        """The jobs that are left, made as they are needed."""
        uncertain = {key for key, entry in self._journal.entries.items() if self._uncertain(entry)}
        stored = await asyncio.to_thread(stored_result_numbers, self._dataset, uncertain)
        seen: dict[str, str] = {}
        for group in self._groups:
            try:
                hashes = await asyncio.to_thread(group_hashes, group)
            except ImageError as error:
                self._progress.total -= _runs_per_input(self._settings, self._plan)
                self._record_failure(UnusableInput(group.label, str(error)))
                continue
            for seed in seeds_for(self._plan, hashes, self._settings.seeds, self._settings.first_seed):
                key = job_key(self._plan, hashes, seed)
                if key in seen:
                    self._skip(group, f"the same content as {seen[key]}")
                    continue
                seen[key] = group.label
                job = await self._job(group, key, seed, stored.get(key, frozenset()))
                if job is not None:
                    yield job

    def _uncertain(self, entry: JournalEntry) -> bool:
        """Whether a job may have pairs in the dataset and yet lack some."""
        return entry.state == "queued" or (entry.state == "done" and not self._up_to_date(entry))

    def _up_to_date(self, entry: JournalEntry) -> bool:
        return entry.up_to_date(self._dataset, self._dataset.checks.changes())

    async def _job(self, group: InputGroup, key: str, seed: int | None, stored: frozenset[int | None]) -> Job | None:
        """The job of a key, None where nothing is left to do."""
        entry = self._journal[key] or JournalEntry("failed")
        if None in stored and entry.state == "queued":
            await asyncio.to_thread(self._journal.done, key, workflow=self._plan.workflow, pairs=[], rejected=[])
            entry = JournalEntry("done")
        if entry.state == "done":
            if self._up_to_date(entry) or None in stored:
                self._skip(group, "done earlier")
                return None
            # A pair of it was lost, or other checks may let pass what was rejected.
            return Job(group, key, seed, entry.attempt + 1, None, stored)
        if entry.state == "quarantined" and not self._settings.retry_quarantined:
            self._progress.quarantined += 1
            self._skip(group, f"set aside earlier: {entry.reason}")
            return None
        attempt = entry.attempt + (entry.state == "quarantined")
        server = entry.server if entry.state == "queued" else None
        return Job(group, key, seed, attempt, server, stored)

    def _skip(self, group: InputGroup, reason: str) -> None:
        self._progress.earlier += 1
        self._on_event("skipped", {"input": group.label, "reason": reason})


def group_hashes(group: InputGroup) -> list[str]:
    """SHA-256 of each file and mask of a group, "" where there is none.

    Raises:
        ImageError: a file cannot be read.
    """
    return [file_hash(path) if path else "" for path in (*group.files, *group.masks)]


def _runs_per_input(settings: CaptureSettings, plan: Plan) -> int:
    return min(settings.seeds, plan.seed_limit) if plan.seeds else 1


async def _query_servers(
    clients: Sequence[ComfyClient], file: Mapping[str, Any], dry_run: bool
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Node schemas and versions of the first server that answers; a dry run over a prompt can do without."""
    kinds = None if is_ui_format(file) else node_types(load_workflow(file).prompt)
    troubles = []
    for client in clients:
        try:
            return await client.object_info(kinds), await client.system_stats()
        except (TransientServerError, CaptureError) as error:
            troubles.append(str(error))
    if dry_run and kinds is not None:
        return None, {}
    raise CaptureError(
        "No ComfyUI server answers.\n" + "\n".join(troubles) + "\nStart one, or say where it is with --server URL."
    )


def _task(
    settings: CaptureSettings, workflow: Workflow, info: Mapping[str, Any] | None, ask: Ask, on_event: OnEvent
) -> _Task:
    """What the settings leave open is taken from the workflow and its marker."""
    roles = find_roles(workflow, settings.choices, object_info=info, ask=ask)
    name = settings.dataset or roles.marker_settings.dataset
    if not name:
        raise CaptureError("The dataset has no name. Give one with --dataset NAME.")
    check_dataset_name(name)
    resolve_dataset(settings.root, name)
    tags = settings.tags or roles.marker_settings.tags
    plan = make_plan(workflow, roles, _instruction(settings, roles, name), tags, settings.mask_from)
    if settings.seeds > 1 and not plan.seeds:
        raise CaptureError(
            f"{settings.seeds} seeds are asked for, but no seed has a part in the result. Name it with --seed NODE.INPUT."
        )
    for note in roles.notes:
        on_event("note", {"message": note})
    checks = settings.checks if settings.checks.model_fields_set else parse_checks(roles.marker_settings.checks)
    return _Task(plan, name, checks, _describe_roles(plan, roles, settings))


def _instruction(settings: CaptureSettings, roles: Roles, dataset: str) -> str:
    """The instruction of all pairs."""
    given = settings.instruction if settings.instruction is not None else roles.marker_settings.instruction
    return given.strip() or trigger_instruction(dataset, len(roles.pictures))


def _describe_roles(plan: Plan, roles: Roles, settings: CaptureSettings) -> dict[str, str]:
    """Node by role, in words, for people to see whether it is what they mean."""
    parts = {}
    for index, role in enumerate(roles.pictures):
        token = indicator(index)
        seen = describe(roles.prompt, role.link[0])
        if role.loader is None:
            parts[token] = f"{seen}, the same for all"
        else:
            loader = describe(roles.prompt, role.loader)
            parts[token] = loader if role.link == (role.loader, 0) else f"{loader}, as it is after {seen}"
        if role.mask_link is not None:
            mask = role.mask_link[0] if role.mask_loader is None else role.mask_loader
            parts[f"mask of {token}"] = describe(roles.prompt, mask)
    parts["result"] = describe(roles.prompt, roles.result[0])
    runs = _runs_per_input(settings, plan)
    places = ", ".join(f"{describe(roles.prompt, node)}, {name}" for node, name in plan.seeds)
    parts["seeds"] = f"{runs} an input at {places}" if places else "none: every run of an input gives the same"
    return parts


def _versions(plan: Plan, info: Mapping[str, Any] | None, stats: Mapping[str, Any]) -> dict[str, Any]:
    """Versions as the server knows them, and the pack of each node."""
    system = stats.get("system") if isinstance(stats.get("system"), Mapping) else {}
    kinds = sorted(node_types(plan.template))
    packs = {kind: str((info or {}).get(kind, {}).get("python_module", "")) for kind in kinds}
    return {
        "comfyui": str(system.get("comfyui_version", "")),
        "pytorch": str(system.get("pytorch_version", "")),
        "nodes": packs,
    }


async def _dry_run(
    settings: CaptureSettings,
    task: _Task,
    groups: Sequence[InputGroup],
    unusable: Sequence[UnusableInput],
    on_event: OnEvent,
) -> CaptureProgress:
    """Reports what would be run; nothing is written and nothing queued, so it may be cancelled at any time."""
    plan = task.plan
    folder = resolve_dataset(settings.root, task.dataset)
    entries = read_entries(folder)
    kept = Dataset(folder) if entries else ()
    progress = CaptureProgress(total=len(groups) * _runs_per_input(settings, plan), unusable=len(unusable))
    on_event("start", {"dry_run": True, **task.summary(folder), **progress.counts()})
    for entry in unusable:
        on_event("unusable", {"input": entry.label, "reason": entry.reason})
    for group in groups:
        reason = await asyncio.to_thread(check_headers, group, settings.limits.max_pixels)
        if reason:
            progress.unusable += 1
            progress.total -= _runs_per_input(settings, plan)
            on_event("unusable", {"input": group.label, "reason": reason})
            continue
        with contextlib.suppress(ImageError):
            hashes = await asyncio.to_thread(group_hashes, group)
            for seed in seeds_for(plan, hashes, settings.seeds, settings.first_seed):
                known = entries.get(job_key(plan, hashes, seed)) or JournalEntry("failed")
                done = known.up_to_date(kept, task.checks.changes())
                set_aside = known.state == "quarantined" and not settings.retry_quarantined
                state = "done" if done else "quarantined" if set_aside else "would run"
                progress.earlier += state != "would run"
                files = [str(path) for path in group.paths]
                on_event("job", {"input": group.label, "files": files, "seed": seed, "state": state})
    return progress
