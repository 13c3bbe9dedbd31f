"""``comfyui-ace judge`` (see ``training/judge/command.py``), and the judge as the commands evaluate and distil name it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ..training.judge.command import add_parser as add_parsers

if TYPE_CHECKING:
    from ..training.judge.judges import Judge

__all__ = ["add_judge_arguments", "add_parsers", "choose_judge"]


def add_judge_arguments(parser: argparse.ArgumentParser, marked: str) -> None:
    """Adds --judge-server and --judge-model.

    Args:
        parser: of the command.
        marked: what the judge marks, in words.
    """
    parser.add_argument(
        "--judge-server",
        default="",
        metavar="ADDRESS",
        help=f"of a server with a model that sees pictures: it marks {marked}, and the pictures of the evaluated pairs are "
        "sent there (a key is read from ACE_JUDGE_KEY)",
    )
    parser.add_argument("--judge-model", default="", metavar="NAME", help="as that server names it")


def choose_judge(arguments: argparse.Namespace) -> Judge | None:
    """The judge on the command line, which has proved that it sees, or None."""
    if not arguments.judge_server:
        return None
    from ..training.judge.opening import open_judge, where_pictures_go

    judge = open_judge(arguments.judge_server, arguments.judge_model, arguments.output / "answers.jsonl")
    print(where_pictures_go(judge), file=sys.stderr)
    return judge
