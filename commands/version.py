"""``comfyui-ace --version``: what a report of a fault should say."""

from __future__ import annotations

import argparse
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"  # in a checkout and in ComfyUI's custom_nodes
_SHOWN = ("torch", "transformers", "diffusers", "accelerate", "peft")


def pack_version() -> str:
    """The version of this very code: as its project file says, else, where pip has put it, as pip noted."""
    try:
        return re.search(r'^version = "(.+)"$', _PROJECT.read_text(encoding="utf-8"), re.MULTILINE)[1]
    except FileNotFoundError:
        return version("ace-edit")


def describe_versions() -> str:
    """The pack, Python, the system, and the packages that matter, without importing them."""
    lines = [f"ACE Edit {pack_version()}", f"Python {platform.python_version()} on {platform.platform()}"]
    for name in _SHOWN:
        try:
            lines.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            lines.append(f"{name} is not installed")
    return "\n".join(lines)


class VersionAction(argparse.Action):
    """Prints the versions and ends the program; nothing is looked up before that."""

    def __init__(self, option_strings: list[str], dest: str, **_settings: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help="show the versions that a report should name")

    def __call__(self, parser: argparse.ArgumentParser, *_given: Any) -> None:
        print(describe_versions())
        parser.exit()
