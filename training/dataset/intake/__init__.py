"""What a pair must pass before it is stored.

prepare      ``Pair``, and one brought to the form in which it is stored
checks       no-ops, geometry, duplicates, near-duplicates
rejections   what was rejected, and why
black_masks  those of tools that have one where there is none
values       numbers and scores of a pair (private to the room)
"""

__all__ = ["black_masks", "checks", "prepare", "rejections"]
