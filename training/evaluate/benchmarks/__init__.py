"""Benchmarks of others on data that the user has: read, run, measured, and set beside the papers' numbers.

sessions    what a benchmark asks: sessions of one or several turns
readers     from a folder to sessions, by the benchmark's name
generation  the model's results: resumable, in shards, on several devices
scoring     results -> numbers
published   what the papers say
page        the table
command     the options of `comfyui-ace evaluate --benchmark`, and what they do
magicbrush, emu, icebench, omniedit, folder: readers (private to the room)
"""

__all__ = ["command", "generation", "page", "published", "readers", "scoring", "sessions"]
