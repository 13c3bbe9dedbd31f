"""``comfyui-ace dataset``: see ``training/dataset/command.py``; ``weigh`` is the judge's."""

from __future__ import annotations

from ..training.dataset.command import add_parser
from ..training.judge.command import add_weigh_arguments, weigh

_WEIGH = "make importance weights out of scores: a preview with pictures first, and a way back"


def add_parsers(subparsers) -> None:
    """Adds `dataset` and its actions."""
    add_parser(subparsers, {"weigh": (_WEIGH, add_weigh_arguments, weigh)})
