"""What is shown of a run.

make         what a configuration asks for
validation   loss on held-out pairs
by_dataset   how each of several datasets was learnt
samples      pictures on held-out pairs beside the teacher's
score        how near the pictures come to the teacher's
plot         a picture of the losses
"""

__all__ = ["by_dataset", "make", "plot", "samples", "score", "validation"]
