"""ComfyUI graphs of this pack's nodes, written from Python: prompts, and files that the front end opens.

graph         nodes and links
bench         the pack's nodes by name
replacement   the workflow that replaces a distilled graph
ui_file       the form that the front end opens
shapes        sizes of nodes on the canvas
"""

__all__ = ["bench", "graph", "replacement", "shapes", "ui_file"]
