"""What runs the steps: this machine alone, or Ray on many. Both run the same functions on the same tables.

base       what an engine does: map over tables, and bring together rows of many tables by bucket
local      one process, with readers beside it
ray_data   Ray Data, with actors for what keeps models
"""

__all__ = ["base", "local", "ray_data"]
