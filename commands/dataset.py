"""``comfyui-ace dataset``: see ``training/dataset_cli.py``."""

from ..training.dataset_cli import add_parser as add_parsers

__all__ = ["add_parsers"]
