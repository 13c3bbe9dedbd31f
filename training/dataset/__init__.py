"""Training pairs on disk: a folder that other trainers read, too.

store        ``Dataset``: open, add, read, change
settings     what a dataset says of itself
splits       training or validation, by the source's content
formats      of imports and exports
results      what ``Dataset`` answers
command      ``comfyui-ace dataset``
disk         rows, files, names, pictures
intake       quality checks
curation     pairs looked at and changed by hand
upkeep       verify, repair, report
provenance   the graphs that made the pairs
importers    pairs of other tools
exporters    pairs for other trainers
"""

__all__ = [
    "command",
    "curation",
    "disk",
    "exporters",
    "importers",
    "intake",
    "provenance",
    "results",
    "settings",
    "splits",
    "store",
    "upkeep",
]
