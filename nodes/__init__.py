"""ComfyUI nodes: the only part of the pack that imports ComfyUI. At the top, what an artist wires to edit pictures.

extension   the list of nodes, which ComfyUI asks for
host        where the pack meets ComfyUI
capture     pairs from a running graph
training    datasets, Train, Distil
"""

__all__ = ["capture", "extension", "host", "training"]
