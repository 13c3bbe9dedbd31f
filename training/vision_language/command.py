"""What the commands that ask a model about a dataset's pairs have in common: options, progress, messages."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..arguments import bounded_float, bounded_int

KEY_HELP = "A key, where a server wants one, is read from the environment variable ACE_JUDGE_KEY."
AddCommand = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def dataset_commands(parser: argparse.ArgumentParser) -> AddCommand:
    """What adds a subcommand on one dataset: its name, the function that runs it and returns the code, and its help."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.add_argument("dataset", metavar="DATASET", type=Path, help="the dataset's folder")
        sub.add_argument("--json", action="store_true", help="print one JSON object and no progress")
        sub.set_defaults(run=run)
        return sub

    return add


def add_server_arguments(parser: argparse.ArgumentParser, without: str = "") -> None:
    """Adds which model is asked, and how.

    Args:
        parser: of the command.
        without: what happens without a server, a sentence.
    """
    otherwise = f". {without}" if without else ""
    parser.add_argument(
        "--server",
        metavar="ADDRESS",
        help="of a server with a model that sees pictures, such as http://localhost:11434 (Ollama) or "
        f"http://localhost:1234/v1 (LM Studio); the pairs' pictures are sent there and nowhere else{otherwise}",
    )
    parser.add_argument(
        "--model", default="", metavar="NAME", help="as the server names it; may be left out if it has one"
    )
    parser.add_argument(
        "--api", choices=("auto", "openai", "ollama"), default="auto", help="how the server is spoken to"
    )
    parser.add_argument("--recorded", type=Path, metavar="FILE", help="take recorded answers alone, and ask nobody")
    parser.add_argument("--parallel", type=bounded_int(1), metavar="N", help="pairs at once (4, and 1 with Ollama)")
    parser.add_argument("--timeout", type=bounded_float(1), default=600.0, metavar="S", help="for one answer (600)")
    parser.add_argument("--no-probe", action="store_true", help="do not show the two swatches first")


def server_settings(args: argparse.Namespace) -> dict[str, Any]:
    """These options as arguments of ``servers.open_recording``."""
    return {"kind": args.api, "parallel": args.parallel, "timeout": args.timeout, "check": not args.no_probe}


@contextlib.contextmanager
def pair_bar(
    args: argparse.Namespace, word: str, numbers: Callable[[Any], Mapping[str, int]]
) -> Iterator[Callable[[int, int, Any], None]]:
    """A bar on a terminal, nothing elsewhere.

    Args:
        args: with ``json``, which wants none.
        word: what is done to a pair.
        numbers: shown behind it, of the result so far.
    """
    from tqdm import tqdm

    with tqdm(unit=" pairs", desc=word, disable=args.json or not sys.stderr.isatty(), leave=False) as bar:

        def show(done: int, total: int, result: Any) -> None:
            bar.total = total
            bar.set_postfix(numbers(result), refresh=False)
            bar.update(done - bar.n)

        yield show


def note(args: argparse.Namespace, text: str) -> None:
    """Tells people something on the way."""
    if not args.json:
        print(text, file=sys.stderr)


def say(args: argparse.Namespace, value: dict, text: str) -> int:
    """Prints the end for a program or for people; returns 0."""
    print(json.dumps(value, ensure_ascii=False) if args.json else text)
    return 0
