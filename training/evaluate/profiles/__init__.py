"""Which metrics a benchmark takes, of what against what, and how they are averaged: as the published scripts do.

profile     what a profile is, and how one is applied
registry    the profiles by name
magicbrush  MagicBrush, Emu Edit and InstructPix2Pix (private to the room)
icebench    ICE-Bench
people      faces and letters, as in ACE's appendix E (private)
"""

__all__ = ["icebench", "profile", "registry"]
