"""Workflows as files and as ComfyUI runs them.

graph      ``Workflow``, prompts and the links in them
load       a file in either format, opened as a prompt
markers    Capture Source, Capture Result and Capture Pair in a graph
widgets    the order and kind of a node's widgets
ui_graph   UI format -> prompt, as the browser does it (private to the room)
"""

__all__ = ["graph", "load", "markers", "widgets"]
