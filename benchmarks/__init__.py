"""Measurements of speed and memory, as ratios within one run: ``comfyui-ace benchmark``.

Results with a description of the machine are in RESULTS.md.
"""

__all__ = ["suite", "workload"]
