"""`comfyui-ace label run | write | report | chains | export DATASET …`

Exit codes: 0 all well, 1 failures that are explained, 2 bad usage.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..arguments import bounded_int
from ..errors import DatasetError
from ..listing import first_lines
from ..vision_language.command import (
    KEY_HELP,
    add_server_arguments,
    dataset_commands,
    note,
    pair_bar,
    say,
    server_settings,
)
from .settings import FORMS, LANGUAGES

if TYPE_CHECKING:
    from ..dataset.store import Dataset
    from ..vision_language.backend import Backend
    from .applying import Planned
    from .labelling import LabellingResult
    from .settings import LabelSettings

_SHOWN = 10  # pairs in a preview


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command `label` with its subcommands; parsed arguments get `run`, a function that returns the code."""
    parser = subparsers.add_parser("label", help="have a model that sees pictures write the instructions of pairs")
    command = dataset_commands(parser)
    run = command("run", _run, "propose texts for pairs that have none yet; goes on where it was stopped")
    run.epilog = f"No row is changed: see `comfyui-ace label write`, or the page of datasets. {KEY_HELP}"
    add_server_arguments(run, "Without one only tasks that can be told from the pixels are labelled")
    run.add_argument(
        "--judge-model", default="", metavar="NAME", help="of the same server: asked whether texts are true"
    )
    _add_wishes(run)
    write = command("write", _write, "write proposed texts into the rows; without --apply there is a preview alone")
    write.add_argument("--apply", action="store_true", help="change the rows")
    write.add_argument(
        "--overwrite", action="store_true", help="also rows whose words were changed since the label was made"
    )
    write.add_argument("--undo", action="store_true", help="bring back the words from before the last --apply")
    write.add_argument(
        "--language", choices=LANGUAGES, default="en", help="of the texts; published models read English (en)"
    )
    command("report", _report, "say what was proposed, accepted and rejected, and why pairs have no text")
    chains = command("chains", _chains, "make pairs that follow one another rounds of a long context")
    chains.add_argument(
        "--pairs", nargs="+", metavar="ID", default=[], help="one chain in this order (default: all found)"
    )
    chains.add_argument("--captions", action="store_true", help="let each round also be asked for by its caption")
    chains.add_argument("--apply", action="store_true", help="change the rows; without it they are listed")
    export = command("export", _export, "write accepted words as a fine-tuning set for a captioner")
    export.add_argument("output", metavar="OUTPUT", type=Path, help="a new folder")
    export.add_argument("--format", required=True, choices=("llama-factory", "ms-swift"))
    export.add_argument("--split", choices=("train", "validation"), help="export this one alone")
    export.add_argument("--by-person", action="store_true", help="only what a person accepted")
    export.add_argument("--every-phrasing", action="store_true", help="an example for each phrasing")
    return parser


