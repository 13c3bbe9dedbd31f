"""A dataset's files: what a row is, how files and rows are written so that nobody ever sees half of one.

rows              `PairRow`: one line of metadata.jsonl
storage           folders, locks, whole files, appended lines
index             what is known of every stored pair without opening its pictures
names             names of datasets and ids of pairs
images            picture files of training pairs
perceptual_hash   near-equal pictures
line_tail         lines appended by others since one last looked
"""

__all__ = ["images", "index", "line_tail", "names", "perceptual_hash", "rows", "storage"]
