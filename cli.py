"""The ``comfyui-ace`` command.

Exit codes: 0 success, 1 a failure that is explained on the error stream, 2 bad usage.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys

# Each module has add_parsers(subparsers), which gives every parser a `run` default: (arguments) -> exit code.
_COMMANDS = ("edit", "demo", "models", "benchmark", "capture", "dataset", "train", "evaluate", "distil")


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="comfyui-ace",
        description="Create and edit images from instructions with ACE, and distil workflows into one small model.",
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in _COMMANDS:
        importlib.import_module(f".commands.{name}", __package__).add_parsers(subparsers)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    given = build_parser().parse_args(arguments)
    try:
        return given.run(given)
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        # Failures we foresee carry a message for people; for the others a developer can ask for the traceback.
        if os.environ.get("ACE_DEBUG"):
            raise
        print(f"comfyui-ace: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("comfyui-ace: cancelled", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
