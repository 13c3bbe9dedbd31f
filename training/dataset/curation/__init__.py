"""Looking through a dataset and changing it by hand, while others add to it.

catalogue    the pairs in memory: pages, filters, search
history      every change, and the pairs that can come back
edits        words, weight, split and tags of stored pairs
removal      deleting pairs, and bringing them back
thumbnails   small pictures of pairs, made once
"""

__all__ = ["catalogue", "edits", "history", "removal", "thumbnails"]
