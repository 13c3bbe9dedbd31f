"""From tested pairs to training examples in a dataset.

examples   which pairs of a set become examples, and in which direction
walks      walks through a set, each step a tested pair: chains and rounds of a history
pictures   pictures brought to one shape and a bounded size
writing    examples into a dataset
"""

__all__ = ["examples", "writing"]
