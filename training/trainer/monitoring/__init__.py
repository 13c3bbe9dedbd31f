"""What is shown of a run.

make         what a configuration asks for
validation   loss on held-out pairs
samples      pictures on held-out pairs beside the teacher's
score        how near the pictures come to the teacher's
plot         a picture of the losses
"""

__all__ = ["make", "plot", "samples", "score", "validation"]
