"""Capture inside a running graph, and Sweep, which runs the graph over a folder.

markers, pair          the nodes Capture Source, Capture Result, Capture Pair
sweep                  the node Sweep
queueing               what is done to a prompt when it is queued; `register` hooks it in
validation             checks and fingerprints of markers before anything runs (this and all below are private)
links, pairing         which source belongs to which result
record, recorder       from pictures in the graph to pairs on disk
outcome                what the artist reads of it on the node
stopwatch              how long the teacher took, and how much memory
server, shutdown       pairs are written before the queue is idle and before the server ends
sweep_runner           the sweep's own thread
"""

__all__ = ["markers", "pair", "queueing", "sweep"]
