"""From picture files to shards of features, and the files that are one picture twice.

records      one picture read: content, looks, size, and what the descriptor needs of it
readers      many at once, in processes or threads; a file that kills its reader is set aside
shards       a shard embedded whole, with what is known from an earlier run used again
duplicates   equal and nearly equal files
"""

__all__ = ["duplicates", "readers", "records", "shards"]
