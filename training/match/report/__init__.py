"""What was found, to look at: numbers, sets with their pictures, and striking out what is wrong.

statistics   numbers in words
page         the pages
choices      what was struck out, from a page or the command line
"""

__all__ = ["choices", "page", "statistics"]
