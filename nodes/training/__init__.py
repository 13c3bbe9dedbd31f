"""Datasets and training as nodes.

dataset          the nodes Load Dataset and Browse Dataset
judge            the node Judge
label            the node Label
train, distil    the nodes Train and Distil
server           what pages ask of runs: curves, results, reports
dataset_sheet    pairs as a picture (private to the room)
learning         what Train and Distil have in common beside a configuration (private)
files            configurations, datasets and runs by the names an artist sees (private)
runs             what came of a run, and the files of its report (private)
process          the trainer in a process of its own (private)
asking           what Judge and Label have in common (private)
text_generation  a model of ComfyUI's own, for Judge and Label (private)
display, curve   a run on its node: live line, loss curve, sheets (private)
"""

__all__ = ["dataset", "distil", "judge", "label", "server", "train"]
