"""Pages with pictures for a browser.

preview  what a weighing would keep, and how a judge answers
compare  two pairs side by side, to click the better one; served on this machine alone
"""

__all__ = ["compare", "preview"]
