"""``comfyui-ace dataset check | repair | report | split | import | export DATASET …``

Exit codes: 0 all well, 1 faults or failures that are explained, 2 bad usage.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..arguments import add_mask_from, bounded_float, text_encoding
from ..errors import DatasetError
from ..listing import first_lines
from .formats import EXPORTS, IMPORTS, Format

if TYPE_CHECKING:
    from .intake.checks import CheckSettings
    from .store import Dataset

_SHOWN = 50  # faults listed on a terminal before "and N more"; --json lists all


# Subcommands from other rooms: a line of help, what adds their arguments, and what runs them on the opened dataset.
Subcommand = tuple[str, Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace, "Dataset"], int]]


def add_parser(
    subparsers: argparse._SubParsersAction, more: Mapping[str, Subcommand] = MappingProxyType({})
) -> argparse.ArgumentParser:
    """Adds the command ``dataset`` with its subcommands.

    Args:
        subparsers: where it is added.
        more: subcommands of other rooms by name.

    Returns:
        Its parser; parsed arguments get ``run``, a function that takes them and returns the exit code.
    """
    parser = subparsers.add_parser("dataset", help="check, repair, look at, divide, import and export training pairs")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, work: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.formatter_class = argparse.RawDescriptionHelpFormatter
        sub.add_argument("dataset", metavar="DATASET", help="the dataset's folder, or with --root its name")
        sub.add_argument("--root", metavar="FOLDER", help="the folder of datasets in which DATASET is a name")
        sub.add_argument("--json", action="store_true", help="print one JSON object and no progress")
        sub.set_defaults(run=main, work=work)
        return sub

    check = command("check", _check, "check every file, row, pairing and geometry; exit 1 on any fault")
    check.add_argument("--strict", action="store_true", help="run the quality checks on every kept pair too")
    _add_checks(check)
    repair = command("repair", _repair, "repair a dataset; what cannot stay is moved to its folder orphans/")
    repair.add_argument("--dry-run", action="store_true", help="say what would be done")
    repair.add_argument("--accept-changes", action="store_true", help="keep pictures and captions edited on purpose")
    repair.add_argument(
        "--stale-minutes", type=bounded_float(0), default=60.0, metavar="N", help="age of temporary files to move (60)"
    )
    report = command("report", _report, "write pages that show the pairs side by side, for any browser, offline")
    report.add_argument("--output", metavar="FOLDER", help="a new folder (default: report inside the dataset)")
    split = command("split", _split, "divide the pairs into train and validation, by source")
    split.add_argument(
        "--validation", type=bounded_float(0, 1), required=True, metavar="FRACTION", help="share held out, 0 to 1"
    )
    split.add_argument("--seed", type=int, default=0, help="which sources (0)")
    _add_import(command("import", _import, "bring in pairs that other tools wrote; makes the dataset if it is new"))
    _add_export(command("export", _export, "write the pairs as another trainer reads them, with its configuration"))
    for name, (text, add_arguments, work) in more.items():
        add_arguments(command(name, lambda args, work=work: work(args, _open(args)), text))
    return parser


def main(args: argparse.Namespace) -> int:
    """Runs one subcommand and returns the exit code; failures are explained on the error stream (and in the JSON)."""
    try:
        return args.work(args)
    except DatasetError as error:
        if args.json:
            _print_json({"ok": False, "error": str(error)})
        print(f"comfyui-ace dataset: {error}", file=sys.stderr)
        return 1


def _add_checks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--check",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a quality check, for example no_op=false or size_tolerance=0.1 (repeatable)",
    )


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _format_list(IMPORTS)
    parser.add_argument("source", metavar="SOURCE", help="the folder or file to import")
    parser.add_argument("--format", required=True, choices=IMPORTS, metavar="FORMAT", help="see below")
    parser.add_argument("--instruction", default="", help="for pairs that come without one")
    parser.add_argument("--source", dest="source_name", metavar="NAME", help="folder or column of the sources")
    parser.add_argument("--target", metavar="NAME", help="folder or column of the results")
    parser.add_argument("--mask", metavar="NAME", help="folder or column of the sources' masks")
    parser.add_argument(
        "--reference", action="append", default=[], metavar="NAME", help="of further images (repeatable)"
    )
    parser.add_argument("--tag", action="append", default=[], help="for every imported pair (repeatable)")
    parser.add_argument(
        "--alpha", choices=("white", "black", "drop", "error"), default="white", help="behind transparency (white)"
    )
    add_mask_from(parser)
    parser.add_argument("--subfolders", action="store_true", help="pictures in subfolders count, too")
    parser.add_argument(
        "--encoding",
        type=text_encoding,
        metavar="NAME",
        help="what captions and tables are in that are not UTF-8, for example cp1252 or gb18030 (default: they are "
        "refused by name)",
    )
    parser.add_argument("--no-checks", action="store_true", help="keep pairs whatever the quality checks say")
    _add_checks(parser)


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _format_list(EXPORTS)
    parser.add_argument("output", metavar="OUTPUT", help="a new folder")
    parser.add_argument("--format", required=True, choices=EXPORTS, metavar="FORMAT", help="see below")
    parser.add_argument("--split", choices=("train", "validation"), help="export this one alone")
    parser.add_argument("--resolution", type=int, default=1024, metavar="PIXELS", help="for the configuration (1024)")
    parser.add_argument("--link", action="store_true", help="hard links instead of copies where possible")
    parser.add_argument("--loss-masks", action="store_true", help="masks weight the loss, where the trainer can")
    parser.add_argument("--shard-pairs", type=int, default=250, metavar="N", help="pairs a shard or parquet file (250)")


def _format_list(formats: dict[str, Format]) -> str:
    return "formats:\n" + "\n".join(f"  {name:16} {entry.summary}" for name, entry in formats.items())


def _check(args: argparse.Namespace) -> int:
    from .upkeep.verify import verify

    if args.check and not args.strict:
        raise DatasetError("--check sets the checks that --strict runs: give --strict too.")
    with _progress(args, "checked") as progress:
        result = verify(_folder(args), strict=_checks(args) if args.strict else None, progress=progress)
    if args.json:
        faults = [{"kind": fault.kind, "place": fault.place, "message": fault.message} for fault in result.faults]
        _print_json({"ok": result.ok, "pairs": result.pairs, "faults": faults, "notes": result.notes})
        return 0 if result.ok else 1
    _print_lines([str(fault) for fault in result.faults])
    for note in result.notes:
        print(f"note: {note}")
    print(f"{result.pairs} pairs, {len(result.faults) or 'no'} fault(s)")
    return 0 if result.ok else 1


def _repair(args: argparse.Namespace) -> int:
    from .upkeep.repair import repair

    with _progress(args, "looked at") as progress:
        result = repair(
            _folder(args),
            accept_changes=args.accept_changes,
            dry_run=args.dry_run,
            stale_seconds=args.stale_minutes * 60,
            progress=progress,
        )
    if args.json:
        summary = {"kept": result.kept, "set_aside": result.set_aside, "actions": result.actions}
        _print_json({"ok": True, "dry_run": args.dry_run, **summary})
        return 0
    _print_lines(result.actions)
    would = "would be " if args.dry_run else ""
    print(f"{result.kept} pairs {would}kept, {result.set_aside} {would}set aside")
    return 0


def _report(args: argparse.Namespace) -> int:
    from .upkeep.report import write_report

    with _progress(args, "drawn") as progress:
        page = write_report(_open(args), args.output, progress=progress)
    _print_json({"ok": True, "page": str(page)}) if args.json else print(page)
    return 0


def _split(args: argparse.Namespace) -> int:
    counts = _open(args).split(args.validation, args.seed)
    if args.json:
        _print_json({"ok": True, "train": counts.train, "validation": counts.validation})
    else:
        print(f"{counts.train} pairs to train, {counts.validation} to validate")
    return 0


def _import(args: argparse.Namespace) -> int:
    from .disk.names import resolve_dataset
    from .importers import ImportOptions, import_pairs
    from .store import Dataset

    folder = Path(args.root or Path(args.dataset).absolute().parent)
    name = args.dataset if args.root else Path(args.dataset).absolute().name
    checks = _no_checks() if args.no_checks else _checks(args)

    @functools.cache
    def dataset() -> Dataset:
        return Dataset.open_or_create(folder, name, checks=checks, alpha=args.alpha)

    if resolve_dataset(folder, name).exists():
        dataset()  # which says at once what is wrong with it
    options = ImportOptions(
        instruction=args.instruction,
        source=args.source_name,
        target=args.target,
        mask=args.mask,
        references=tuple(args.reference),
        tags=tuple(args.tag),
        alpha=args.alpha,
        mask_from=args.mask_from,
        encoding=args.encoding,
        subfolders=args.subfolders,
    )
    with _progress(args, "imported") as progress:
        result = import_pairs(dataset, args.source, args.format, options=options, progress=progress)
    code = 1 if result.failed or not (result.stored or result.duplicates) else 0
    if args.json:
        failed = [{"item": label, "reason": reason} for label, reason in result.failed]
        numbers = {"stored": result.stored, "duplicates": result.duplicates, "rejected": result.rejected}
        _print_json({"ok": not code, **numbers, "failed": failed, "notes": result.notes})
        return code
    _print_lines([f"{label}: {reason}" for label, reason in result.failed])
    for note in result.notes:
        print(f"note: {note}")
    by_check = ", ".join(f"{check} {count}" for check, count in result.by_check.items())
    print(
        f"{result.stored} stored, {result.duplicates} there already, {result.rejected} rejected"
        f"{f' ({by_check}; reasons in rejected.jsonl)' if result.rejected else ''}, {len(result.failed)} failed"
    )
    if code and not result.failed:
        print(
            f"comfyui-ace dataset: nothing was imported, because every pair was rejected; the first: {result.rejection}. "
            "See rejected.jsonl in the dataset; --check NAME=VALUE changes a check, --no-checks leaves them out",
            file=sys.stderr,
        )
    return code


def _export(args: argparse.Namespace) -> int:
    from .exporters import ExportOptions, export_dataset

    options = ExportOptions(args.resolution, args.link, args.loss_masks, args.shard_pairs)
    result = export_dataset(_open(args), args.output, args.format, split=args.split, options=options)
    configs = [str(path) for path in result.configs]
    if args.json:
        notes = list(result.explanation)
        numbers = {"pairs": result.pairs, "skipped": result.skipped}
        _print_json({"ok": True, "folder": str(result.folder), "configs": configs, **numbers, "notes": notes})
        return 0
    print(f"{result.pairs} pairs in {result.folder}")
    for reason, count in result.skipped.items():
        print(f"left out: {count} with {reason}")
    for line in [*(f"configuration: {path}" for path in configs), *result.explanation]:
        print(line)
    return 0


def _folder(args: argparse.Namespace) -> Path:
    from .disk.names import resolve_dataset

    return resolve_dataset(args.root, args.dataset) if args.root else Path(args.dataset)


def _open(args: argparse.Namespace) -> Dataset:
    from .store import Dataset

    return Dataset(_folder(args))


def _checks(args: argparse.Namespace) -> CheckSettings:
    from ..errors import CheckError
    from .intake.checks import parse_checks

    try:
        return parse_checks(args.check)
    except CheckError as error:
        raise CheckError(f"--check: {error}") from None


def _no_checks() -> CheckSettings:
    from .intake.checks import CheckSettings

    switches = {name: False for name, entry in CheckSettings.model_fields.items() if entry.annotation is bool}
    return CheckSettings(**switches)


@contextlib.contextmanager
def _progress(args: argparse.Namespace, word: str) -> Iterator[Callable[..., None] | None]:
    """A bar on a terminal, nothing elsewhere. The callback takes (done) or (done, total)."""
    if args.json or not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(unit=" pairs", desc=word, leave=False) as bar:

        def show(done: int, total: int | None = None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


def _print_lines(lines: list[str]) -> None:
    for line in first_lines(lines, _SHOWN, "--json lists all"):
        print(line)


def _print_json(value: object) -> None:
    print(json.dumps(value))  # in ASCII, which every pipe takes
