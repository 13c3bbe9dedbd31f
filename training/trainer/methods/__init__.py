"""What a forward pass of the training learns: losses by the number of the pass, and nothing else decides them.

make          the method that a configuration asks for
pairs         the results of the pairs; methods that alternate
teacher       the model without its LoRA, with guidance
guidance      to predict without guidance what the teacher predicts with it
consistency   to jump to the end from anywhere on the teacher's way
"""

__all__ = ["make"]
