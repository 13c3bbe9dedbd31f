"""The ``comfyui-ace`` command.

Exit codes: 0 success, 1 a failure that is explained on the error stream, 2 bad usage.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import logging
import os
import sys

from .commands.output import allow_any_text, explain
from .commands.version import VersionAction

# Each module has add_parsers(subparsers), which gives every parser a `run` default: (arguments) -> exit code.
_COMMANDS = (
    "edit",
    "demo",
    "models",
    "benchmark",
    "capture",
    "match",
    "dataset",
    "judge",
    "label",
    "train",
    "evaluate",
    "distil",
)


_WINDOWS = os.name == "nt"


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="comfyui-ace",
        description="Create and edit images from instructions with ACE, and distil workflows into one small model.",
    )
    parser.add_argument("--version", action=VersionAction)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in _COMMANDS:
        importlib.import_module(f".commands.{name}", __package__).add_parsers(subparsers)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    for stream in (sys.stdout, sys.stderr):
        allow_any_text(stream)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    given = build_parser().parse_args(arguments)
    try:
        return given.run(given)
    except (ValueError, TypeError, OSError, RuntimeError, MemoryError) as error:
        if _is_broken_pipe(error):
            return _reader_is_gone()
        # Failures we foresee carry a message for people; for the others a developer can ask for the traceback.
        if os.environ.get("ACE_DEBUG"):
            raise
        print(f"comfyui-ace: {explain(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("comfyui-ace: cancelled", file=sys.stderr)
        return 1


def _is_broken_pipe(error: Exception) -> bool:
    """Whether nobody reads the output any more. Windows calls that an invalid argument, of no file."""
    if isinstance(error, BrokenPipeError):
        return True
    return _WINDOWS and isinstance(error, OSError) and error.errno == errno.EINVAL and error.filename is None


def _reader_is_gone() -> int:
    """Ends a command whose output nobody reads any more, as after ``| head``; what is left goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


if __name__ == "__main__":
    sys.exit(main())
