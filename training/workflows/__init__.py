"""ComfyUI graphs of this pack's nodes, written from Python: prompts, and files that the front end opens.

graph         nodes and links
ace_graph     graphs of the pack's nodes, by their names
replacement   the workflow that replaces a distilled graph
ui_file       the form that the front end opens
layout        where nodes go
node_sizes    how large nodes are after a run
node_specs    sockets and widgets of the nodes, as that form needs them
"""

__all__ = ["ace_graph", "graph", "layout", "node_sizes", "node_specs", "replacement", "ui_file"]
