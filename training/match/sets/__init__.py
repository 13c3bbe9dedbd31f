"""From linked pictures to sets in which everybody was compared, and their pairs.

graphs    which pictures of a linked group pass with which
stars     sets around one picture each, so that a chain of look-alikes is not one set
looks     what the second turn compares, in bounded memory
refine    a linked group, through the second turn, to sets and tested pairs
"""

__all__ = ["graphs", "looks", "refine", "stars"]
