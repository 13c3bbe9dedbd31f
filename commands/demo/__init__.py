"""``comfyui-ace demo``: the whole loop on what comes with the pack.

command   what it does
pairs     its teacher, and the photographs that the teacher is shown
"""

from .command import add_parsers

__all__ = ["add_parsers", "pairs"]
