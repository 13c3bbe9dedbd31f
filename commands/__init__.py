"""The subcommands of ``comfyui-ace``: each module adds its parsers and the functions behind them.

output    what a console can show, and errors in words
version   what ``comfyui-ace --version`` says
"""

__all__ = ["output", "version"]
