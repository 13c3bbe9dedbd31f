"""What a pair must pass before it is stored.

prepare      ``Pair``, and one brought to the form in which it is stored
checks       no-ops, geometry, duplicates, near-duplicates
rejections   what was rejected, and why
"""

__all__ = ["checks", "prepare", "rejections"]
