"""What runs.

loop        the steps
state       checkpoints of a run, and going on from them exactly
processes   several processes that stop together
run_lock    one run at a time in a folder
"""

__all__ = ["loop", "processes", "run_lock", "state"]