def _add_wishes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--languages", nargs="+", choices=LANGUAGES, default=["en"], help="of the texts (en)")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS), help="of the texts (all)")
    parser.add_argument(
        "--rewrites", type=bounded_int(0), default=0, metavar="N", help="further wordings to ask for (0)"
    )
    parser.add_argument("--no-tasks", action="store_true", help="do not recognise tasks by the pixels")
    parser.add_argument("--sets", action="store_true", help="first ask what the pictures of each matched set share")
    parser.add_argument("--split", choices=("train", "validation"), help="label these alone")
    parser.add_argument("--limit", type=bounded_int(1), default=0, metavar="N", help="at most so many pairs")
    parser.add_argument(
        "--again",
        action="store_true",
        help="ask anew, also about pairs that were proposed, left or rejected; accepted ones stay",
    )
    parser.add_argument(
        "--identical",
        type=bounded_int(0),
        default=5,
        metavar="N",
        help="pairs that are also shown without a change (5)",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be asked, and ask nobody")


def _run(args: argparse.Namespace) -> int:
    from .journal import LabelJournal
    from .labeller import Labeller
    from .labelling import choose_pairs, label_dataset
    from .settings import LabelSettings

    dataset = _open(args.dataset)
    settings = LabelSettings(
        languages=tuple(args.languages),
        forms=tuple(args.forms),
        rewrites=args.rewrites,
        tasks=not args.no_tasks,
        split=args.split,
        limit=args.limit,
        again=args.again,
        sets=args.sets,
        identical=args.identical,
    )
    if args.dry_run:
        return _dry_run(args, dataset, settings)
    backend, judge = _backends(args, dataset)
    if backend is not None:
        where = backend.address
        note(
            args,
            f"{backend.model}: " + (f"pictures are sent to {where}" if where else "no picture leaves this machine"),
        )
    labeller = Labeller(backend, settings, judge=judge)
    todo, _known = choose_pairs(dataset, LabelJournal(dataset.folder), labeller, settings)
    note(args, f"{len(todo)} pairs to label")
    shared = _shared(args, dataset, backend, [row.id for row in todo])
    with pair_bar(args, "labelled", _numbers) as progress:
        result = label_dataset(dataset, labeller, settings, shared=shared, progress=progress)
    return _say_result(args, labeller.model, result)


def _numbers(result: LabellingResult) -> dict[str, int]:
    return {"left": result.left, "tokens": result.usage.completion_tokens}


def _say_result(args: argparse.Namespace, model: str, result: LabellingResult) -> int:
    reasons = "".join(f"\n  {count} {reason}" for reason, count in sorted(result.unlabelled.items()))
    text = (
        f"{result.proposed} pairs have texts, {result.left} were left without, {result.known} were known, "
        f"{len(result.failed)} failed; {result.repeated} questions asked twice; {result.usage.prompt_tokens} tokens read "
        f"and {result.usage.completion_tokens} written in {result.seconds:.0f} s{reasons}"
    )
    if result.decided:
        text += f"\n{result.decided} pairs were decided on meanwhile and not asked about"
    if 2 * result.invented > result.shown_twice:
        text += (
            f"\nOf {result.shown_twice} pictures shown twice the model saw {result.invented} differ: it invents. "
            "Take another one"
        )
    for pair, reason in result.failed.items():
        note(args, f"{pair}: {reason}")
    value = {
        "ok": not result.failed,
        "model": model,
        "proposed": result.proposed,
        "unlabelled": result.unlabelled,
        "known": result.known,
        "decided": result.decided,
        "failed": result.failed,
        "invented": result.invented,
        "shown_twice": result.shown_twice,
        "repeated": result.repeated,
        "prompt_tokens": result.usage.prompt_tokens,
        "completion_tokens": result.usage.completion_tokens,
        "seconds": result.seconds,
    }
    return say(args, value, text) or int(bool(result.failed))


def _dry_run(args: argparse.Namespace, dataset: Dataset, settings: LabelSettings) -> int:
    """How much there would be to ask: nobody is."""
    from .analysis.recognise import recognise
    from .journal import LabelJournal
    from .labeller import Labeller
    from .labelling import choose_pairs
    from .sets import questions_about, sets_of
    from .settings import shown_pair

    labeller = Labeller(None, settings)
    journal = LabelJournal(dataset.folder)
    # No server is asked for the name of its only model: it is taken to be the one that labelled pairs before.
    labelled_by = (state.label.model for _, state in journal.items() if state.label is not None and state.label.model)
    labeller.model, labeller.judged_by = args.model or next(labelled_by, ""), args.judge_model
    todo, known = choose_pairs(dataset, journal, labeller, settings)
    tasks: dict[str, int] = {}
    captioned = 0
    for row in todo if settings.tasks else ():
        task = recognise(shown_pair(dataset, row))
        if task is not None:
            tasks[task.id] = tasks.get(task.id, 0) + 1
            captioned += task.captioned
    natural = len(todo) - sum(tasks.values())
    sets = sets_of(dataset.rows(settings.split), [row.id for row in todo]) if settings.sets else {}
    # A rewrite that is not true is found by asking about each of them; a caption is asked for, and whether it is true.
    least = natural * (2 + 2 * len(settings.languages) + settings.rewrites) + questions_about(sets)
    checked = 0 if not settings.rewrites else 1 + settings.rewrites * (settings.rewrites > 1)
    most = least + natural * (1 + checked) + min(settings.identical, natural) + 2 * captioned
    told = "".join(f"\n  {count} {task}" for task, count in sorted(tasks.items()))
    text = (
        f"{len(todo)} pairs to label, {known} known. {sum(tasks.values())} are told from the pixels:{told or ' none'}\n"
        f"{natural} need a model: {least} to {most} questions, twice as many at worst"
    )
    value = {"ok": True, "pairs": len(todo), "known": known, "tasks": tasks, "least": least, "most": most}
    return say(args, value, text)


def _backends(args: argparse.Namespace, dataset: Dataset) -> tuple[Backend | None, Backend | None]:
    """The model that writes, and the one that is asked whether it is true, if that is another."""
    from ..vision_language.recorded import RecordedAnswers
    from .opening import open_labeller_backend

    if args.recorded:
        if not args.model:
            raise DatasetError("recorded answers are those of one model: name it with --model")
        models = (args.model, args.judge_model)
        backend, judge = (RecordedAnswers(args.recorded, model=name) if name else None for name in models)
        return backend, judge
    if not args.server:
        if args.judge_model:
            raise DatasetError("a judge answers on a server: name it with --server")
        return None, None
    values = server_settings(args)
    values["again"] = args.again
    backend = open_labeller_backend(dataset, args.server, args.model, **values)
    judge = open_labeller_backend(dataset, args.server, args.judge_model, **values) if args.judge_model else None
    return backend, judge


def _shared(
    args: argparse.Namespace, dataset: Dataset, backend: Backend | None, ids: list[str]
) -> dict[str, tuple[str, ...]]:
    """What the sets of the pairs that are to be labelled share."""
    from .sets import sets_of, shared_by_set

    if not args.sets or backend is None:
        return {}
    sets = sets_of(dataset.rows(args.split), ids)
    note(args, f"{len(sets)} sets")
    return shared_by_set(dataset, backend, sets, fail=lambda name, error: note(args, f"set {name}: {error}"))


def _write(args: argparse.Namespace) -> int:
    from .applying import apply_labels, plan, undo
    from .journal import LabelJournal

    dataset = _open(args.dataset)
    journal = LabelJournal(dataset.folder)
    if args.undo:
        result = undo(dataset, journal)
        said = f"{result.changed} pairs have their earlier words again{_left(result.left)}"
        value = {"changed": result.changed, "failed": result.failed, "left": result.left}
        return _say_written(args, value, said)
    planned = plan(dataset, journal, args.language)
    wanted = [one for one in planned if not one.left(args.overwrite)]
    left = {one.row.id: reason for one in planned if (reason := one.left(args.overwrite))}
    lines = first_lines([_change(one) for one in wanted], _SHOWN)
    value = {"pairs": len(wanted), "changed": 0, "failed": {}, "left": left}
    if not args.apply:
        said = f"{len(wanted)} pairs{_left(left)}. Nothing was changed; add --apply."
        return _say_written(args, value, "\n".join([*lines, said]))
    result = apply_labels(dataset, journal, planned, overwrite=args.overwrite)
    value |= {"changed": result.changed, "failed": result.failed, "left": result.left}
    said = f"{result.changed} pairs have new words{_left(result.left)}; --undo goes back."
    return _say_written(args, value, said)


def _change(one: Planned) -> str:
    """A pair's words, and those that take their place."""
    new = [one.words.instruction, *one.words.phrasings]
    return "\n".join([one.row.id, f"  - {one.row.instruction}", *(f"  + {text}" for text in new)])


def _left(left: dict[str, str]) -> str:
    """How many pairs keep their words, and which."""
    if not left:
        return ""
    named = first_lines([f"{pair}: {reason}" for pair, reason in left.items()], _SHOWN)
    return "\n  ".join([f", {len(left)} keep theirs:", *named]) + "\n"


def _say_written(args: argparse.Namespace, value: dict, text: str) -> int:
    for pair, reason in value["failed"].items():
        note(args, f"{pair}: {reason}")
    return say(args, {"ok": not value["failed"], **value}, text) or int(bool(value["failed"]))


def _report(args: argparse.Namespace) -> int:
    from .report import describe, summarise

    dataset = _open(args.dataset)
    found = summarise(dataset)
    return say(args, {"ok": True, **found}, describe(found))


def _chains(args: argparse.Namespace) -> int:
    from .chains import chain_of, find_chains, write_chains

    dataset = _open(args.dataset)
    chains = [chain_of(dataset, args.pairs)] if args.pairs else find_chains(dataset)
    changed = write_chains(dataset, chains, captions=args.captions) if args.apply else 0
    lines = [" -> ".join(chain.ids) for chain in chains]
    said = f"{changed} rows changed" if args.apply else "Nothing was changed; add --apply."
    value = {"ok": True, "chains": [list(chain.ids) for chain in chains], "changed": changed}
    return say(args, value, "\n".join([*lines, f"{len(chains)} chains. {said}"]))


def _export(args: argparse.Namespace) -> int:
    from .exports import export_labels

    dataset = _open(args.dataset)
    done = export_labels(
        dataset,
        args.output,
        args.format,
        split=args.split,
        by_person=args.by_person,
        every_phrasing=args.every_phrasing,
    )
    value = {"ok": True, "folder": str(done.folder), "examples": done.examples, "pairs": done.pairs}
    return say(
        args, value, f"{done.examples} examples of {done.pairs} pairs in {done.folder}, {done.left_out} pairs left out"
    )


def _open(folder: Path) -> Dataset:
    from ..dataset.store import Dataset

    return Dataset(folder)
