"""A dataset's files: what a row is, how files and rows are written so that nobody ever sees half of one.

rows              ``PairRow``: one line of metadata.jsonl
storage           the lock, the commit of a pair, its undoing
changes           rows and files that change together
files             whole files and appended lines, symbolic links refused
index             what is known of every stored pair without opening its pictures
names             names of datasets and ids of pairs
images            picture files of training pairs
perceptual_hash   similar pictures
line_tail         lines that other processes have appended
"""

__all__ = ["changes", "files", "images", "index", "line_tail", "names", "perceptual_hash", "rows", "storage"]
