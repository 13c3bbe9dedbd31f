"""ComfyUI nodes: the only part of the pack that imports ComfyUI. At the top, what an artist wires to edit pictures.

extension      the list of nodes, which ComfyUI asks for
condition      the node Condition Unit, and the menu of words for pictures
masking        edits of a part of a picture
plus           ACE++ on FLUX Fill
host           where the pack meets ComfyUI
capture        pairs from a running graph
training       datasets, Train, Distil
dataset_page   what the page of datasets asks the server for
chat           ACE Chat: its conversations, and the node that a turn ends with
pages          what the server's sides of both have in common
"""

__all__ = ["capture", "chat", "condition", "dataset_page", "extension", "host", "masking", "pages", "plus", "training"]
