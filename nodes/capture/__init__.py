"""Capture inside a running graph, and Sweep, which runs the graph over a folder.

markers, pair          the nodes Capture Source, Capture Result, Capture Pair
sweep                  the node Sweep
queueing               what is done to a prompt when it is queued; `register` hangs it in
begin, links, pairing  which source belongs to which result; checks before anything runs (these and all below are private)
record, recorder       from pictures in the graph to pairs on disk
stopwatch              what the teacher spent
server, shutdown       pairs are written before the queue rests and before the server ends
sweep_runner           the sweep's own thread
"""

__all__ = ["markers", "pair", "queueing", "sweep"]
