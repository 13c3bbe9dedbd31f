"""`comfyui-ace judge score | report | compare | export DATASET …` and `comfyui-ace dataset weigh DATASET …`

Exit codes: 0 all well, 1 failures that are explained (a judge that should not decide, among them), 2 bad usage.
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from ..arguments import bounded_float, bounded_int
from ..errors import DatasetError
from ..vision_language.command import (
    KEY_HELP,
    add_server_arguments,
    dataset_commands,
    note,
    pair_bar,
    say,
    server_settings,
)

if TYPE_CHECKING:
    from ..dataset.store import Dataset
    from .judges import Judge
    from .scoring import ScoringResult


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command `judge` with its subcommands; parsed arguments get `run`, a function that returns the code."""
    parser = subparsers.add_parser(
        "judge", help="score pairs by a model that sees pictures, and check whether that model is a good judge"
    )
    command = dataset_commands(parser)
    score = command("score", _score, "give scores to pairs that have none yet; goes on where it was stopped")
    score.epilog = KEY_HELP
    add_server_arguments(score)
    score.add_argument("--editscore", metavar="FOLDER", help="EditScore's model on this machine instead of a server")
    score.add_argument("--editscore-lora", metavar="FOLDER", help="its LoRA, if that is not merged in")
    score.add_argument("--passes", type=bounded_int(1), default=1, metavar="N", help="looks at each pair, averaged (1)")
    _add_scope(score)
    report = command("report", _report, "say whether a judge is any good, and write a page with its reasons")
    report.add_argument(
        "--judge", metavar="NAME", help='whose scores; "pixels" needs no model (default: the only judge)'
    )
    report.add_argument("--output", type=Path, metavar="FILE.html", help="(default: judge/NAME.html in the dataset)")
    compare = command("compare", _compare, "choose the better of two pairs, again and again: your own order")
    compare.add_argument(
        "--port", type=bounded_int(0), default=0, help="of the page on this machine (default: a free one)"
    )
    compare.add_argument("--no-browser", action="store_true", help="print the page's address, do not open it")
    compare.add_argument(
        "--choose",
        nargs=3,
        metavar=("FIRST", "SECOND", "BETTER"),
        help="record one choice without the page: two ids, and one of them or -",
    )
    compare.add_argument("--pairs", type=bounded_int(2), default=30, metavar="N", help="how many to rank (%(default)s)")
    export = command("export", _export, "write judged pairs as a fine-tuning set for a smaller judge")
    export.add_argument("output", metavar="OUTPUT", type=Path, help="a new folder")
    export.add_argument("--format", required=True, choices=("llama-factory", "ms-swift"))
    export.add_argument("--judge", metavar="NAME", help="whose scores (default: the only one there is)")
    export.add_argument("--split", choices=("train", "validation"), help="export this one alone")
    return parser


def add_weigh_arguments(sub: argparse.ArgumentParser) -> None:
    """The arguments of `dataset weigh`, whose parser the command `dataset` makes."""
    sub.add_argument("--judge", metavar="NAME", help='whose scores; "pixels" needs no model (default: the only judge)')
    sub.add_argument(
        "--mode",
        choices=("threshold", "top", "rank"),
        default="threshold",
        help="keep what reaches a score, keep the best share of each task, or weigh all by rank (%(default)s)",
    )
    sub.add_argument(
        "--threshold", type=bounded_float(0, 10), default=9.0, metavar="O", help="for threshold (%(default)s)"
    )
    sub.add_argument("--share", type=bounded_float(0, 1), default=0.3, metavar="SHARE", help="for top (%(default)s)")
    sub.add_argument("--power", type=bounded_float(0, 16), default=1.0, metavar="P", help="for rank (%(default)s)")
    sub.add_argument(
        "--gate", type=bounded_float(0, 10), default=0.0, metavar="O", help="leave out what pixels score under this"
    )
    sub.add_argument(
        "--unscored", type=bounded_float(0, 100), default=0.0, metavar="WEIGHT", help="for pairs without a score (0)"
    )
    sub.add_argument("--split", choices=("train", "validation"), help="weigh these alone")
    sub.add_argument("--page", type=Path, metavar="FILE.html", help="the preview (default: judge/weights.html inside)")
    sub.add_argument("--apply", action="store_true", help="change the weights; without it there is a preview alone")
    sub.add_argument("--force", action="store_true", help="apply although the judge's report objects")
    sub.add_argument("--undo", action="store_true", help="bring back the weights from before the last change")


