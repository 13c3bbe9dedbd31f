"""What is shown of a run.

validation   loss on held-out pairs
samples      pictures on held-out pairs beside the teacher's
plot         a picture of the losses
"""

__all__ = ["plot", "samples", "validation"]
