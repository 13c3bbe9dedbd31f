"""Workflows as files and as ComfyUI runs them.

graph      ``Workflow``, prompts and the links in them
load       a file in either format, opened as a prompt
markers    Capture Source, Capture Result and Capture Pair in a graph
widgets    the order and kind of a node's widgets

Private to the room: a workflow inside a picture, and UI format -> prompt as the browser does it.

embedded         a workflow inside a picture
ui_graph         the wires of the prompt
ui_reader        the file's nodes, subgraphs opened
ui_nodes         what a node and a graph are
promoted         widgets that a subgraph shows outside
browser_nodes    nodes that the browser knows more of than their schema says
dynamic_prompts  {a|b} and comments in texts
"""

__all__ = ["graph", "load", "markers", "widgets"]
