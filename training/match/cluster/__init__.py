"""Clusters: neighbourhoods in which pairs are looked for, where a collection is too large to compare all with all.

centroids   k-means on a sample
assign      each picture to its nearest few
probe       how many pairs are lost at the borders, by exact search for a few pictures
"""

__all__ = ["assign", "centroids", "probe"]
