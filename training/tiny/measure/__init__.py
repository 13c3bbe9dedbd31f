"""How good ace-tiny is, in numbers and contact sheets.

scores    edits on held-out pictures against what the VAE allows
words     pictures from words, read off by a program
reading   that program
sheets    contact sheets
"""

__all__ = ["scores", "words"]
