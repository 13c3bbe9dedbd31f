"""Pairs from collections: what is found of what was planted, and what it costs.

synthetic   features with planted groups, and look-alikes of photographs
quality     recall and precision at every threshold, and what the built-in descriptors see
speed       against plain faiss calls, and Ray with 200,000 features
tables      their command line
costs       of a picture and of a product, for the sizing of large runs
"""

__all__ = ["synthetic"]
