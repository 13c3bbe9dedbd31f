"""Tables on disk, here or in an object store, and the pictures that they speak of.

places     a folder here, or an address such as s3://bucket/folder
columns    tables: one array a column, written whole or not at all
pictures   finding pictures in folders and tar archives, and reading one
"""

__all__ = ["columns", "pictures", "places"]
