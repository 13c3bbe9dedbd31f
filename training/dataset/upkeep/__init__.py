"""Datasets that are already there: are they sound, can they be mended, what is in them.

verify   every fault of a dataset
repair   those that can be mended without losing anything
report   a page with numbers and pictures
"""

__all__ = ["repair", "report", "verify"]
