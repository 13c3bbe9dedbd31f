"""``comfyui-ace label`` (see ``training/label/command.py``)."""

from __future__ import annotations

from ..training.label.command import add_parser as add_parsers

__all__ = ["add_parsers"]
