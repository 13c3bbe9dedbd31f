"""``comfyui-ace dataset``: see ``training/dataset/command.py``."""

from ..training.dataset.command import add_parser as add_parsers

__all__ = ["add_parsers"]
