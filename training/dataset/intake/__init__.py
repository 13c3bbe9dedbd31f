"""What a pair must pass before it is stored.

prepare      ``Pair``, and one brought to the form in which it is stored
wording      instructions, prompts, phrasings and tags: on one line, with the pictures that they may name
checks       no-ops, geometry, duplicates, near-duplicates
rejections   what was rejected, and why
black_masks  those of tools that have one where there is none
values       numbers and scores of a pair (private to the room)
"""

__all__ = ["black_masks", "checks", "prepare", "rejections", "wording"]
