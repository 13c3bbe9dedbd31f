"""ACE++ on the user's own FLUX Fill.

task    the widgets that Encode for ACE++ and Preview share
encode  the node that makes conditioning
"""

__all__ = ["encode", "task"]
