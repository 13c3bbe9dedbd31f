"""What runs.

loop             the steps
early_stopping   when the scores of the pictures have stopped rising, and the best weights
state            checkpoints of a run, and going on from them exactly
processes        several processes that stop together
run_lock         one run at a time in a folder
"""

__all__ = ["early_stopping", "loop", "processes", "run_lock", "state"]
