"""Maintenance of datasets: what is wrong with them, its repair, what is in them.

verify   every fault of a dataset
repair   of those faults, without losing anything
report   a page with numbers and pictures
"""

__all__ = ["repair", "report", "verify"]
