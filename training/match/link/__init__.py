"""Which pictures belong together: pairs whose similarity lies in a window, and the sets that they link.

relation     the one test that decides, the same wherever and in whatever order it is made
links        all pairs of a cluster, reduced to what links its sets
components   union-find on one machine, and rounds of label propagation for many
"""

__all__ = ["components", "links", "relation"]