def weigh(args: argparse.Namespace, dataset: Dataset) -> int:
    """Run `dataset weigh`."""
    from . import weights
    from .pages.preview import describe_weighing
    from .weighing import weigh_dataset

    if args.undo:
        changed, _ = weights.undo(dataset)
        return say(args, {"ok": True, "changed": changed}, f"{changed} pairs have their earlier weight again")
    judge = _judge_name(dataset, args.judge, pixels=True)
    settings = weights.WeightSettings(
        judge, args.mode, args.threshold, args.share, args.power, args.gate, args.unscored, args.split
    )
    weighing, page, changed = weigh_dataset(dataset, settings, page=args.page, force=args.force, change=args.apply)
    result = {"judge": judge, "pairs": len(weighing.weights), "kept": len(weighing.kept), "page": str(page)}
    said = (
        f"{changed} weights changed; --undo goes back." if args.apply else "Nothing was changed; add --apply to do so."
    )
    return say(args, {"ok": True, **result, "changed": changed}, f"{describe_weighing(weighing)}\n{page}\n{said}")


def _add_scope(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--name", metavar="NAME", help="under which the scores stand in the rows (default: the model's)"
    )
    parser.add_argument("--split", choices=("train", "validation"), help="judge these alone")
    parser.add_argument("--limit", type=bounded_int(1), default=0, metavar="N", help="at most so many pairs")
    parser.add_argument("--again", action="store_true", help="also pairs whose answer could not be read the last time")
    parser.add_argument(
        "--swaps",
        type=bounded_int(0),
        default=10,
        metavar="N",
        help="pairs that are also shown the wrong way round (10)",
    )
    parser.add_argument(
        "--instruction",
        default="",
        metavar="WORDS",
        help="what the edit is, where the pairs' own words are a mere trigger",
    )


def _score(args: argparse.Namespace) -> int:
    from .opening import where_pictures_go
    from .scoring import ScoringSettings, judge_dataset, measure_pixels

    dataset = _open(args.dataset)
    note(args, f"pixels: {measure_pixels(dataset)} pairs looked at without a model")
    judge = _make_judge(args, dataset)
    if judge is None:
        return _say_pixels(args, dataset)
    note(args, where_pictures_go(judge))
    settings = ScoringSettings(args.split, args.limit, args.again, args.swaps, args.instruction)
    with pair_bar(args, "judged", _numbers) as progress:
        result = judge_dataset(dataset, judge, settings, progress=progress)
    text = (
        f"{judge.name}: {result.scored} scored, {result.unscored} could not be read, {result.known} judged before, "
        f"{len(result.failed)} failed; {result.repeated} questions asked twice; {result.usage.prompt_tokens} tokens read and "
        f"{result.usage.completion_tokens} written in {result.seconds:.0f} s"
    )
    for pair, reason in result.failed.items():
        note(args, f"{pair}: {reason}")
    value = {
        "ok": not result.failed,
        "judge": judge.name,
        "scored": result.scored,
        "unscored": result.unscored,
        "known": result.known,
        "failed": dict(result.failed),
        "repeated": result.repeated,
        "prompt_tokens": result.usage.prompt_tokens,
        "completion_tokens": result.usage.completion_tokens,
        "seconds": result.seconds,
    }
    return say(args, value, text) or int(bool(result.failed))


def _numbers(result: ScoringResult) -> dict[str, int]:
    return {"unread": result.unscored, "tokens": result.usage.completion_tokens}


def _say_pixels(args: argparse.Namespace, dataset: Dataset) -> int:
    """What was found where no model was named."""
    from .pages.preview import describe_report
    from .pixels import JUDGE
    from .weighing import report_with_page

    report, page = report_with_page(dataset, JUDGE)
    note(args, "no server, no EditScore: judged by the pixels alone")
    value = {"ok": True, "judge": JUDGE, "page": str(page), "scored": report.scored, "faults": report.faults}
    return say(args, value, f"{describe_report(report)}\n{page}")


def _make_judge(args: argparse.Namespace, dataset: Dataset) -> Judge | None:
    """The judge that the arguments name; answers of a server are recorded in the dataset's folder as they come."""
    from ..vision_language.recorded import RecordedAnswers
    from .editscore import EditScoreJudge, load_editscore
    from .judges import LanguageModelJudge
    from .opening import open_judge
    from .ranking import FOLDER

    if args.editscore:
        scorer = load_editscore(args.editscore, lora=args.editscore_lora)
        return EditScoreJudge(scorer, passes=args.passes, name=args.name or "editscore")
    if args.recorded:
        if not args.model:
            raise DatasetError("recorded answers are those of one model: name it with --model")
        return LanguageModelJudge(RecordedAnswers(args.recorded, model=args.model), name=args.name, passes=args.passes)
    if not args.server:
        return None
    note(args, f"asking {args.server}")
    return open_judge(
        args.server,
        args.model,
        dataset.folder / FOLDER / "answers.jsonl",
        passes=args.passes,
        name=args.name,
        ask_unread=args.again,
        **server_settings(args),
    )


def _report(args: argparse.Namespace) -> int:
    from .pages.preview import describe_report, report_facts
    from .weighing import report_with_page

    dataset = _open(args.dataset)
    report, page = report_with_page(dataset, _judge_name(dataset, args.judge, pixels=True), args.output)
    facts = "\n".join(f"{key}: {value}" for key, value in report_facts(report).items())
    say(
        args,
        {"ok": report.usable, "page": str(page), **report.as_dict()},
        f"{describe_report(report)}\n{facts}\n{page}",
    )
    return 0 if report.usable else 1


def _compare(args: argparse.Namespace) -> int:
    from .ranking import next_comparison, progress, record_choice

    dataset = _open(args.dataset)
    if not args.choose and not args.json:
        return _compare_in_browser(args, dataset)
    if args.choose:
        first, second, better = args.choose
        record_choice(dataset, first, second, None if better == "-" else better)
    following = next_comparison(dataset, args.pairs)
    made, wanted = progress(dataset, args.pairs)
    if following is None:
        return say(
            args, {"ok": True, "next": None, "made": made}, f"{made} choices: enough. See `comfyui-ace judge report`."
        )
    rows = [dataset.row(pair) for pair in following]
    text = f"{made} of about {wanted} choices made. Which is better?\n" + "\n".join(
        f"  {row.id}: {dataset.folder / row.target_file_name} ({row.prompt})" for row in rows
    )
    hint = f"Answer with --choose {following[0]} {following[1]} and the better id, or - for no difference."
    return say(args, {"ok": True, "next": following, "made": made, "wanted": wanted}, f"{text}\n{hint}")


def _compare_in_browser(args: argparse.Namespace, dataset: Dataset) -> int:
    """Shows the page until all choices are made, or Ctrl+C."""
    import webbrowser

    from .pages.compare import ComparePage
    from .ranking import progress

    page = ComparePage(dataset, args.pairs, args.port)
    print(f"{page.address}\nChoose there; Ctrl+C ends it, and what was chosen is kept.", flush=True)
    if not args.no_browser:
        webbrowser.open(page.address)
    with contextlib.suppress(KeyboardInterrupt):
        page.serve()
    made, wanted = progress(dataset, args.pairs)
    print(f"{made} of about {wanted} choices made. See `comfyui-ace judge report`.")
    return 0


def _export(args: argparse.Namespace) -> int:
    from .exports import export_judgements

    dataset = _open(args.dataset)
    judge = _judge_name(dataset, args.judge)
    done = export_judgements(dataset, judge, args.output, args.format, split=args.split)
    value = {"ok": True, "folder": str(done.folder), "conversations": done.conversations, "pairs": done.pairs}
    left = f", {done.left_out} left out (no marks or no reasons)" if done.left_out else ""
    # Its paths of pictures count from where it is started, or from this variable.
    start = f". Set ROOT_IMAGE_DIR to {done.folder} when you train" if args.format == "ms-swift" else ""
    return say(
        args, value, f"{done.conversations} conversations about {done.pairs} pairs in {done.folder}{left}{start}"
    )


def _judge_name(dataset: Dataset, given: str | None, *, pixels: bool = False) -> str:
    """The judge that is meant: the given one, or the only one there is."""
    from .pixels import JUDGE
    from .scores import judges_of, overall_of

    if given:
        return given
    names = {name for row in dataset.rows() for name in judges_of(row.scores)}
    if not names and pixels and any(overall_of(row.scores, JUDGE) is not None for row in dataset.rows()):
        return JUDGE
    if len(names) != 1:
        found = f"it has scores of {', '.join(sorted(names))}" if names else "no judge has scored it yet"
        raise DatasetError(f"name the judge of {dataset.name!r} with --judge: {found}")
    return names.pop()


def _open(folder: Path) -> Dataset:
    from ..dataset.store import Dataset

    return Dataset(folder)
