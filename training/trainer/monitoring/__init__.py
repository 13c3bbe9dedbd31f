"""What is shown of a run.

validation   loss on held-out pairs
by_dataset   how each of several datasets was learnt
samples      pictures on held-out pairs beside the teacher's
plot         a picture of the losses
"""

__all__ = ["by_dataset", "plot", "samples", "validation"]
