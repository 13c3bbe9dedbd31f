"""Datasets and training on the bench.

dataset        the nodes Load Dataset and Browse Dataset
train, distil  the nodes Train and Distil
dataset_sheet  pairs as a picture (private to the room)
files          configurations, datasets and runs by the names an artist sees (private)
process        the trainer in a process of its own, its events on the node (private)
"""

__all__ = ["dataset", "distil", "train"]
